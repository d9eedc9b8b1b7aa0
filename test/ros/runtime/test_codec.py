# SPDX-License-Identifier: Apache-2.0
"""Image messages to pixels and back, through real messages and real serialisation."""

from __future__ import annotations

import array
import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import RAW_ENCODINGS, ChannelOrder, EncodingError
from fusion_ros.nodes.runtime.codec import decode_image, encode_image

pytestmark = pytest.mark.ros
needs_cv_bridge = pytest.mark.skipif(
    importlib.util.find_spec("cv_bridge") is None, reason="cv_bridge is not installed"
)

BAYER = ("bayer_rggb", "bayer_bggr", "bayer_gbrg", "bayer_grbg")
# Encoding -> bytes a pixel.
COLOURS = {"mono8": 1, "rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4}
COLOURS |= {"rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8}
COLOURS |= {"yuv422": 2, "yuv422_yuy2": 2}
COLOURS |= {f"{pattern}{bits}": bits // 8 for pattern in BAYER for bits in (8, 16)}


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    encoding=st.sampled_from(["rgb8", "bgr8", "mono8"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pixels_are_unchanged_after_serialisation_and_back(height, width, encoding, seed):
    shape = (height, width) if encoding == "mono8" else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    order = ChannelOrder.GREY if encoding == "mono8" else ChannelOrder.RGB
    sent = encode_image(pixels, order, encoding, Header(frame_id="camera"))
    received = decode_image(deserialize_message(serialize_message(sent), Image))
    np.testing.assert_array_equal(received.as_rgb(), pixels)
    assert sent.step * sent.height == len(sent.data)


def test_the_bytes_are_given_as_the_one_type_that_is_not_checked_byte_by_byte():
    message = encode_image(np.zeros((4, 4), np.uint8), ChannelOrder.GREY, "mono8", Header())
    assert type(message.data) is array.array
    assert message.data.typecode == "B"


def test_decoding_a_raw_frame_copies_nothing():
    message = encode_image(np.zeros((4, 4, 3), np.uint8), ChannelOrder.RGB, "rgb8", Header())
    pixels = decode_image(message).pixels
    message.data[0] = 77
    assert pixels[0, 0, 0] == 77


def test_row_padding_and_big_endian_counts_are_honoured():
    rows = np.array([[1, 258], [515, 65535]], ">u2")
    padded = np.zeros((2, 6), np.uint8)
    padded[:, :4] = rows.view(np.uint8)
    message = Image(height=2, width=2, encoding="mono16", is_bigendian=1, step=6)
    message.data = array.array("B", padded.tobytes())
    np.testing.assert_array_equal(decode_image(message).pixels, [[1, 258], [515, 65535]])


@given(
    encoding=st.one_of(st.sampled_from(RAW_ENCODINGS), st.text(max_size=12)),
    height=st.integers(0, 2**32 - 1),
    width=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1),
    is_bigendian=st.integers(0, 255),
    size=st.integers(0, 4096),
)
@settings(max_examples=300)
def test_a_hostile_header_is_read_or_refused_and_nothing_else(
    encoding, height, width, step, is_bigendian, size
):
    message = Image(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=is_bigendian
    )
    message.data = array.array("B", bytes(size))
    try:
        frame = decode_image(message)
    except EncodingError:
        return  # anything else fails the test
    assert frame.pixels.shape[:2] == (height, width)


def image_message(encoding: str, rows: np.ndarray, *, is_bigendian: bool = False) -> Image:
    """6 x 8 pixels of these rows of bytes; further bytes of a row are padding."""
    message = Image(height=6, width=8, encoding=encoding, step=rows.shape[1])
    message.is_bigendian = int(is_bigendian)
    message.data = array.array("B", rows.tobytes())
    return message


@needs_cv_bridge
# A multiple of every pixel's bytes: cv_bridge misreads rows whose step is none.
@pytest.mark.parametrize("padding", [0, 24])
@pytest.mark.parametrize("encoding", COLOURS)
def test_ours_and_cv_bridge_s_colours_are_the_same(encoding, padding):
    from cv_bridge import CvBridge

    width_bytes = 8 * COLOURS[encoding] + padding
    message = image_message(
        encoding, np.random.default_rng(0).integers(0, 256, (6, width_bytes), dtype=np.uint8)
    )
    wanted = "mono8" if encoding == "mono8" else "rgb8"
    theirs = CvBridge().imgmsg_to_cv2(message, desired_encoding=wanted)
    np.testing.assert_array_equal(decode_image(message).as_rgb(), theirs)


@needs_cv_bridge
@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "32FC1", "8UC1"])
def test_ours_and_cv_bridge_s_counts_are_the_same(encoding):
    from cv_bridge import CvBridge

    size = {"32FC1": 4, "8UC1": 1}.get(encoding, 2)
    message = image_message(
        encoding, np.random.default_rng(0).integers(0, 64, (6, 8 * size + 8), dtype=np.uint8)
    )
    theirs = CvBridge().imgmsg_to_cv2(message, desired_encoding="passthrough")
    np.testing.assert_array_equal(decode_image(message).pixels, theirs)
