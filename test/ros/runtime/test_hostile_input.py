# SPDX-License-Identifier: Apache-2.0
"""Anything that can be put into a message or a parameter: no crash, no memory, every case counted.

A bounded search: FUZZ_EXAMPLES sets its length. `make attack` does the same to the real program.
"""

from __future__ import annotations

import array
import contextlib
import math
import os
import tempfile
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import EXOTIC_ENCODINGS, RAW_ENCODINGS
from fusion_ros.nodes.fuse.frame_flow import FrameFlow
from fusion_ros.nodes.fuse.fusion_lane import FusionLane
from fusion_ros.nodes.fuse.reporting.counters import Counters
from fusion_ros.nodes.runtime.wire import read_compressed_image, read_image
from fusion_ros.parameters import SPECS, FuseParameters, ParameterError
from fusion_ros.parameters.files import read_parameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.streams.ledger import Stream

from rig import AveragingEngine  # isort: skip

pytestmark = pytest.mark.ros

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
MEMORY_BYTES = 64 * 1024 * 1024

encodings = st.one_of(
    st.sampled_from([*RAW_ENCODINGS, *EXOTIC_ENCODINGS, "", "16UC3", "jpeg", "rgb8\0"]),
    st.text(max_size=40),
)
sizes = st.one_of(st.integers(0, 40), st.sampled_from([2**16, 2**31 - 1, 2**32 - 1]))
stamps = st.builds(
    Time,
    sec=st.sampled_from([0, 1, 100, -1, 2**31 - 1, -(2**31)]),
    nanosec=st.sampled_from([0, 1, 999_999_999, 1_000_000_000, 2**32 - 1]),
)
headers = st.builds(Header, stamp=stamps, frame_id=st.text(max_size=5))
floats = st.lists(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e38, -1e38, 20.0]),
    max_size=64,
).map(lambda values: np.array(values, np.float32).tobytes())


@st.composite
def images(draw):
    message = Image(header=draw(headers), encoding=draw(encodings))
    message.height, message.width = draw(sizes), draw(sizes)
    tight = min(message.width * draw(st.sampled_from([1, 2, 3, 4, 8])), 2**32 - 1)
    message.step = draw(st.one_of(st.just(tight), sizes))
    message.is_bigendian = draw(st.integers(0, 255))
    data = draw(st.one_of(st.binary(max_size=256), floats))
    wanted = message.step * message.height
    if draw(st.booleans()) and data and wanted < 2**16:  # as long as it says it is
        data = (data * (wanted // len(data) + 1))[:wanted]
    message.data = array.array("B", data)
    return message


def written(suffix: str, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


@st.composite
def compressed_images(draw):
    data = bytearray(draw(st.sampled_from([written(".png", 0), written(".jpg", 0), b"", b"\0"])))
    for _ in range(draw(st.integers(0, 8))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(data)))
    message = CompressedImage(header=draw(headers), format=draw(st.text(max_size=30)))
    message.data = array.array("B", bytes(data[:cut] if draw(st.booleans()) else data))
    return message


@st.composite
def serialized_images(draw):
    """A serialised message, sometimes damaged, and the reader of its topic."""
    message = draw(st.one_of(images(), compressed_images()))
    serialized = bytearray(serialize_message(message))
    for _ in range(draw(st.sampled_from([0, 0, 1, 4]))):
        serialized[draw(st.integers(0, min(len(serialized), 64) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del serialized[draw(st.integers(0, len(serialized))) :]
    compressed = isinstance(message, CompressedImage) != (draw(st.integers(0, 9)) == 9)
    return bytes(serialized), read_compressed_image if compressed else read_image


def new_flow() -> tuple[Counters, FrameFlow]:
    counters, values = Counters(lambda text: None), FuseParameters()
    lane = FusionLane(FusionPipeline(AveragingEngine()), values, counters, lambda output: {})
    return counters, FrameFlow(lane, values, counters)


@BOUNDED
@given(
    st.lists(
        st.tuples(st.sampled_from(list(Stream)), serialized_images()),
        min_size=1,
        max_size=12,
    )
)
def test_any_message_ends_in_one_count_and_takes_no_memory(frames):
    counters, flow = new_flow()
    flow.start()
    tracemalloc.start()
    try:
        for stream, (serialized, read) in frames:
            flow.take(stream, stream.value, serialized, read)
        flow.stop()
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()
    counts = counters.ledger.snapshot()
    for stream in Stream:
        sent = sum(1 for s, _ in frames if s is stream)
        of_stream = getattr(counts, stream.value)
        assert (of_stream.received, of_stream.pending) == (sent, 0)
        assert "internal_error" not in of_stream.rejected_by_reason


def test_a_png_that_claims_to_be_huge_is_refused_before_it_is_unpacked():
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    claim = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", claim) + chunk(b"IDAT", zlib.compress(b"\0" * 999))
    message = CompressedImage(header=Header(stamp=Time(sec=1)), format="mono8; png")
    message.data = array.array("B", data + chunk(b"IEND", b""))
    counters, flow = new_flow()
    flow.take(Stream.THERMAL, "thermal", serialize_message(message), read_compressed_image)
    assert counters.ledger.snapshot().thermal.rejected == 1


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=60),
    st.sampled_from(["0,0", "1,2; 3,4", "a,b", ";;", ",", "nan", "/nowhere", "calibrated"]),
    st.lists(st.integers(), max_size=3),
)


@BOUNDED
@given(
    st.dictionaries(
        st.one_of(st.sampled_from([spec.name for spec in SPECS]), st.text(max_size=20)),
        values,
        max_size=6,
    )
)
def test_any_parameters_are_taken_or_refused_by_name(given_values):
    known = {spec.name for spec in SPECS}
    try:
        taken = FuseParameters.from_values(given_values)
    except ParameterError as error:
        groups = {name.partition("_")[0] + "_" for name in given_values}
        text = str(error)
        assert any(name in text or repr(name)[1:-1] in text for name in given_values) or any(
            group in text for group in groups
        )
        return
    assert set(given_values) <= known
    for name, value in given_values.items():
        assert getattr(taken, name) == value


yaml_words = st.sampled_from(
    ["/**:", "ros__parameters:", "\n", "  ", "- ", ": ", "&a ", "*a", "<<: ", "{", "}", "[", "]"]
    + ["!!python/name:os.system ", "!!binary ", "!!timestamp ", "2001-13-41", "1e999", "0o9", "'"]
    + [spec.name for spec in SPECS[:8]]
)
yaml_texts = st.lists(st.one_of(yaml_words, st.text(max_size=6)), max_size=30).map("".join)


@BOUNDED
@given(st.one_of(st.binary(max_size=400), yaml_texts.map(lambda text: text.encode("utf-8"))))
def test_any_content_of_a_parameter_file_is_read_or_refused(content):
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(content)
        file.flush()
        with contextlib.suppress(ParameterError):
            FuseParameters.from_values(read_parameters(Path(file.name)))
