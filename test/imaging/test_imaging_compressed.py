# SPDX-License-Identifier: Apache-2.0
"""JPEG and PNG messages: decoding, refusal of hostile data, sizes from headers."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.imaging.compressed import decode_compressed, encode_jpeg
from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, RejectReason
from fusion_ros.imaging.image_header import image_size

COLOUR = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def file(extension: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(extension, pixels)[1].tobytes()


@pytest.mark.parametrize(
    "pixels",
    [COLOUR, COLOUR[..., 0], COLOUR[..., 0].astype(np.uint16) * 257],
    ids=["colour", "grey", "16-bit"],
)
def test_png_is_decoded_losslessly(pixels):
    frame = decode_compressed(file(".png", pixels))
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.order is (ChannelOrder.BGR if pixels.ndim == 3 else ChannelOrder.GREY)


def test_alpha_is_dropped():
    with_alpha = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 7, np.uint8)])
    np.testing.assert_array_equal(decode_compressed(file(".png", with_alpha)).pixels, COLOUR)


@pytest.mark.parametrize("order", [ChannelOrder.RGB, ChannelOrder.BGR])
def test_encoded_jpeg_is_decoded_approximately(order):
    smooth = cv2.GaussianBlur(COLOUR, (0, 0), 6)
    frame = decode_compressed(encode_jpeg(smooth, order, quality_percent=95))
    expected = smooth if order is ChannelOrder.BGR else smooth[..., ::-1]
    assert np.abs(frame.pixels.astype(int) - expected).mean() < 2


def test_a_side_beyond_those_of_jpeg_is_refused_without_a_line_of_opencv(capfd):
    with pytest.raises(EncodingError):
        encode_jpeg(np.zeros((65_501, 1), np.uint8), ChannelOrder.GREY, quality_percent=90)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("extension", [".jpg", ".png", ".bmp", ".tiff"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (480, 640, 3)])
def test_the_size_is_known_before_decoding(extension, shape):
    data = memoryview(file(extension, np.zeros(shape, np.uint8)))
    assert image_size(data)[:2] == (shape[1], shape[0])


def test_small_file_claiming_a_huge_image_is_refused_before_decoding():
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    bomb += struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(EncodingError) as error:
        decode_compressed(bomb)
    assert error.value.reason is RejectReason.TOO_LARGE


def test_other_transports_are_refused_as_unknown_encoding():
    with pytest.raises(EncodingError, match="compressedDepth png") as error:
        decode_compressed(b"\0" * 100, format="16UC1; compressedDepth png")
    assert error.value.reason is RejectReason.UNKNOWN_ENCODING


@given(
    data=st.sampled_from([file(".png", COLOUR), file(".jpg", COLOUR)]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
)
def test_damaged_files_are_read_or_refused(data, cut, flips):
    damaged = bytearray(data[: round(cut * len(data))])
    for place, value in flips:
        if damaged:
            damaged[int(place * len(damaged))] = value
    try:
        frame = decode_compressed(bytes(damaged))
    except EncodingError:
        return  # anything else fails the test
    assert frame.pixels.size
