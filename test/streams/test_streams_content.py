# SPDX-License-Identifier: Apache-2.0
"""Faults that are visible in pixels although every message can be read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fusion_ros.imaging.compressed import decode_compressed
from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame, decode_frame
from fusion_ros.streams.content import (
    ContentWatch,
    Fault,
    has_long_rows,
    has_swapped_bytes,
)
from fusion_ros.streams.ledger import Stream

Y, X = np.mgrid[0:120, 0:160]
MS = 1_000_000


def counts(low: float, span: float, noise: float, seed: int = 0) -> np.ndarray:
    bump = np.exp(-((X - 60) ** 2 + (Y - 50) ** 2) / 300.0)
    picture = low + span * (0.5 * X / 160 + 0.5 * bump)
    picture = picture + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return picture.clip(0, 65535).astype(np.uint16)


@given(
    low=st.floats(1000, 40000),
    span=st.floats(100, 8000),
    noise=st.floats(0, 20),
    seed=st.integers(0, 99),
)
def test_thermal_images_are_not_reported_as_swapped(low, span, noise, seed):
    assert not has_swapped_bytes(counts(low, span, noise, seed))


@given(
    low=st.floats(1000, 40000),
    span=st.floats(300, 8000),
    noise=st.floats(0.5, 10),
    seed=st.integers(0, 99),
)
@example(low=4099.0, span=300.0, noise=1.0, seed=1)  # all high bytes are 16
def test_swapped_thermal_images_are_reported(low, span, noise, seed):
    assert has_swapped_bytes(counts(low, span, noise, seed).byteswap())


def test_a_swapped_narrow_range_is_reported():
    for low in (30000, 29950, 7930):
        assert has_swapped_bytes(counts(low, 40, 3).byteswap())
        assert not has_swapped_bytes(counts(low, 40, 3))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((20, 20), np.uint16),
        np.full((20, 20), 30000, np.uint16),
        (counts(0, 250, 2) << 8),
        (counts(0, 250, 2) * 257),
        np.random.default_rng(0).integers(0, 65536, (120, 160)).astype(np.uint16),
        np.random.default_rng(0).integers(0, 4096, (120, 160)).astype(np.uint16) * 16,
        np.zeros((1, 1), np.uint16),
        np.full((20, 20), np.nan, np.float32),
        np.zeros((20, 20), np.float32),
    ],
)
def test_ambiguous_images_are_not_reported(pixels):
    assert not has_swapped_bytes(pixels)


def test_swapped_floats_are_numbers_that_no_camera_sends():
    degrees = (20 + counts(0, 30, 0.1).astype(np.float32) + 0.123).astype(np.float32)
    assert not has_swapped_bytes(degrees)
    assert has_swapped_bytes(degrees.byteswap())


def test_sixteen_bit_rows_named_mono8_are_too_long_and_padding_is_not():
    data = counts(8000, 900, 3).tobytes()
    named = decode_frame(data, encoding="mono8", height=120, width=160, step=320)
    assert has_long_rows(named.pixels)
    for step in (160, 192, 256):
        padded = decode_frame(bytes(step * 120), encoding="mono8", height=120, width=160, step=step)
        assert not has_long_rows(padded.pixels)


def test_a_fault_is_reported_once_and_ends_with_the_evidence():
    watch = ContentWatch(Stream.THERMAL)
    good = PixelFrame(counts(8000, 900, 3), ChannelOrder.GREY)
    bad = PixelFrame(good.pixels.byteswap(), ChannelOrder.GREY)
    changes = [watch.examine(bad, "mono16", n * 250 * MS) for n in range(20)]
    assert [c.fault for found in changes for c in found] == [Fault.BYTE_ORDER]
    assert watch.active == {Fault.BYTE_ORDER}
    assert not watch.is_due(20 * 250 * MS - 1)
    assert watch.is_due(20 * 250 * MS)
    for n in range(20, 40):
        assert watch.examine(good, "mono16", n * 250 * MS) == ()
    assert watch.active == frozenset()


def test_one_odd_frame_among_good_ones_is_no_fault():
    watch = ContentWatch(Stream.THERMAL)
    good = PixelFrame(counts(8000, 900, 3), ChannelOrder.GREY)
    bad = PixelFrame(good.pixels.byteswap(), ChannelOrder.GREY)
    for n in range(50):
        assert watch.examine(bad if n == 20 else good, "mono16", n * 300 * MS) == ()


def test_a_radiometric_jpeg_is_a_fault_of_its_stream_at_once():
    """A compressed message of a FLIR camera shows its rendering; the counts lie in a segment."""
    jpeg = cv2.imencode(".jpg", np.tile(np.arange(160, dtype=np.uint8), (120, 1)))[1].tobytes()
    segment = b"\xff\xe1\x00\x20FLIR\0" + bytes(25)
    watch = ContentWatch(Stream.THERMAL)
    frame = decode_compressed(jpeg[:2] + segment + jpeg[2:], format="jpeg")
    assert [change.fault for change in watch.examine(frame, "jpeg", 0)] == [Fault.RENDERING]
    assert not ContentWatch(Stream.THERMAL).examine(decode_compressed(jpeg), "jpeg", 0)
