# SPDX-License-Identifier: Apache-2.0
"""Every form of bag that rosbag2 writes is read whole, and an intact one has no damage."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rosbags")

from bag_forms import (
    EMPTY,
    FRAMES,
    IMAGE,
    OTHER,
    THERMAL,
    TYPES,
    VISIBLE,
    Form,
    mcap,
    messages,
    picture,
    sqlite,
    write,
)

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.recordings.bags import writer
from fusion_ros.recordings.bags.writer import BagWriter
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import DamageKind
from fusion_ros.streams.ledger import Stream

PLACES = ("folder", "file")
KINDS = [*(("mcap", chunks) for chunks in (None, "", "lz4", "zstd")), ("sqlite3", "")]


def read(path: Path) -> tuple[list[tuple[Stream, int, bool]], list[DamageKind]]:
    """Camera, number and whether the pixels are right, of every frame; kinds of damage."""
    recording = open_recording(path)
    try:
        found = []
        for frame in recording.frames():
            topic = VISIBLE if frame.stream is Stream.VISIBLE else THERMAL
            right = np.array_equal(frame.read().pixels, picture(frame.index, topic))
            found.append((frame.stream, frame.index, right))
        return found, [damage.kind for damage in recording.damage]
    finally:
        recording.close()


WHOLE = [(stream, n, True) for n in range(FRAMES) for stream in (Stream.VISIBLE, Stream.THERMAL)]


def forms() -> list[tuple[Form, str]]:
    found = []
    for (storage, chunks), compression, files, (metadata, closed) in itertools.product(
        KINDS, ("none", "file", "message"), (1, 3), ((True, True), (False, True), (False, False))
    ):
        form = Form(storage, compression, chunks, files, metadata, closed)
        found += [(form, place) for place in PLACES if place == "folder" or files == 1]
    return found


def name_of(value: object) -> str:
    if not isinstance(value, Form):
        return str(value)
    chunks = "no chunks" if value.chunks is None else value.chunks or "plain"
    state = "closed" if value.closed else "killed"
    parts = [value.storage, chunks, value.compression, str(value.files), state]
    return "-".join([*parts, "yaml" if value.metadata else "no yaml"])


@pytest.mark.parametrize(("form", "place"), forms(), ids=name_of)
def test_every_form_gives_every_frame(form: Form, place: str, tmp_path: Path) -> None:
    bag = write(tmp_path / "run_2024.05.01_speed_0.5", form)
    if place == "file":
        (bag / "metadata.yaml").unlink(missing_ok=True)
        (path,) = (f for f in bag.iterdir() if not f.name.endswith("-wal"))
    else:
        path = bag
    frames, damage = read(path)
    assert frames == WHOLE
    expected = {DamageKind.UNFINISHED} if not form.closed else set()
    if place == "folder" and not form.metadata:
        expected |= {DamageKind.UNFINISHED}
    assert set(damage) == expected


@pytest.mark.parametrize(
    "form",
    [
        Form(profile=""),
        Form(profile="x"),
        Form(definitions=False),
        Form(indexes=False),
        Form(checksums=False),
        Form(chunks="zstd", indexes=False),
        Form(indexes=False, metadata=False, closed=False),
        Form(chunks="lz4", indexes=False, metadata=False, closed=False),
    ],
    ids=str,
)
def test_parts_that_reading_does_not_need_are_ignored(form: Form, tmp_path: Path) -> None:
    """Profile, definitions and indexes; the QoS of each channel is no YAML in all these bags."""
    frames, damage = read(write(tmp_path / "bag", form))
    assert frames == WHOLE
    assert set(damage) == (set() if form.closed else {DamageKind.UNFINISHED})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("storage_identifier", ""),
        ("storage_identifier", "my_storage"),
        ("version", 99),
        ("compression_mode", "message"),
        ("compression_format", "unknown"),
        ("duration", None),
        ("message_count", 10**6),
        ("relative_file_paths", ["elsewhere/bag_0.mcap"]),
    ],
)
def test_metadata_that_reading_does_not_need_is_ignored(
    key: str, value: object, tmp_path: Path
) -> None:
    bag = write(tmp_path / "bag", Form())
    content = yaml.safe_load((bag / "metadata.yaml").read_text(encoding="utf-8"))
    content["rosbag2_bagfile_information"][key] = value
    (bag / "metadata.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert read(bag) == (WHOLE, [])


@pytest.mark.parametrize("text", ["", "- 1", "rosbag2_bagfile_information:", "a: [", "x: !!int ''"])
def test_invalid_metadata_is_reported_and_the_files_are_read(text: str, tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form(files=2))
    (bag / "metadata.yaml").write_text(text, encoding="utf-8")
    assert read(bag) == (WHOLE, [DamageKind.METADATA])


def test_a_file_that_metadata_does_not_list_is_reported_and_not_read(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form())
    sqlite(bag / "copy.db3", messages(), Form())
    assert read(bag) == (WHOLE, [DamageKind.METADATA])


def test_a_partly_compressed_file_beside_its_original_is_ignored(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form(metadata=False))
    (original,) = bag.iterdir()
    original.with_name(original.name + ".zstd").write_bytes(b"\x28\xb5\x2f\xfd")
    assert read(bag) == (WHOLE, [DamageKind.UNFINISHED])


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("packed", [True, False])
def test_files_that_were_packed_or_unpacked_by_hand_are_found(
    storage: str, packed: bool, tmp_path: Path
) -> None:
    form = Form(storage=storage, compression="none" if packed else "file")
    bag = write(tmp_path / "bag", form)
    (path,) = (f for f in bag.iterdir() if f.name != "metadata.yaml")
    from backports import zstd

    if packed:
        path.with_name(path.name + ".zstd").write_bytes(zstd.compress(path.read_bytes()))
    else:
        path.with_name(path.name.removesuffix(".zstd")).write_bytes(
            zstd.decompress(path.read_bytes())
        )
    path.unlink()
    assert read(bag) == (WHOLE, [])


def test_topics_are_listed_with_their_counts_and_empty_ones_are_not_chosen(tmp_path: Path) -> None:
    for storage in ("mcap", "sqlite3"):
        recording = open_recording(write(tmp_path / storage, Form(storage=storage)))
        counts = {t.name: t.messages for t in recording.identity.topics}
        recording.close()
        assert counts == {VISIBLE: FRAMES, THERMAL: FRAMES, OTHER: FRAMES, EMPTY: 0}
        assert (recording.identity.visible, recording.identity.thermal) == (VISIBLE, THERMAL)


def test_messages_are_sorted_by_time_of_recording(
    tmp_path: Path,
) -> None:
    written = messages()
    for storage, chunks in (("mcap", None), ("mcap", "zstd"), ("sqlite3", "")):
        form = Form(storage=storage, chunks=chunks)
        bag = write(tmp_path / f"{storage}_{chunks}", form, [*written[12:], *written[:12]])
        assert read(bag) == (WHOLE, [])


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compression", ["none", "file", "message"])
def test_bags_of_our_writer_are_read_back(storage: str, compression: str, tmp_path: Path) -> None:
    path = tmp_path / "speed_0.5"
    with BagWriter(path, storage=storage, compression=compression) as bag:
        for m in messages():
            if m.kind == IMAGE:
                number = (m.log_ns - messages()[0].log_ns) // 33_333_333
                order = ChannelOrder.RGB if m.topic == VISIBLE else ChannelOrder.GREY
                pixels = PixelFrame(picture(number, m.topic), order)
                bag.image(m.topic, pixels, stamp_ns=m.log_ns, log_ns=m.log_ns)
    assert read(path) == (WHOLE, [])


def test_an_error_of_another_file_is_not_reported_as_one_of_the_bag(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), BagWriter(tmp_path / "bag"):
        (tmp_path / "missing").read_bytes()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_ctrl_c_within_a_write_leaves_each_message_once(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "COMMIT_EVERY_S", 0.0)
    frame = PixelFrame(np.zeros((4, 4), np.uint8), ChannelOrder.GREY)

    def interrupting(write: Callable[..., object]) -> Callable[..., object]:
        def run(*values: object) -> object:
            signal.raise_signal(signal.SIGINT)
            return write(*values)

        return run

    bag = BagWriter(tmp_path / "bag", storage=storage)
    with pytest.raises(KeyboardInterrupt), bag:  # noqa: PT012
        for topic in ("/visible", "/thermal"):
            bag.image(topic, frame, stamp_ns=1)
        end = "close_chunk" if storage == "mcap" else "write"
        part = bag._writer.storage
        monkeypatch.setattr(part, end, interrupting(getattr(part, end)))
        bag.image("/visible", frame, stamp_ns=2)
        pytest.fail("the signal had no effect")
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    recording = open_recording(tmp_path / "bag")
    found = [(frame.stream, frame.stamp_ns) for frame in recording.frames()]
    recording.close()
    assert found == [(Stream.VISIBLE, 1), (Stream.THERMAL, 1), (Stream.VISIBLE, 2)]
    assert recording.damage == []


def test_a_recorded_bag_is_not_changed_by_reading_it(tmp_path: Path) -> None:
    for form in (
        Form(storage="sqlite3", closed=False, metadata=False),
        Form(closed=False, metadata=False),
        Form(compression="file"),
    ):
        bag = write(tmp_path / name_of(form), form)
        before = {f.name: f.read_bytes() for f in bag.iterdir()}
        read(bag)
        assert {f.name: f.read_bytes() for f in bag.iterdir()} == before


@pytest.mark.parametrize(("storage", "chunks"), KINDS)
@pytest.mark.parametrize("compression", ["none", "file", "message"])
def test_the_test_bags_are_bags_for_rosbags_too(
    storage: str, chunks: str | None, compression: str, tmp_path: Path
) -> None:
    """The forms are built by hand: a reader of another origin reads the whole ones."""
    from rosbags.rosbag2 import Reader

    form = Form(storage=storage, chunks=chunks, compression=compression, files=2, qos="")
    with Reader(write(tmp_path / "bag", form)) as reader:
        found = [(c.topic, c.msgtype, ns, bytes(data)) for c, ns, data in reader.messages()]
    assert sorted(found) == sorted(tuple(m) for m in messages())


def test_a_ros1_bag_that_was_converted_to_mcap_is_read(tmp_path: Path) -> None:
    """The `mcap` tool keeps the ROS 1 serialisation, profile and spelling of types."""
    from rosbags.typesys import Stores, get_typestore

    ros1 = get_typestore(Stores.ROS1_NOETIC)
    ros2 = TYPES
    written = []
    for m in messages():
        if m.kind == IMAGE:
            old = ros2.deserialize_cdr(m.data, IMAGE)
            header = ros1.types["std_msgs/msg/Header"](0, old.header.stamp, old.header.frame_id)
            new = ros1.types[IMAGE](
                header, old.height, old.width, old.encoding, old.is_bigendian, old.step, old.data
            )
            data = bytes(ros1.serialize_ros1(new, IMAGE))
            written.append(m._replace(kind="sensor_msgs/Image", data=data))
    mcap(tmp_path / "a.mcap", written, Form(profile="ros1"), encoding="ros1")
    assert read(tmp_path / "a.mcap") == (WHOLE, [])


def test_few_files_of_a_split_bag_are_open_at_a_time(tmp_path: Path) -> None:
    """More files than the process may open."""
    written = messages(40, 240, 320)
    bag = write(tmp_path / "bag", Form(files=len(written)), written)
    program = f"""
import resource
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from fusion_ros.recordings.opening import open_recording
recording = open_recording(Path({str(bag)!r}))
frames = sum(frame.read().pixels.size > 0 for frame in recording.frames())
print(frames, len(recording.damage))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["80", "0"], done.stderr


def test_overlapping_files_are_merged_by_time(tmp_path: Path) -> None:
    """As two recorders leave them: every second message in the other file."""
    written = messages()
    bag = write(tmp_path / "bag", Form(files=2), [*written[::2], *written[1::2]])
    assert read(bag) == (WHOLE, [])
