# SPDX-License-Identifier: Apache-2.0
"""Damaged bags: everything else is read, and no frame is missing or changed without a report."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from bag_forms import FRAMES, THERMAL, VISIBLE, Form, messages, picture, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import DamageKind, RecordingError
from fusion_ros.streams.ledger import Stream

LOSS = {DamageKind.BYTES, DamageKind.MESSAGES}
WITH_CHECKSUMS = [Form(chunks=""), Form(chunks="lz4"), Form(chunks="zstd")]
WITHOUT = [
    Form(chunks=None), Form(storage="sqlite3"), Form(chunks="", checksums=False),
    Form(compression="message", chunks=None), Form(compression="file"),
    Form(storage="sqlite3", compression="file"),
]  # fmt: skip


@dataclasses.dataclass
class Outcome:
    """Result of reading: frames by camera, wrong pixels, refused frames, kinds of damage."""

    received: dict[Stream, int]
    wrong: int
    refused: int
    damage: set[DamageKind]
    lost: int

    @property
    def is_whole(self) -> bool:
        return all(n == FRAMES for n in self.received.values())

    @property
    def is_reported(self) -> bool:
        return bool(self.damage & LOSS) or self.refused > 0


def outcome(path: Path) -> Outcome:
    recording = open_recording(path)
    received, wrong, refused = dict.fromkeys(Stream, 0), 0, 0
    try:
        for frame in recording.frames():
            received[frame.stream] += 1
            try:
                pixels = frame.read().pixels
            except EncodingError:
                refused += 1
                continue
            topic = VISIBLE if frame.stream is Stream.VISIBLE else THERMAL
            wrong += not any(np.array_equal(pixels, picture(n, topic)) for n in range(FRAMES))
        kinds = {damage.kind for damage in recording.damage}
        lost = sum(damage.lost for damage in recording.damage)
    finally:
        recording.close()
    return Outcome(received, wrong, refused, kinds, lost)


@cache
def whole(form: Form) -> Path:
    """A whole bag of a form, written once."""
    return write(Path(tempfile.mkdtemp(prefix="fusion_ros_test_")) / "bag", form)


def damaged_copy(form: Form, folder: Path, change: str, place: float, size: int) -> Path:
    shutil.copytree(whole(form), folder / "bag")
    (path,) = (f for f in (folder / "bag").iterdir() if f.name != "metadata.yaml")
    data = bytearray(path.read_bytes())
    at = round(place * (len(data) - 1))
    if change == "cut":
        del data[at:]
    elif change == "zeros":
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif change == "flip":
        data[at] ^= 1 + size % 255
    elif change == "hole":
        del data[at : at + size]
    else:
        data[at : at + size] = np.random.default_rng(size).bytes(len(data[at : at + size]))
    path.write_bytes(data)
    return folder / "bag"


def damaged_outcome(form: Form, change: str, place: float, size: int) -> Outcome | None:
    """Return the result of reading; None where the bag is refused. Other errors fail the test."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return outcome(damaged_copy(form, Path(folder), change, place, size))
        except RecordingError:
            return None


DAMAGE = {
    "change": st.sampled_from(["cut", "zeros", "flip", "hole", "noise"]),
    "place": st.floats(0, 1),
    "size": st.integers(1, 5000),
}


@settings(max_examples=150)
@given(form=st.sampled_from(WITH_CHECKSUMS), **DAMAGE)
def test_with_checksums_nothing_is_missing_or_changed_without_a_report(
    form: Form, change: str, place: float, size: int
) -> None:
    found = damaged_outcome(form, change, place, size)
    assert found is None or (found.is_whole and not found.wrong) or found.is_reported


@settings(max_examples=150)
@given(form=st.sampled_from(WITHOUT), **DAMAGE)
@example(form=Form(storage="sqlite3"), change="cut", place=0.9, size=1)
def test_without_checksums_nothing_is_missing_without_a_report(
    form: Form, change: str, place: float, size: int
) -> None:
    found = damaged_outcome(form, change, place, size)
    assert found is None or found.is_whole or found.is_reported


@settings(max_examples=100)
@given(
    form=st.sampled_from(
        [dataclasses.replace(f, metadata=False, closed=False) for f in WITH_CHECKSUMS]
    ),
    change=st.sampled_from(["zeros", "flip", "noise"]),
    place=st.floats(0, 1),
    size=st.integers(1, 5000),
)
def test_an_unfinished_file_with_damage_is_reported_as_well(
    form: Form, change: str, place: float, size: int
) -> None:
    found = damaged_outcome(form, change, place, size)
    assert found is None or (found.is_whole and not found.wrong) or found.is_reported


@pytest.mark.parametrize("form", WITH_CHECKSUMS, ids=lambda form: form.chunks or "plain")
def test_a_damaged_chunk_affects_no_other_one(form: Form, tmp_path: Path) -> None:
    """A chunk holds four messages: three of the cameras, at most."""
    bag = damaged_copy(form, tmp_path, "zeros", 0.5, 64)
    found = outcome(bag)
    assert sum(found.received.values()) >= 2 * FRAMES - 3
    assert DamageKind.BYTES in found.damage
    assert found.lost == 2 * FRAMES - sum(found.received.values())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_damaged_compressed_message_affects_only_itself(storage: str, tmp_path: Path) -> None:
    form = Form(storage=storage, compression="message", chunks=None)
    written = messages()
    from backports import zstd

    bad = zstd.compress(written[6].data)
    packed = [m._replace(data=zstd.compress(m.data)) for m in written]
    packed[6] = packed[6]._replace(data=bad[: len(bad) // 2])
    plain = dataclasses.replace(form, compression="none")
    found = outcome(write(tmp_path / "bag", plain, packed))
    assert (found.is_whole, found.refused, found.wrong) == (True, 1, 0)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_missing_file_of_a_split_bag_is_reported_with_its_count(
    storage: str, tmp_path: Path
) -> None:
    bag = write(tmp_path / "bag", Form(storage=storage, files=4))
    next(f for f in bag.iterdir() if "bag_2" in f.name).unlink()
    found = outcome(bag)
    assert sum(found.received.values()) == found.lost * 3 == 2 * FRAMES * 3 // 4
    assert found.damage == LOSS


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"SQLite format 3\0" + bytes(200)])
def test_an_invalid_file_of_a_split_bag_affects_only_itself(
    storage: str, content: bytes, tmp_path: Path
) -> None:
    bag = write(tmp_path / "bag", Form(storage=storage, files=4))
    next(f for f in bag.iterdir() if "bag_2" in f.name).write_bytes(content)
    found = outcome(bag)
    assert sum(found.received.values()) == 2 * FRAMES * 3 // 4
    assert found.damage == LOSS


def test_a_journal_of_another_file_is_ignored(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form(storage="sqlite3", metadata=False, closed=False))
    (log,) = bag.glob("*-wal")
    data = bytearray(log.read_bytes())
    data[16:24] = struct.pack(">II", 1, 2)  # its salts: the frames in it are of another log
    log.write_bytes(data)
    found = outcome(bag)
    assert 0 < sum(found.received.values()) < 2 * FRAMES
    assert DamageKind.UNFINISHED in found.damage


def test_counts_in_metadata_that_are_larger_than_the_files_are_reported(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form(), messages(FRAMES - 3))
    text = (bag / "metadata.yaml").read_text(encoding="utf-8")
    text = text.replace(f"message_count: {FRAMES - 3}", f"message_count: {FRAMES}")
    (bag / "metadata.yaml").write_text(text, encoding="utf-8")
    found = outcome(bag)
    assert (found.damage, found.lost) == ({DamageKind.MESSAGES}, 6)


@pytest.mark.parametrize("form", [Form(chunks=None), Form(chunks="zstd")], ids=str)
def test_a_file_that_is_cut_while_it_is_open_is_reported(form: Form, tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", form)
    recording = open_recording(bag)
    path = next(bag.glob("*.mcap"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    received = sum(1 for _ in recording.frames())
    recording.close()
    assert received < 2 * FRAMES
    lost = sum(d.lost for d in recording.damage if d.kind is DamageKind.MESSAGES)
    assert lost == 2 * FRAMES - received


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE messages SET data = 'text' WHERE id = 4",
        "UPDATE messages SET data = 7 WHERE id = 4",
        "UPDATE messages SET timestamp = 'noon' WHERE id = 4",
        "UPDATE messages SET data = x'' WHERE id = 4",
        "UPDATE messages SET topic_id = 77 WHERE id = 4",
    ],
)
def test_a_row_of_other_types_affects_only_itself(change: str, tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form(storage="sqlite3"))
    base = sqlite3.connect(next(bag.glob("*.db3")))
    base.execute(change)
    base.commit()
    base.close()
    found = outcome(bag)
    assert sum(found.received.values()) - found.refused == 2 * FRAMES - 1
    assert found.is_reported


def test_tables_that_are_computed_are_refused(tmp_path: Path) -> None:
    """A view could produce rows without end."""
    base = sqlite3.connect(tmp_path / "a.db3")
    base.execute("CREATE TABLE topics(id, name, type)")
    base.execute(
        "CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
        "SELECT id, 1 AS topic_id, id AS timestamp, x'00' AS data FROM n"
    )
    base.commit()
    base.close()
    with pytest.raises(RecordingError):
        outcome(tmp_path / "a.db3")
