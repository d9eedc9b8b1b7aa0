# SPDX-License-Identifier: Apache-2.0
"""Small bags in every form that rosbag2 writes, built from the format descriptions themselves."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from backports import zstd
from lz4.frame import compress as lz4_compress
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, STRING = "sensor_msgs/msg/Image", "std_msgs/msg/String"
VISIBLE, THERMAL, OTHER, EMPTY = "/camera/color/image_raw", "/lwir/image_raw", "/notes", "/empty"
BEGIN_NS, PERIOD_NS = 1_700_000_000 * 10**9, 33_333_333
FRAMES = 8
MAGIC = b"\x89MCAP0\r\n"


class Written(NamedTuple):
    """One message of a test bag."""

    topic: str
    kind: str
    log_ns: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class Form:
    """Form of a written bag. `chunks` is None for an mcap file without chunks."""

    storage: str = "mcap"
    compression: str = "none"
    chunks: str | None = ""
    files: int = 1
    metadata: bool = True
    closed: bool = True
    indexes: bool = True
    profile: str = "ros2"
    definitions: bool = True
    checksums: bool = True
    qos: str = "- strange: ["


def picture(number: int, topic: str, height: int = 12, width: int = 16) -> np.ndarray:
    """Pixels that differ from frame to frame and camera to camera."""
    shape = (height, width, 3) if topic == VISIBLE else (height, width)
    seed = 2 * number + (topic == VISIBLE)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def messages(count: int = FRAMES, height: int = 12, width: int = 16) -> list[Written]:
    """Both cameras, and a topic of another kind."""
    found = []
    for number in range(count):
        stamp = BEGIN_NS + number * PERIOD_NS
        for at, topic in enumerate((VISIBLE, THERMAL)):
            pixels = picture(number, topic, height, width)
            log_ns = stamp + 1000 * at
            found.append(Written(topic, IMAGE, log_ns, image(pixels, stamp)))
        note = TYPES.types[STRING](f"note {number}")
        data = bytes(TYPES.serialize_cdr(note, STRING))
        found.append(Written(OTHER, STRING, stamp + 5000, data))
    return found


def image(pixels: np.ndarray, stamp_ns: int) -> bytes:
    """A serialised image message."""
    time = TYPES.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    message = TYPES.types[IMAGE](
        header=TYPES.types["std_msgs/msg/Header"](time, "camera"),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding="rgb8" if pixels.ndim == 3 else "mono8",
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.reshape(-1),
    )
    return bytes(TYPES.serialize_cdr(message, IMAGE))


def write(folder: Path, form: Form, written: Sequence[Written] | None = None) -> Path:
    """Write a bag into a new folder; returns it."""
    written = messages() if written is None else list(written)
    folder.mkdir(parents=True)
    names = []
    size = -(-len(written) // form.files)
    for number in range(form.files):
        part = written[number * size : (number + 1) * size]
        if form.compression == "message":
            part = [m._replace(data=zstd.compress(m.data)) for m in part]
        is_last = number == form.files - 1
        closed = form.closed or not is_last
        path = folder / f"{folder.name}_{number}.{'mcap' if form.storage == 'mcap' else 'db3'}"
        (mcap if form.storage == "mcap" else sqlite)(path, part, form, closed)
        if form.compression == "file" and closed:
            packed = path.with_name(path.name + ".zstd")
            packed.write_bytes(zstd.compress(path.read_bytes()))
            path.unlink()
            path = packed
        names.append(path.name)
    if form.metadata:
        write_metadata(folder, form, names, written)
    return folder


def write_metadata(folder: Path, form: Form, names: list[str], written: Sequence[Written]) -> None:
    """metadata.yaml as rosbag2 writes it."""
    counts = Counter((m.topic, m.kind) for m in written)
    counts[EMPTY, IMAGE] = 0
    topics = [
        {
            "topic_metadata": {
                "name": topic, "type": kind, "serialization_format": "cdr",
                "offered_qos_profiles": "", "type_description_hash": "",
            },
            "message_count": count,
        }
        for (topic, kind), count in counts.items()
    ]  # fmt: skip
    mode = form.compression if form.compression != "none" else ""
    content = {
        "version": 8, "storage_identifier": form.storage, "relative_file_paths": names,
        "duration": {"nanoseconds": 10**9},
        "starting_time": {"nanoseconds_since_epoch": BEGIN_NS},
        "message_count": len(written), "topics_with_message_count": topics,
        "compression_format": "zstd" if mode else "", "compression_mode": mode,
        "ros_distro": "jazzy", "custom_data": None, "files": [],
    }  # fmt: skip
    text = yaml.safe_dump({"rosbag2_bagfile_information": content})
    (folder / "metadata.yaml").write_text(text, encoding="utf-8")


def _text(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<I", len(data)) + data


def record(opcode: int, content: bytes) -> bytes:
    """One mcap record."""
    return struct.pack("<BQ", opcode, len(content)) + content


def chunk(records: bytes, kind: str, begin_ns: int, end_ns: int, *, checksum: bool = True) -> bytes:
    """A chunk record."""
    pack = {"": bytes, "lz4": lz4_compress, "zstd": zstd.compress}[kind]
    packed = pack(records)
    crc = zlib.crc32(records) if checksum else 0
    head = struct.pack("<QQQI", begin_ns, end_ns, len(records), crc)
    return record(6, head + _text(kind) + struct.pack("<Q", len(packed)) + packed)


def mcap(
    path: Path,
    written: Sequence[Written],
    form: Form,
    closed: bool = True,
    encoding: str = "cdr",
) -> None:
    """An mcap file with one chunk for every four messages."""
    kinds = list(dict.fromkeys([*(m.kind for m in written), IMAGE]))
    topics = list(dict.fromkeys([*((m.topic, m.kind) for m in written), (EMPTY, IMAGE)]))
    declared = b"".join(
        record(3, struct.pack("<H", n) + _text(kind) + _text("ros2msg") + _text("string data"))
        for n, kind in enumerate(kinds, 1)
    )
    for n, (topic, kind) in enumerate(topics):
        known = form.definitions or kind == IMAGE
        schema = kinds.index(kind) + 1 if known else 0
        qos = _text("offered_qos_profiles") + _text(form.qos)
        channel = struct.pack("<HH", n, schema) + _text(topic) + _text(encoding) + _text(qos)
        declared += record(4, channel)
    numbers = {topic: n for n, (topic, _) in enumerate(topics)}
    out = bytearray(MAGIC + record(1, _text(form.profile) + _text("a test")))
    chunk_indexes = b""
    for at in range(0, len(written), 4):
        part = written[at : at + 4]
        records, places = bytearray(declared if at == 0 else b""), []
        for m in part:
            places.append((numbers[m.topic], m.log_ns, len(records)))
            head = struct.pack("<HIQQ", numbers[m.topic], 0, m.log_ns, m.log_ns)
            records += record(5, head + m.data)
        begin_ns, end_ns = min(m.log_ns for m in part), max(m.log_ns for m in part)
        if form.chunks is None:
            out += records
            continue
        start = len(out)
        out += chunk(bytes(records), form.chunks, begin_ns, end_ns, checksum=form.checksums)
        length, offsets, index_start = len(out) - start, b"", len(out)
        packed = length - 9 - 40 - len(form.chunks)
        for number in sorted({p[0] for p in places}) if form.indexes else ():
            offsets += struct.pack("<HQ", number, len(out))
            entries = b"".join(struct.pack("<QQ", ns, o) for n, ns, o in places if n == number)
            out += record(7, struct.pack("<H", number) + _text(entries))
        head = struct.pack("<QQQQ", begin_ns, end_ns, start, length) + _text(offsets)
        tail = _text(form.chunks) + struct.pack("<QQ", packed, len(records))
        chunk_indexes += record(8, head + struct.pack("<Q", len(out) - index_start) + tail)
    if closed:
        out += record(15, struct.pack("<I", 0))
        summary_start = len(out)
        counts = Counter(numbers[m.topic] for m in written)
        times = [m.log_ns for m in written] or [0]
        head = struct.pack("<QHIIIIQQ", len(written), len(kinds), len(topics), 0, 0,
                           chunk_indexes.count(b"\x08") and 1, min(times), max(times))  # fmt: skip
        totals = b"".join(struct.pack("<HQ", n, count) for n, count in counts.items())
        out += declared + chunk_indexes + record(11, head + _text(totals))
        footer = struct.pack("<BQQQ", 2, 20, summary_start, 0)
        crc = zlib.crc32(bytes(out[summary_start:]) + footer)
        out += footer + struct.pack("<I", crc) + MAGIC
    path.write_bytes(out)


def sqlite(path: Path, written: Sequence[Written], form: Form, closed: bool = True) -> None:
    """A .db3 file; one that is not closed has half of its messages in the write-ahead log."""
    live = path.with_name("live.db3")
    base = sqlite3.connect(live)
    if not closed:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA wal_autocheckpoint = 0")
    base.executescript(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,"
        " serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);"
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,"
        " timestamp INTEGER NOT NULL, data BLOB NOT NULL);"
        "CREATE INDEX timestamp_idx ON messages (timestamp ASC);"
    )
    topics = list(dict.fromkeys([*((m.topic, m.kind) for m in written), (EMPTY, IMAGE)]))
    for number, (topic, kind) in enumerate(topics, 1):
        base.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr', '')", (number, topic, kind))
    numbers = {topic: n for n, (topic, _) in enumerate(topics, 1)}
    for at, m in enumerate(written):
        if at == len(written) // 2:
            base.commit()
            base.execute("PRAGMA wal_checkpoint(FULL)")
        row = (numbers[m.topic], m.log_ns, m.data)
        base.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", row)
    base.commit()
    for file in path.parent.glob("live.db3*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, path.with_name(file.name.replace("live.db3", path.name)))
    base.close()
    for file in path.parent.glob("live.db3*"):
        file.unlink()
