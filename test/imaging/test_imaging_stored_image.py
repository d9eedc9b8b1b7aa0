# SPDX-License-Identifier: Apache-2.0
"""Decoder of image files and messages: complete images are read, cut ones refused."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.imaging.compressed import decode_compressed, decode_stored
from fusion_ros.imaging.encodings import EncodingError, RejectReason
from fusion_ros.recordings.image_files import read_frame
from fusion_ros.recordings.opening import open_recording
from fusion_ros.streams.ledger import Stream

COLOUR = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8), (0, 0), 2
)
PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
RESTARTS = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]


def encoded(extension: str, pixels: np.ndarray = COLOUR, options: list[int] | None = None) -> bytes:
    return cv2.imencode(extension, pixels, options or [])[1].tobytes()


def decoded(data: bytes) -> np.ndarray | None:
    return decode_stored(data)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an EXIF orientation tag and a thumbnail with an end marker."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff + b"\xff\xd8\xff\xd9"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


JPEGS = pytest.mark.parametrize(
    "jpeg",
    [
        encoded(".jpg"),
        encoded(".jpg", COLOUR[..., 0]),
        encoded(".jpg", COLOUR, PROGRESSIVE),
        encoded(".jpg", COLOUR, RESTARTS),
        with_orientation(encoded(".jpg"), 6),
    ],
    ids=["colour", "grey", "progressive", "restarts", "exif"],
)


@JPEGS
@pytest.mark.parametrize("missing", [1, 2])
def test_jpeg_without_end_marker_is_read_completely(jpeg, missing):
    np.testing.assert_array_equal(decoded(jpeg[:-missing]), decoded(jpeg))


@JPEGS
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_jpeg_with_missing_pixels_is_refused(jpeg, share):
    assert decoded(jpeg[: int(share * len(jpeg))]) is None


@given(seed=st.integers(0, 2**32 - 1), quality=st.integers(20, 100), missing=st.integers(3, 400))
def test_cut_jpeg_is_never_filled(seed, quality, missing):
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 56), np.uint8)
    jpeg = encoded(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    found = decoded(jpeg[:-missing])
    assert found is None or np.array_equal(found, decoded(jpeg))


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tiff", ".bmp", ".ppm"])
@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\xff" * 7, b"trailing words"])
def test_bytes_after_the_image_are_ignored(extension, tail):
    data = encoded(extension)
    np.testing.assert_array_equal(decoded(data + tail), decoded(data))


@pytest.mark.parametrize("extension", [".png", ".tiff", ".bmp", ".ppm"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_other_cut_files_are_refused(extension, share):
    data = encoded(extension)
    assert decoded(data[: int(share * len(data))]) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_tag_is_ignored(orientation):
    np.testing.assert_array_equal(
        decoded(with_orientation(encoded(".jpg"), orientation)), decoded(encoded(".jpg"))
    )


def test_alpha_is_dropped_and_sixteen_bit_colour_reduced():
    alpha = np.full(COLOUR.shape[:2], 9, np.uint8)
    np.testing.assert_array_equal(decoded(encoded(".png", np.dstack([COLOUR, alpha]))), COLOUR)
    deep = COLOUR.astype(np.uint16) * 257
    np.testing.assert_array_equal(decoded(encoded(".png", deep)), COLOUR)
    np.testing.assert_array_equal(
        decoded(encoded(".png", np.dstack([deep, alpha.astype(np.uint16)]))), COLOUR
    )


def test_sixteen_bit_grey_stored_as_colour_is_kept():
    counts = COLOUR[..., 0].astype(np.uint16) * 31 + 7000
    for stored in (counts, np.dstack([counts] * 3), np.dstack([counts] * 4)):
        np.testing.assert_array_equal(decoded(encoded(".png", stored)), counts)


def test_a_palette_is_resolved():
    image = pytest.importorskip("PIL.Image")
    import io

    file = io.BytesIO()
    image.fromarray(COLOUR[..., ::-1]).quantize(16).save(file, "PNG")
    found = decoded(file.getvalue())
    assert found.shape == COLOUR.shape
    assert np.abs(found.astype(int) - COLOUR).mean() < 12


def _from_folder(folder: Path, file: bytes, name: str) -> np.ndarray:
    for sub, data in (("vis", encoded(".png", COLOUR[..., 0])), ("ir", file)):
        (folder / sub).mkdir()
        (folder / sub / (f"a{name}" if sub == "ir" else "a.png")).write_bytes(data)
    recording = open_recording(folder / "vis", partner=folder / "ir")
    frames = {frame.stream.value: frame for frame in recording.frames()}
    return frames["thermal"].read().pixels


@pytest.mark.parametrize("pixels", [COLOUR[..., 1], COLOUR[..., 1].astype(np.uint16) * 200])
@pytest.mark.parametrize("tail", [b"", b"\0" * 99])
def test_message_folder_and_file_give_the_same_pixels(tmp_path, pixels, tail):
    eight_bit = pixels.dtype == np.uint8
    name = ".jpg" if eight_bit else ".png"
    data = encoded(name, pixels)
    data = (data[:-2] if eight_bit and not tail else data) + tail
    (tmp_path / f"file{name}").write_bytes(data)
    expected = decoded(encoded(name, pixels))
    for found in (
        decode_compressed(data).pixels,
        _from_folder(tmp_path, data, name),
        read_frame(tmp_path / f"file{name}", Stream.THERMAL).pixels,
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_cut_jpeg_is_refused_by_message_folder_and_file(tmp_path):
    data = encoded(".jpg")[:-40]
    (tmp_path / "file.jpg").write_bytes(data)
    with pytest.raises(EncodingError) as error:
        decode_compressed(data)
    assert error.value.reason is RejectReason.TRUNCATED
    with pytest.raises(EncodingError):
        _from_folder(tmp_path, data, ".jpg")
    for stream in Stream:
        with pytest.raises(EncodingError):
            read_frame(tmp_path / "file.jpg", stream)
