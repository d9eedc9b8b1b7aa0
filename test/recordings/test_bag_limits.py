# SPDX-License-Identifier: Apache-2.0
"""Small bags that unpack to gigabytes are refused before memory is taken; limits hold exactly."""

from __future__ import annotations

import bz2
import io
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from backports import zstd
from bag_forms import IMAGE, MAGIC, THERMAL, VISIBLE, Form, Written, _text, messages, record, write
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.files.limits import (
    MAX_CHUNK_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_TEXT_BYTES,
    TooLargeError,
)
from fusion_ros.recordings.bags import decompression
from fusion_ros.recordings.bags.decompression import DecompressionError, decompress, unpack_file
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import DamageKind

BOMB_BYTES = 2**29 + 2**24
"""More than the limit of a chunk, and of a message."""
MOST_EXTRA_MB = 150
READ = """
import resource, sys
from pathlib import Path
from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.recordings.bags import decompression
from fusion_ros.recordings.recording import RecordingError
from fusion_ros.recordings.bags import recording as bags
from fusion_ros.recordings.opening import open_recording
bags._typestore(False)
decompression.ALWAYS_ALLOWED_FILE_BYTES = 2**26
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
refused = good = 0
damage = []
try:
    recording = open_recording(Path(sys.argv[1]))
    damage = recording.damage
    for frame in recording.frames():
        try:
            frame.read()
            good += 1
        except EncodingError:
            refused += 1
    recording.close()
except RecordingError:
    refused += 1
extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
lost = sum(d.kind.value in ("bytes", "messages") for d in damage)
print(good, refused, lost, extra // 1024)
"""


def zeros(pack: Callable[[bytes], bytes], flush: Callable[[], bytes], size: int) -> bytes:
    piece = bytes(2**24)
    return b"".join(pack(piece) for _ in range(size // len(piece))) + flush()


def zstd_of_zeros(size: int) -> bytes:
    machine = zstd.ZstdCompressor(level=1)
    return zeros(machine.compress, machine.flush, size)


def lz4_of_zeros(size: int) -> bytes:
    from lz4.frame import LZ4FrameCompressor

    machine = LZ4FrameCompressor()
    return machine.begin() + zeros(machine.compress, machine.flush, size)


def chunk_claiming(kind: str, packed: bytes, claimed: int) -> bytes:
    head = struct.pack("<QQQI", 0, 2**62, claimed, 0)
    return record(6, head + _text(kind) + struct.pack("<Q", len(packed)) + packed)


def with_chunk(folder: Path, extra: bytes) -> Path:
    """A whole bag with one more chunk in front of its data."""
    bag = write(folder / "bag", Form(closed=False, metadata=False))
    (path,) = bag.iterdir()
    data = path.read_bytes()
    behind = len(MAGIC) + 9 + struct.unpack_from("<Q", data, len(MAGIC) + 1)[0]
    path.write_bytes(data[:behind] + extra + data[behind:])
    return bag


def message_bomb(folder: Path, storage: str, packed: bytes) -> Path:
    written = messages()
    written.insert(3, Written(VISIBLE, IMAGE, written[3].log_ns, packed))
    form = Form(storage=storage, metadata=False)
    return write(folder / "bag", form, written)


def file_bomb(folder: Path) -> Path:
    bag = write(folder / "bag", Form(compression="file", files=2))
    first = next(f for f in sorted(bag.iterdir()) if f.name.endswith(".zstd"))
    head = zstd.decompress(first.read_bytes())
    first.write_bytes(zstd.compress(head) + zstd_of_zeros(BOMB_BYTES))
    return bag


def ros1_bomb(folder: Path) -> Path:
    """A whole ROS 1 bag whose one chunk was replaced by one that unpacks to half a gigabyte."""
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS1_NOETIC)
    plain = folder / "plain.bag"
    with Writer(plain) as bag:
        for topic in (VISIBLE, THERMAL):
            connection = bag.add_connection(topic, IMAGE, typestore=types)
            bag.write(connection, 10**9, bytes(200))
    data = plain.read_bytes()
    packed = bz2.compress(bytes(2**24), 1) * (BOMB_BYTES // 2**24)
    return _replace_chunk(data, packed, folder / "bomb.bag")


def _replace_chunk(data: bytes, packed: bytes, path: Path) -> Path:
    """Rewrite the chunk record and move the places that point behind it."""
    magic = len(b"#ROSBAG V2.0\n")
    bio = io.BytesIO(data)
    bio.seek(magic)

    def part() -> bytes:
        (size,) = struct.unpack("<I", bio.read(4))
        return bio.read(size)

    start = magic + 4 + len(part()) + 4 + len(part())
    old = 8 + len(part()) + len(part())
    fields = {b"op": b"\x05", b"compression": b"bz2", b"size": struct.pack("<I", BOMB_BYTES)}
    new_header = b"".join(
        struct.pack("<I", len(k) + 1 + len(v)) + k + b"=" + v for k, v in fields.items()
    )
    chunk = struct.pack("<I", len(new_header)) + new_header
    chunk += struct.pack("<I", len(packed)) + packed
    moved = bytearray(data[:start] + chunk + data[start + old :])
    at = moved.index(b"index_pos=") + len(b"index_pos=")
    (index,) = struct.unpack_from("<Q", moved, at)
    struct.pack_into("<Q", moved, at, index + len(chunk) - old)
    path.write_bytes(moved)
    return path


BOMBS: dict[str, Callable[[Path], Path]] = {
    "mcap zstd chunk that claims it": lambda f: with_chunk(
        f, chunk_claiming("zstd", zstd_of_zeros(BOMB_BYTES), BOMB_BYTES)
    ),
    "mcap zstd chunk that claims less": lambda f: with_chunk(
        f, chunk_claiming("zstd", zstd_of_zeros(BOMB_BYTES), 1000)
    ),
    "mcap lz4 chunk that claims less": lambda f: with_chunk(
        f, chunk_claiming("lz4", lz4_of_zeros(BOMB_BYTES), 1000)
    ),
    "mcap plain chunk that claims more": lambda f: with_chunk(
        f, chunk_claiming("", bytes(100), BOMB_BYTES)
    ),
    "mcap message without its size": lambda f: message_bomb(f, "mcap", zstd_of_zeros(BOMB_BYTES)),
    "mcap message with its size": lambda f: message_bomb(
        f, "mcap", zstd.compress(bytes(BOMB_BYTES), level=1)
    ),
    "sqlite3 message": lambda f: message_bomb(f, "sqlite3", zstd_of_zeros(BOMB_BYTES)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_takes_no_memory_and_affects_only_itself(
    name: str, tmp_path: Path
) -> None:
    good, refused, lost, extra_mb = _read(BOMBS[name](tmp_path))
    assert good == 16
    assert refused + lost >= 1
    claims_nothing = "without" in name or "sqlite3" in name
    assert extra_mb < MOST_EXTRA_MB + (MAX_MESSAGE_BYTES / 2**20 if claims_nothing else 0)


def test_a_file_that_unpacks_to_gigabytes_affects_only_itself(tmp_path: Path) -> None:
    good, _, lost, extra_mb = _read(file_bomb(tmp_path))
    assert good == 8
    assert lost >= 1
    assert extra_mb < MOST_EXTRA_MB


def test_a_ros1_chunk_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    good, _, lost, extra_mb = _read(ros1_bomb(tmp_path))
    assert (good, lost >= 1) == (0, True)
    assert extra_mb < 3 * MAX_CHUNK_BYTES / 2**20


def _read(path: Path) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def packed(kind: str, data: bytes) -> bytes:
    from lz4.frame import compress as lz4_compress

    return {"zstd": zstd.compress, "lz4": lz4_compress, "bz2": bz2.compress, "": bytes}[kind](data)


@given(
    kind=st.sampled_from(["zstd", "lz4", "bz2", ""]),
    parts=st.lists(st.binary(max_size=300).map(lambda b: b * 9), max_size=3),
    slack=st.integers(-5, 5),
)
def test_the_limit_holds_to_the_byte(kind: str, parts: list[bytes], slack: int) -> None:
    """Several frames behind each other count together."""
    whole = b"".join(parts)
    data = b"".join(packed(kind, part) for part in parts)
    limit = max(0, len(whole) + slack)
    if len(whole) > limit:
        with pytest.raises(TooLargeError):
            decompress(kind, data, limit)
    else:
        assert decompress(kind, data, limit) == whole


@given(kind=st.sampled_from(["zstd", "lz4", "bz2"]), data=st.binary(max_size=200))
def test_bytes_of_any_kind_are_unpacked_or_refused(kind: str, data: bytes) -> None:
    try:
        decompress(kind, data, MAX_MESSAGE_BYTES)
    except (TooLargeError, DecompressionError):
        return


@pytest.mark.parametrize("cut", [5, 20, 2000])
def test_a_truncated_file_is_unpacked_up_to_its_end(cut: int, tmp_path: Path) -> None:
    data = b"".join(n.to_bytes(4, "little") for n in range(50_000))
    (tmp_path / "a.zstd").write_bytes(zstd.compress(data)[:-cut])
    said: list[DamageKind] = []
    unpack_file(tmp_path / "a.zstd", tmp_path / "a", lambda kind, what: said.append(kind))
    assert said == [DamageKind.BYTES]
    assert data.startswith((tmp_path / "a").read_bytes())


def test_lack_of_disk_space_is_reported_before_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=decompression._KEEP_FREE_BYTES + 10)
    monkeypatch.setattr(decompression.shutil, "disk_usage", lambda folder: usage)
    (tmp_path / "a.zstd").write_bytes(zstd.compress(bytes(1000)))
    with pytest.raises(TooLargeError, match="TMPDIR"):
        unpack_file(tmp_path / "a.zstd", tmp_path / "a", lambda kind, what: None)


def test_metadata_of_nested_aliases_takes_no_memory(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form())
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for n in range(1, 12):
        text += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n"
    text += "rosbag2_bagfile_information:\n  relative_file_paths: [*a11]\n"
    (bag / "metadata.yaml").write_text(text, encoding="utf-8")
    good, _, _, extra_mb = _read(bag)
    assert good == 16
    assert extra_mb < MOST_EXTRA_MB


def test_metadata_that_is_too_large_is_ignored(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", Form())
    with (bag / "metadata.yaml").open("a", encoding="utf-8") as file:
        file.write("#" * (MAX_TEXT_BYTES + 1))
    recording = open_recording(bag)
    assert sum(1 for _ in recording.frames()) == 16
    recording.close()
