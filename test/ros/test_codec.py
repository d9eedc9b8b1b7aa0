# SPDX-License-Identifier: Apache-2.0
"""Image messages to pixels and back, through real messages and real serialisation."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import RAW_ENCODINGS, ChannelOrder, EncodingError
from fusion_ros.nodes.codec import decode_image, encode_image, has_cv_bridge

pytestmark = pytest.mark.ros


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    encoding=st.sampled_from(["rgb8", "bgr8", "mono8"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_goes_out_over_the_wire_comes_back(height, width, encoding, seed):
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


@pytest.mark.skipif(not has_cv_bridge(), reason="cv_bridge is not installed")
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
def test_ours_and_cv_bridge_s_answers_are_the_same(encoding):
    from cv_bridge import CvBridge

    channels = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}[encoding]
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7 * channels), dtype=np.uint8)
    message = Image(height=6, width=7, encoding=encoding, step=7 * channels)
    message.data = array.array("B", pixels.tobytes())
    wanted = "mono8" if encoding == "mono8" else "rgb8"
    theirs = CvBridge().imgmsg_to_cv2(message, desired_encoding=wanted)
    np.testing.assert_array_equal(decode_image(message).as_rgb(), theirs)
