# SPDX-License-Identifier: Apache-2.0
"""A camera's messages are understood once, and nothing that changes is overlooked."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from rig import header
from sensor_msgs.msg import Image

from fusion_ros.nodes.codec import decode_image
from fusion_ros.nodes.repeated_header import RepeatedHeader
from fusion_ros.nodes.wire import read_image

RNG = np.random.default_rng(3)


def message(
    encoding: str = "mono16",
    shape: tuple[int, int] = (4, 6),
    *,
    padding: int = 0,
    frame_id: str = "camera",
    stamp_ms: float = 1000.0,
    bigendian: int = 0,
) -> Image:
    """Random pixels."""
    pixel_bytes = {"rgb8": 3, "bgr8": 3, "mono8": 1, "mono16": 2, "32FC1": 4}[encoding]
    height, width = shape
    step = width * pixel_bytes + padding
    made = Image(header=header(stamp_ms, frame_id), encoding=encoding, is_bigendian=bigendian)
    made.height, made.width, made.step = height, width, step
    made.data.frombytes(RNG.integers(0, 60, height * step, np.uint8).tobytes())
    return made


def known_of(serialized: bytes) -> RepeatedHeader | None:
    read = read_image(serialized)
    return RepeatedHeader.of(serialized, read, decode_image(read))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8", "mono16", "32FC1"])
@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("frame_id", ["", "a", "camera_optical"])  # moves the pixels by bytes
def test_the_next_message_is_read_as_if_it_were_the_first(encoding, padding, frame_id):
    same = {"padding": padding, "frame_id": frame_id}
    known = known_of(serialize_message(message(encoding, **same)))
    following = serialize_message(message(encoding, stamp_ms=1033.5, **same))
    head, frame = known.read(following)
    expected = read_image(following)
    assert head == expected.header
    assert (known.frame_id, known.encoding) == (frame_id, encoding)
    np.testing.assert_array_equal(frame.pixels, decode_image(expected).pixels)
    assert frame.order == decode_image(expected).order
    assert np.shares_memory(frame.pixels, np.frombuffer(following, np.uint8))


@pytest.mark.parametrize(
    "changed",
    [
        message("32FC1"),
        message("mono8"),
        message(shape=(6, 4)),
        message(shape=(5, 6)),
        message(padding=2),
        message(bigendian=1),
        message(frame_id="cameras"),
        message(frame_id="camerb"),
    ],
)
def test_whatever_else_changes_is_looked_at_anew(changed):
    known = known_of(serialize_message(message()))
    assert known.read(serialize_message(message(stamp_ms=5.0))) is not None
    assert known.read(serialize_message(changed)) is None


def test_a_message_that_was_cut_or_is_of_another_byte_order_is_looked_at_anew():
    serialized = serialize_message(message())
    known = known_of(serialized)
    assert known.read(serialized[:-1]) is None
    assert known.read(b"") is None
    assert known.read(bytes([0, 0]) + serialized[2:]) is None


def test_what_lies_in_the_gaps_between_fields_is_no_change():
    serialized = bytearray(serialize_message(message(frame_id="abcde")))
    known = known_of(bytes(serialized))
    gap = serialized.index(b"abcde\0") + 6
    serialized[gap] ^= 0xFF
    assert read_image(bytes(serialized)).height == 4
    assert known.read(bytes(serialized)) is not None


def test_pixels_that_had_to_be_copied_are_not_known_in_advance():
    made = Image(header=header(1000.0, "c"), encoding="rgba8", height=1, width=2, step=8)
    made.data.frombytes(bytes(8))
    assert known_of(serialize_message(made)) is None
    assert known_of(serialize_message(message(bigendian=1))) is None
