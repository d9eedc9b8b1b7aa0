# SPDX-License-Identifier: Apache-2.0
"""Messages read from their bytes: against rclpy's own serialisation, and where they are broken."""

from __future__ import annotations

import array
import struct

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.utilities import get_rmw_implementation_identifier
from rig import Rig, header
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.nodes.runtime.wire import WireError, read_compressed_image, read_image, write_image

pytestmark = pytest.mark.ros

numbers = st.integers(0, 2**32 - 1)
# A C string ends at its first zero, so rclpy can send none that goes on.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
headers = st.builds(
    Header,
    stamp=st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=numbers),
    frame_id=texts,
)
images = st.builds(
    Image,
    header=headers,
    height=numbers,
    width=numbers,
    encoding=texts,
    is_bigendian=st.integers(0, 255),
    step=numbers,
    data=st.binary(max_size=40).map(lambda data: array.array("B", data)),
)
compressed_images = st.builds(
    CompressedImage,
    header=headers,
    format=texts,
    data=st.binary(max_size=40).map(lambda data: array.array("B", data)),
)


def fields(message) -> tuple:
    """Of an Image or CompressedImage, rclpy's or ours, as plain values."""
    stamp = getattr(message.header, "stamp", message.header)
    names = ("height", "width", "encoding", "is_bigendian", "step", "format")
    rest = tuple(getattr(message, name, None) for name in names)
    return stamp.sec, stamp.nanosec, message.header.frame_id, *rest, bytes(message.data)


@given(images)
def test_an_image_reads_as_rclpy_reads_it(message):
    assert fields(read_image(serialize_message(message))) == fields(message)


@given(compressed_images)
def test_a_compressed_image_reads_as_rclpy_reads_it(message):
    assert fields(read_compressed_image(serialize_message(message))) == fields(message)


@given(st.binary(max_size=120), st.sampled_from([b"\0\0\0\0", b"\0\1\0\0", b""]))
def test_any_bytes_are_refused_or_read_as_rclpy_reads_them(body, encapsulation):
    serialized = encapsulation + body
    try:
        ours = read_image(serialized)
    except WireError:
        return  # rclpy lets more pass than is sound
    assert fields(ours) == fields(deserialize_message(serialized, Image))


@pytest.mark.parametrize("representation", [0, 6])
def test_a_big_endian_sender_is_understood(representation):
    serialized = bytes([0, representation, 0, 0]) + struct.pack(
        ">iII4sIII5sB2xII4s", 7, 8, 4, b"cam\0", 2, 1, 5, b"mono\0", 1, 2, 4, b"abcd"
    )
    image = read_image(serialized)
    assert image.header == (7, 8, "cam")
    assert (image.height, image.width, image.encoding) == (2, 1, "mono")
    assert (image.is_bigendian, image.step, bytes(image.data)) == (1, 2, b"abcd")


def whole() -> bytes:
    image = Image(header=header(1000, "camera"), height=2, width=2, encoding="mono8", step=2)
    image.data = array.array("B", b"abcd")
    return serialize_message(image)


@pytest.mark.parametrize("kept", range(len(whole())))
def test_an_image_truncated_anywhere_is_refused(kept):
    with pytest.raises(WireError, match=r"begins with|truncated"):
        read_image(whole()[:kept])


def test_a_length_beyond_the_end_is_refused_without_allocating_memory():
    serialized = bytearray(whole())
    serialized[-8:-4] = b"\xff\xff\xff\xff"
    with pytest.raises(WireError, match="4294967295"):
        read_image(bytes(serialized))


@pytest.mark.parametrize("begin", [b"\0\3\0\0", b"\1\1\0\0", b"\0\x0a\0\0"])
def test_another_representation_than_plain_cdr_is_named(begin):
    with pytest.raises(WireError, match=begin[:2].hex(" ")):
        read_image(begin + whole()[4:])


@given(
    header=headers,
    encoding=texts,
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3])),
)
def test_rclpy_reads_the_images_that_we_write(header, encoding, shape):
    rows = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    stamp = header.stamp.sec, header.stamp.nanosec
    written = write_image(stamp, header.frame_id, shape[:2], encoding, rows)

    message = deserialize_message(bytes(written), Image)

    assert message.header == header
    assert (message.height, message.width) == shape[:2]
    assert (message.encoding, message.is_bigendian) == (encoding, 0)
    assert message.step == shape[1] * shape[2]
    assert bytes(message.data) == rows.tobytes()


def test_the_pixels_are_a_view_on_the_message():
    serialized = whole()
    assert read_image(serialized).data.obj is serialized


def test_a_malformed_message_is_counted_and_the_node_goes_on(ros):
    rig = Rig(ros)
    rig.visible.publish(whole()[:-2])
    rig.send_pair(1100)
    rig.wait_for_fused(1)
    # Cyclone DDS drops the message itself (docs/how-to/secure-the-topics.md).
    counted = (
        {} if get_rmw_implementation_identifier() == "rmw_cyclonedds_cpp" else {"malformed": 1}
    )
    assert rig.counts()["visible"]["rejected_by_reason"] == counted
