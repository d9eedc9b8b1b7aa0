# SPDX-License-Identifier: Apache-2.0
"""Radiometric JPEG files give their counts and embedded image, or are refused as data."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.imaging.encodings import ChannelOrder, EncodingError
from fusion_ros.recordings.file_pairs import find_pairs
from fusion_ros.recordings.image_files import read_frame
from fusion_ros.recordings.radiometric import counts_of, embedded_visible
from fusion_ros.streams.ledger import Stream

COUNTS = (np.arange(24 * 32).reshape(24, 32) * 7 + 7000).astype(np.uint16)
VISIBLE = np.full((48, 64, 3), (10, 20, 30), np.uint8)
RENDERING = cv2.applyColorMap(COUNTS.astype(np.uint8), cv2.COLORMAP_JET)


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """A rendering with application segments behind its start."""
    data = cv2.imencode(".jpg", RENDERING)[1].tobytes()
    extra = b"".join(
        bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(body) + 2) + body
        for number, body in segments
    )
    return data[:2] + extra + data[2:]


def flir(kind: str = "png", order: str = ">", part: int = 700, record_order: str = "<") -> bytes:
    """A FLIR file: counts as PNG or plain and a visible image, in segments of `part` bytes."""
    height, width = COUNTS.shape
    stored = COUNTS.byteswap() if record_order == "<" else COUNTS
    raw = cv2.imencode(".png", stored)[1].tobytes()
    subtype = {"png": 3, "little": 2, "big": 1}[kind]
    if kind != "png":
        raw = COUNTS.astype("<u2" if kind == "little" else ">u2").tobytes()
    seen = cv2.imencode(".png", VISIBLE)[1].tobytes()
    contents = [
        (1, subtype, struct.pack(f"{record_order}3H", 2, width, height).ljust(32, b"\0") + raw),
        (14, 4, struct.pack("<3H", 2, 64, 48).ljust(32, b"\0") + seen),
    ]
    unused = 6
    at = 64 + 32 * (len(contents) + unused)
    entries = body = b""
    for kind_number, sub, content in contents:
        place = struct.pack(f"{order}II", at + len(body), len(content))
        entries += (struct.pack(f"{order}HHII", kind_number, sub, 100, 1) + place).ljust(32, b"\0")
        body += content
    head = b"FFF\0" + b"CAMERA".ljust(16, b"\0") + struct.pack(f"{order}3I", 100, 64, 2 + unused)
    records = head.ljust(64, b"\0") + entries + bytes(32 * unused) + body
    parts = [records[n : n + part] for n in range(0, len(records), part)]
    return jpeg(
        *((1, b"FLIR\0\x01" + bytes([n, len(parts) - 1]) + piece) for n, piece in enumerate(parts))
    )


def dji(counts: bytes) -> bytes:
    return jpeg((3, counts[:1000]), (3, counts[1000:]), (4, b"\xaa\x55\x12\x06" + bytes(40)))


def dji_xts(counts: bytes) -> bytes:
    """A file as the Zenmuse XT S writes it: counts in APP4, other data in APP3."""
    made_by = b"Exif\0\0II*\0" + bytes(20) + b"DJI"
    return jpeg((1, made_by), (3, bytes(64)), (4, counts[:1000]), (4, counts[1000:]))


@pytest.mark.parametrize(
    "data",
    [
        flir(),
        flir("little"),
        flir("big"),
        flir(order="<"),
        flir(record_order=">"),
        dji(COUNTS.tobytes()),
        dji_xts(COUNTS.tobytes()),
        dji_xts(COUNTS.tobytes())[:-20],
    ],
    ids=[
        "png",
        "little",
        "big",
        "little directory",
        "big record",
        "dji",
        "dji XT S",
        "cut rendering",
    ],
)
def test_counts_are_read_instead_of_the_rendering(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    frame = read_frame(tmp_path / "a.jpg", Stream.THERMAL)
    assert frame.order is ChannelOrder.GREY
    assert frame.rendering_of == ""
    np.testing.assert_array_equal(frame.pixels, COUNTS)


def test_the_visible_camera_has_the_embedded_image_of_flir(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(flir())
    np.testing.assert_array_equal(read_frame(tmp_path / "a.jpg", Stream.VISIBLE).pixels, VISIBLE)


def test_a_file_that_holds_both_images_is_a_pair(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(flir())
    (tmp_path / "c.jpg").write_bytes(dji(COUNTS.tobytes()))
    match = find_pairs(tmp_path)
    assert [pair[:2] for pair in match.pairs] == [(tmp_path / n,) * 2 for n in ("a.jpg", "b.jpg")]
    assert [each.path.name for each in match.left] == ["c.jpg"]
    assert find_pairs(tmp_path / "a.jpg").pairs == match.pairs[:1]


@pytest.mark.parametrize(
    "data",
    [
        flir().replace(b"\x89PNG", b"\x89PIG"),
        jpeg((1, b"FLIR\0\x01\0\1" + bytes(500))),
        flir("big").replace(struct.pack("<3H", 2, 32, 24), struct.pack("<3H", 2, 0, 0)),
        dji(COUNTS.tobytes()[:-2]),
        dji(b"\1\0"),
        jpeg((2, b"\x01\x02\x03\x04IJPEG\0" + bytes(40))),
    ],
    ids=["damaged", "a segment is missing", "no size", "another size", "a pixel", "InfiRay"],
)
def test_a_rendering_without_readable_counts_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(EncodingError, match=r"a\.jpg .*rendering"):
        read_frame(tmp_path / "a.jpg", Stream.THERMAL)


def test_damaged_files_raise_no_other_error() -> None:
    random = np.random.default_rng(3)
    for data in (flir(), flir("little"), dji(COUNTS.tobytes())):
        for _ in range(500):
            bad = np.frombuffer(data, np.uint8).copy()
            bad[random.integers(2, 300, 4)] = random.integers(0, 256, 4)
            counts_of(bad.tobytes(), "FLIR")
            counts_of(bad.tobytes(), "DJI")
            embedded_visible(bad.tobytes()[: random.integers(2, len(data))])
