# SPDX-License-Identifier: Apache-2.0
"""Small files with huge claimed or decoded sizes are refused before memory is taken."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.files.limits import shown_size
from fusion_ros.imaging.compressed import decode_compressed, read_image_file
from fusion_ros.imaging.encodings import EncodingError, RejectReason

MOST_EXTRA_MB = 64
"""Largest memory growth while a file is refused."""


def png_of_zeros(side: int, colour: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    channels = {0: 1, 2: 3}[colour]
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(side * channels + 1)) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_claiming(width: int, height: int, order: str = "<") -> bytes:
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (277, 3, 1)]
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(f"{order}I" if kind == 4 else f"{order}HH", *[value, 0][: 5 - kind])
        data += struct.pack(f"{order}HHI", tag, kind, 1) + packed
    return data + bytes(4)


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


CLAIMS = {
    "grey.png": lambda: png_of_zeros(9000),
    "colour.png": lambda: png_of_zeros(9000, colour=2),
    "wide.jpg": lambda: jpeg_claiming(60000, 60000),
    "little.tiff": lambda: tiff_claiming(100000, 100000),
    "big.tif": lambda: tiff_claiming(100000, 100000, ">"),
    "plain.pgm": lambda: b"P5\n# comment\n70000 70000\n255\n" + bytes(100),
    "plain.ppm": lambda: b"P6 9000 9000 255\n" + bytes(100),
    "old.bmp": lambda: b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 90000, -90000, 1, 8),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_header_with_too_many_pixels_is_refused_before_decoding(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(CLAIMS[name]())
    with pytest.raises(EncodingError) as error:
        read_image_file(tmp_path / name)
    assert error.value.reason is RejectReason.TOO_LARGE


def test_limit_counts_bytes_of_16_bit_colour() -> None:
    """35 million pixels are within the limit; at eight bytes each they are not."""
    header = struct.pack(">IIBBBBB", 7000, 5000, 16, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(100)
    with pytest.raises(EncodingError) as error:
        decode_compressed(data)
    assert error.value.reason is RejectReason.TOO_LARGE


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tiff", ".pgm", ".ppm"])
def test_ordinary_files_of_every_kind_are_read(extension: str, tmp_path: Path) -> None:
    pixels = np.full((24, 40, 3) if extension != ".pgm" else (24, 40), 90, np.uint8)
    cv2.imwrite(str(tmp_path / f"a{extension}"), pixels)
    assert read_image_file(tmp_path / f"a{extension}").shape == pixels.shape


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_tiff_files_are_read(dtype: type, tmp_path: Path) -> None:
    pixels = np.arange(960, dtype=dtype).reshape(24, 40)
    cv2.imwrite(str(tmp_path / "a.tiff"), pixels)
    np.testing.assert_array_equal(read_image_file(tmp_path / "a.tiff"), pixels)


def test_other_kinds_of_data_are_refused_under_any_name(tmp_path: Path) -> None:
    data = cv2.imencode(".ras", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(EncodingError):
        read_image_file(tmp_path / "a.png")


def test_refused_image_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_of_zeros(12000))
    program = f"""
import resource
from pathlib import Path
from fusion_ros.imaging.compressed import decode_compressed, read_image_file
from fusion_ros.imaging.encodings import EncodingError
path = Path({str(tmp_path / "a.png")!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for read in (lambda: read_image_file(path), lambda: decode_compressed(path.read_bytes())):
    try:
        read()
    except EncodingError:
        continue
    raise SystemExit("not refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) / 1024 < MOST_EXTRA_MB


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (43_000_000, "43 MB"), (2**31, "2.1 GB")]
)
def test_sizes_are_shown_with_a_unit(count: int, text: str) -> None:
    assert shown_size(count) == text
