# SPDX-License-Identifier: Apache-2.0
"""Image files are read with their exact pixels, or refused."""

from __future__ import annotations

import base64
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, RejectReason
from fusion_ros.imaging.image_header import image_size, image_tags, radiometric_maker
from fusion_ros.recordings.image_files import orientations_differ, read_frame
from fusion_ros.streams.ledger import Stream

COUNTS = (np.arange(24 * 32).reshape(24, 32) + 7000).astype(np.uint16)
GREY = np.arange(24 * 32).reshape(24, 32).astype(np.uint8)
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAAJoAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34"
    "+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm"
    "4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAA"
    "AChjbGFwAAAAGAAAAAEAAAAQAAAAAf///9gAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAA"
    "AAAAAQABBYECAwWEAAAAom1kYXQAAACWKAGvBjIeGaLwiQXF7DctVGsacK9izsUj9ods6XuRxX88Xfg9HdNPJ2r+"
    "PQ++Pl5Q7tToJ1h9v8r/AfoAjsZnt+kE79kkbtycBYgjv0A9l+7559I7Y7ghPiCT+EU4N//xma/3oA2oBihPf+3L"
    "DfDk84L4nSDStFdPoyEZ/4rVOkAx0vbOxxw/nkzu/SLAiMmDsz9eOo/A"
)
"""24x16 pixels in two colours, written by pillow-heif, which the tests do not need."""
tifffile = pytest.importorskip("tifffile")


def png(path: Path, pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG with further chunks behind its header."""
    data = cv2.imencode(".png", pixels)[1].tobytes()
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    path.write_bytes(data[:33] + extra + data[33:])
    return path


def jpeg(path: Path, *segments: tuple[int, bytes]) -> Path:
    """A JPEG with application segments behind its start."""
    data = cv2.imencode(".jpg", np.dstack([GREY, GREY // 2, 255 - GREY]))[1].tobytes()
    extra = b"".join(
        bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(body) + 2) + body
        for number, body in segments
    )
    path.write_bytes(data[:2] + extra + data[2:])
    return path


def exif(orientation: int, make: bytes = b"") -> bytes:
    entries = [struct.pack("<HHI4s", 274, 3, 1, struct.pack("<HH", orientation, 0))]
    head = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    return head + b"".join(entries) + b"\0\0\0\0" + make


@pytest.mark.parametrize(
    "pixels",
    [
        COUNTS,
        COUNTS.astype(np.int16),
        COUNTS.astype(np.int32),
        COUNTS.astype(np.float32) / 100,
        COUNTS.astype(np.float64) / 100,
    ],
    ids=lambda pixels: str(pixels.dtype),
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_samples_keep_their_values(tmp_path: Path, pixels: np.ndarray, byteorder: str) -> None:
    tifffile.imwrite(tmp_path / "a.tiff", pixels, byteorder=byteorder)
    frame = read_frame(tmp_path / "a.tiff", Stream.THERMAL)
    np.testing.assert_allclose(frame.pixels, pixels, rtol=1e-6)
    assert frame.pixels.dtype in (np.uint16, np.float32)


def test_files_whose_values_would_change_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "negative.tiff", COUNTS.astype(np.int16) - 7100)
    tifffile.imwrite(tmp_path / "pages.tiff", np.stack([COUNTS, COUNTS]))
    tifffile.imwrite(tmp_path / "inverted.tiff", COUNTS, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "turned.tiff", COUNTS, extratags=[(274, "H", 1, 6, True)])
    transparent = np.dstack([GREY, GREY, GREY, GREY])  # alpha 0 here and there
    png(tmp_path / "transparent.png", transparent)
    for name, value in (
        ("turned.tiff", "6"),
        ("negative.tiff", "int16.*-100"),
        ("pages.tiff", "2"),
        ("inverted.tiff", "MINISWHITE"),
        ("transparent.png", "transparent"),
    ):
        with pytest.raises(EncodingError, match=f"{name} .*{value}") as refusal:
            read_frame(tmp_path / name, Stream.THERMAL)
        assert refusal.value.reason is RejectReason.UNKNOWN_ENCODING


def test_a_reduced_copy_of_a_page_is_no_page(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tiff") as file:
        file.write(COUNTS)
        file.write(COUNTS[::2, ::2], subfiletype=1)
    frame = read_frame(tmp_path / "a.tiff", Stream.THERMAL)
    np.testing.assert_array_equal(frame.pixels, COUNTS)


def test_opaque_alpha_and_grey_in_three_channels_are_grey_of_a_thermal_camera(
    tmp_path: Path,
) -> None:
    opaque = np.dstack([COUNTS, COUNTS, COUNTS, np.full_like(COUNTS, 65535)])
    for name, pixels in (("alpha", opaque), ("three", opaque[..., :3])):
        frame = read_frame(png(tmp_path / f"{name}.png", pixels), Stream.THERMAL)
        assert frame.order is ChannelOrder.GREY
        np.testing.assert_array_equal(frame.pixels, COUNTS)


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    picture = pillow.fromarray(GREY).convert("P")
    picture.putpalette([value for n in range(256) for value in (255 - n, n, 7)])
    picture.save(tmp_path / "a.png")
    frame = read_frame(tmp_path / "a.png", Stream.THERMAL)
    assert frame.order is ChannelOrder.BGR
    np.testing.assert_array_equal(frame.pixels[..., 1], GREY)


def test_gamma_is_applied_to_visible_images_and_never_to_counts(tmp_path: Path) -> None:
    linear = (b"gAMA", struct.pack(">I", 100_000))
    usual = (b"gAMA", struct.pack(">I", 45_455))
    counts = png(tmp_path / "counts.png", COUNTS, linear)
    np.testing.assert_array_equal(read_frame(counts, Stream.THERMAL).pixels, COUNTS)
    grey = png(tmp_path / "grey.png", GREY, linear)
    np.testing.assert_array_equal(read_frame(grey, Stream.THERMAL).pixels, GREY)
    # 255 * (100 / 255) ** (1 / 2.2) = 166.6
    seen = read_frame(grey, Stream.VISIBLE).pixels
    assert int(seen.reshape(-1)[100]) == 167
    plain = read_frame(png(tmp_path / "plain.png", GREY, usual), Stream.VISIBLE)
    np.testing.assert_array_equal(plain.pixels, GREY)


def test_orientation_is_read_and_differences_are_named(tmp_path: Path) -> None:
    turned = jpeg(tmp_path / "turned.jpg", (1, exif(6)))
    plain = jpeg(tmp_path / "plain.jpg")
    assert image_tags(turned.read_bytes()).orientation == 6
    assert "6 in turned.jpg and 1 in plain.jpg" in orientations_differ(turned, plain)
    assert orientations_differ(turned, turned) == ""
    assert read_frame(turned, Stream.VISIBLE).pixels.shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("maker", "segments"),
    [
        ("FLIR", [(0, b"JFIF\0"), (1, b"FLIR\0\x01\0\0" + bytes(60_000))]),
        ("DJI", [(1, exif(1, b"DJI\0")), (3, bytes(65_000))]),
        ("DJI", [(4, b"\xaa\x55\x12\x06" + bytes(40))]),
        ("InfiRay", [(2, b"\x01\x02\x03\x04IJPEG\0" + bytes(40))]),
        ("Parrot", [(1, b"PARROT\0II*\0" + bytes(40))]),
        ("", [(1, exif(1)), (3, bytes(100))]),
        ("", [(2, b"ICC_PROFILE\0" + bytes(100))]),
    ],
)
def test_a_radiometric_jpeg_is_known_by_its_segments(
    tmp_path: Path, maker: str, segments: list
) -> None:
    path = jpeg(tmp_path / "a.jpg", *segments)
    assert radiometric_maker(path.read_bytes()) == maker


def test_damaged_files_have_default_tags(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tiff", np.stack([COUNTS, COUNTS]))
    whole = [
        jpeg(tmp_path / "a.jpg", (1, exif(6)), (1, b"FLIR\0" + bytes(200))).read_bytes(),
        (tmp_path / "a.tiff").read_bytes(),
        png(tmp_path / "a.png", GREY, (b"gAMA", struct.pack(">I", 100_000))).read_bytes(),
    ]
    random = np.random.default_rng(3)
    for data in whole:
        for cut in range(300):
            image_tags(data[:cut])
        for _ in range(300):
            bad = np.frombuffer(data, np.uint8).copy()
            bad[random.integers(2, min(400, len(bad)), 3)] = random.integers(0, 256, 3)
            image_tags(bad.tobytes())


@pytest.mark.parametrize("quality", [101, 90], ids=["lossless", "lossy"])
def test_webp_is_read_and_a_cut_one_is_refused(quality: int, tmp_path: Path) -> None:
    colour = np.dstack([GREY, GREY // 2, 255 - GREY])
    data = cv2.imencode(".webp", colour, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    (tmp_path / "a.webp").write_bytes(data)
    size = image_size(data)
    assert size is not None
    assert (size.width, size.height) == (32, 24)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read_frame(tmp_path / "a.webp", Stream.VISIBLE).pixels, expected)
    (tmp_path / "cut.webp").write_bytes(data[: len(data) // 2])
    with pytest.raises(EncodingError):
        read_frame(tmp_path / "cut.webp", Stream.VISIBLE)


def test_the_size_limit_holds_for_webp(tmp_path: Path) -> None:
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff" * 2
    (tmp_path / "a.webp").write_bytes(b"RIFF" + struct.pack("<I", 22) + b"WEBP" + canvas)
    with pytest.raises(EncodingError) as refused:
        read_frame(tmp_path / "a.webp", Stream.VISIBLE)
    assert refused.value.reason is RejectReason.TOO_LARGE


def test_webp_has_orientation_and_pages() -> None:
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 274, 3, 1, 6, 0) + bytes(4)
    chunks = [(b"VP8X", bytes(10)), (b"ANMF", b"a"), (b"ANMF", b"b"), (b"EXIF", exif)]
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for kind, content in chunks
    )
    tags = image_tags(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)
    assert (tags.orientation, tags.pages) == (6, 2)


def test_heic_is_read_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    (tmp_path / "a.heic").write_bytes(HEIC)
    pixels = read_frame(tmp_path / "a.heic", Stream.VISIBLE).pixels
    assert pixels.shape == (16, 24, 3)
    # Two halves: (200, 60, 20) and (20, 90, 220) in RGB, with the loss of HEVC.
    np.testing.assert_allclose(pixels[8, 4], (20, 60, 200), atol=4)
    np.testing.assert_allclose(pixels[8, 20], (220, 90, 20), atol=4)
    for length in (len(HEIC) // 2, len(HEIC) - 20):
        (tmp_path / "cut.heic").write_bytes(HEIC[:length])
        with pytest.raises(EncodingError) as refused:
            read_frame(tmp_path / "cut.heic", Stream.VISIBLE)
        assert refused.value.reason is RejectReason.TRUNCATED


def test_without_the_library_heic_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(EncodingError, match="pi-heif") as refused:
        read_frame(tmp_path / "a.heic", Stream.VISIBLE)
    assert refused.value.reason is RejectReason.UNKNOWN_ENCODING
