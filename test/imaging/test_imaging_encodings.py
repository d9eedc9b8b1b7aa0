# SPDX-License-Identifier: Apache-2.0
"""Raw encodings: bytes to pixels and back, refusal of contradicting headers."""

from __future__ import annotations

import array
import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_ros.imaging import encodings
from fusion_ros.imaging.encodings import (
    EXOTIC_ENCODINGS,
    RAW_ENCODINGS,
    ChannelOrder,
    EncodingError,
    RejectReason,
    decode_frame,
    encode,
)


def decode(data: object, **header: object) -> np.ndarray:
    return decode_frame(data, **header).as_rgb()


TYPES = {"mono16": np.uint16, "16UC1": np.uint16, "32FC1": np.float32}
CHANNELS = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "8UC4": 4}
CHANNELS |= {"rgb16": 3, "bgr16": 3, "16UC3": 3, "rgba16": 4, "bgra16": 4, "16UC4": 4}
TYPES |= dict.fromkeys([name for name in CHANNELS if "16" in name], np.uint16)


def pixels_for(encoding: str, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return random pixels in the encoding's type and channel order."""
    channels = CHANNELS.get(encoding, 1)
    shape = (height, width) if channels == 1 else (height, width, channels)
    values = np.random.default_rng(seed).integers(0, 256 if encoding not in TYPES else 65536, shape)
    return values.astype(TYPES.get(encoding, np.uint8))


def as_message_bytes(pixels: np.ndarray, padding: int, big_endian: bool) -> tuple[bytes, int]:
    """Serialise row by row with `padding` bytes after each, as a slow reference."""
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = [row.tobytes() + b"\xa5" * padding for row in stored]
    return b"".join(rows), len(rows[0])


@given(
    encoding=st.sampled_from(RAW_ENCODINGS),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 11),
    big_endian=st.booleans(),
)
def test_raw_encodings_are_read_at_any_padding_and_byte_order(
    encoding: str, height: int, width: int, padding: int, big_endian: bool
) -> None:
    pixels = pixels_for(encoding, height, width)
    data, step = as_message_bytes(pixels, padding, big_endian)
    read = decode(
        data, encoding=encoding, height=height, width=width, step=step, is_bigendian=big_endian
    )
    expected = pixels
    if pixels.ndim == 3:
        order = [0, 1, 2] if encoding.startswith("rgb") else [2, 1, 0]
        expected = pixels[:, :, order]
        if expected.dtype == np.uint16:
            expected = np.rint(expected / 257).astype(np.uint8)
    assert read.dtype == expected.dtype
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8", "mono16", "32FC1"])
def test_native_pixels_are_a_read_only_view_of_the_message(encoding: str) -> None:
    pixels = pixels_for(encoding, 6, 8)
    data = array.array("B", pixels.tobytes())
    frame = decode_frame(data, encoding=encoding, height=6, width=8, step=len(data) // 6)
    assert np.shares_memory(frame.pixels, np.frombuffer(data, np.uint8))
    assert not frame.pixels.flags.writeable
    assert frame.order.value == {"rgb8": "rgb", "bgr8": "bgr"}.get(encoding, "grey")


@given(
    encoding=st.sampled_from(encodings.OUTPUT_ENCODINGS),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    order=st.sampled_from([ChannelOrder.RGB, ChannelOrder.BGR]),
)
def test_encoded_pixels_are_decoded_unchanged(
    encoding: str, height: int, width: int, order: ChannelOrder
) -> None:
    pixels = pixels_for(encoding, height, width)
    data, step = encode(pixels, encoding, order=order)
    assert data.dtype == np.uint8
    assert data.flags.c_contiguous
    assert data.size == step * height
    read = decode(data, encoding=encoding, height=height, width=width, step=step)
    expected = pixels[:, :, ::-1] if pixels.ndim == 3 and order is ChannelOrder.BGR else pixels
    np.testing.assert_array_equal(read, expected)


def test_grey_written_as_colour_has_three_equal_channels() -> None:
    data, step = encode(np.array([[7, 200]], np.uint8), "bgr8")
    assert data.tolist() == [7, 7, 7, 200, 200, 200]
    assert step == 6


def test_colour_written_as_grey_is_its_luma_in_either_channel_order() -> None:
    rgb = np.array([[[255, 0, 0]]], np.uint8)
    assert encode(rgb, "mono8")[0].tolist() == [76]  # 0.299 * 255
    assert encode(rgb[:, :, ::-1], "mono8", order="bgr")[0].tolist() == [76]


def test_encoding_without_conversion_makes_no_copy() -> None:
    rgb = pixels_for("rgb8", 4, 4)
    assert np.shares_memory(encode(rgb, "rgb8")[0], rgb)


@pytest.mark.parametrize(
    ("pixels", "encoding", "reason"),
    [
        (np.zeros((2, 2), np.uint8), "jpeg", RejectReason.UNKNOWN_ENCODING),
        (np.zeros((0, 2), np.uint8), "mono8", RejectReason.ZERO_SIZE),
        (np.zeros((2, 2), np.uint8), "mono16", RejectReason.BAD_SIZE),
        (np.zeros((2, 2, 3), np.uint16), "rgb8", RejectReason.BAD_SIZE),
    ],
)
def test_pixels_that_do_not_fit_their_encoding_are_refused(
    pixels: np.ndarray, encoding: str, reason: RejectReason
) -> None:
    with pytest.raises(EncodingError) as caught:
        encode(pixels, encoding)
    assert caught.value.reason is reason


GOOD = {"data": bytes(24), "encoding": "rgb8", "height": 2, "width": 4, "step": 12}


@pytest.mark.parametrize(
    ("change", "reason", "names"),
    [
        ({"data": bytes(23)}, "truncated", "23 bytes"),
        ({"data": b""}, "truncated", "0 bytes"),
        ({"height": 0}, "zero_size", "height is 0"),
        ({"width": 0}, "zero_size", "width is 0"),
        ({"width": -4}, "zero_size", "width is -4"),
        ({"step": 11}, "bad_step", "step is 11"),
        ({"step": 0}, "bad_step", "step is 0"),
        ({"encoding": "rgb9"}, "unknown_encoding", "'rgb9'"),
        ({"encoding": "16FC1"}, "unknown_encoding", "32FC1"),  # not in sensor_msgs either
        ({"encoding": "RGB8"}, "unknown_encoding", "'RGB8'"),
        ({"encoding": None}, "unknown_encoding", "None"),
        ({"encoding": "x" * 10**6}, "unknown_encoding", "xxx..."),
        ({"height": 2**32 - 1, "width": 2**32 - 1}, "too_large", "4294967295 x 4294967295"),
        ({"encoding": "yuyv", "width": 3, "step": 6}, "bad_size", "3 x 2"),
        ({"encoding": "nv12", "height": 3, "step": 4}, "bad_size", "4 x 3"),
    ],
)
def test_contradicting_header_is_refused_with_reason_and_value(
    change: dict, reason: str, names: str
) -> None:
    decode(**GOOD)
    with pytest.raises(EncodingError) as caught:
        decode(**{**GOOD, **change})
    assert caught.value.reason.value == reason
    assert names in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_padding_of_the_last_row_may_be_missing() -> None:
    read = decode(bytes(range(10)), encoding="mono8", height=2, width=4, step=6)
    assert read.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]


SIZES = st.one_of(st.integers(0, 12), st.integers(-(2**40), 2**40), st.sampled_from([2**31, 2**32]))


@settings(max_examples=500)
@given(
    data=st.binary(max_size=200),
    encoding=st.one_of(st.sampled_from(RAW_ENCODINGS + EXOTIC_ENCODINGS), st.text(max_size=8)),
    height=SIZES,
    width=SIZES,
    step=SIZES,
    big_endian=st.booleans(),
)
def test_hostile_headers_are_read_at_that_size_or_refused(
    data: bytes, encoding: str, height: int, width: int, step: int, big_endian: bool
) -> None:
    shape = None
    with contextlib.suppress(EncodingError):
        shape = decode(
            data, encoding=encoding, height=height, width=width, step=step, is_bigendian=big_endian
        ).shape[:2]
    assert shape in (None, (height, width))


@pytest.mark.parametrize(
    ("encoding", "cell"),
    [
        ("bayer_rggb8", [["R", "G"], ["G", "B"]]),
        ("bayer_bggr8", [["B", "G"], ["G", "R"]]),
        ("bayer_gbrg8", [["G", "B"], ["R", "G"]]),
        ("bayer_grbg16", [["G", "R"], ["B", "G"]]),
    ],
)
def test_a_bayer_mosaic_of_one_colour_is_that_colour(encoding: str, cell: list) -> None:
    wide = encoding.endswith("16")
    value = {"R": 200, "G": 100, "B": 50}
    mosaic = np.tile([[value[c] for c in row] for row in cell], (4, 4))
    mosaic = (mosaic * 257).astype(np.uint16) if wide else mosaic.astype(np.uint8)
    read = decode(mosaic, encoding=encoding, height=8, width=8, step=8 * mosaic.itemsize)
    np.testing.assert_array_equal(read[2:6, 2:6], np.full((4, 4, 3), [200, 100, 50]))


# BT.601 video range: grey Y = 126 is (126 - 16) * 255 / 219 = 128; V = 240 adds 1.596 * 112 = 179
# to red and takes 0.813 * 112 = 91 from green.
@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"])
def test_yuv_is_read_as_bt601_video_range(encoding: str) -> None:
    y, u, v = 126, 128, 240
    if encoding in ("yuv422", "uyvy"):
        data, step = np.tile(np.array([u, y, v, y], np.uint8), (4, 2)), 8
    elif encoding.startswith(("yuv422_", "yuyv")):
        data, step = np.tile(np.array([y, u, y, v], np.uint8), (4, 2)), 8
    else:
        chroma = [u, v] if encoding == "nv12" else [v, u]
        data, step = np.array([[y] * 4] * 4 + [chroma * 2] * 2, np.uint8), 4
    read = decode(data, encoding=encoding, height=4, width=4, step=step)
    np.testing.assert_allclose(read, np.full((4, 4, 3), [255, 37, 128]), atol=2)
