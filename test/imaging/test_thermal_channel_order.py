# SPDX-License-Identifier: Apache-2.0
"""A colour thermal image has the same luma in every channel order and storage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.imaging.colour import luma
from fusion_ros.imaging.encodings import ChannelOrder, decode_frame
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.bags.writer import BagWriter
from fusion_ros.recordings.image_files import read_frame
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.sampled_pairs import read_pairs
from fusion_ros.replay.run import FusedSink, Replay
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.streams.ledger import Stream
from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions

RAMP = np.tile(np.arange(256, dtype=np.uint8), (48, 1))
BGR = cv2.applyColorMap(RAMP, cv2.COLORMAP_INFERNO)
GREY = luma(BGR, order="bgr")
ALPHA = np.full((*BGR.shape[:2], 1), 200, np.uint8)
STORED = {
    "rgb8": BGR[..., ::-1],
    "bgr8": BGR,
    "rgba8": np.concatenate([BGR[..., ::-1], ALPHA], axis=2),
    "bgra8": np.concatenate([BGR, ALPHA], axis=2),
    "8UC3": BGR,
    "rgb16": BGR[..., ::-1].astype(np.uint16) * 257,
    "bgr16": BGR.astype(np.uint16) * 257,
}
VISIBLE = np.full((48, 256), 90, np.uint8)


class ThermalEngine:
    """Returns the thermal image, which shows the grey levels after the tone mapper."""

    visible_channels = output_channels = 1

    def infer(self, visible: np.ndarray, thermal: np.ndarray, **_: object) -> np.ndarray:
        return thermal.copy()

    def warm_up(self, height: int, width: int) -> None:
        pass

    def describe(self):
        from fusion_ros.engines.engine import EngineDescription

        return EngineDescription("thermal", "cpu", "uint8", "none", "0" * 64, {})

    def close(self) -> None:
        pass


def pipeline() -> FusionPipeline:
    return FusionPipeline(ThermalEngine(), tone=ThermalToneMapper(ToneOptions(eight_bit="pass")))


def message_bytes(encoding: str) -> dict:
    pixels = np.ascontiguousarray(STORED[encoding])
    height, width = pixels.shape[:2]
    return {
        "data": pixels.reshape(-1).view(np.uint8),
        "encoding": encoding,
        "height": height,
        "width": width,
        "step": pixels.strides[0],
    }


@pytest.mark.parametrize("encoding", STORED)
def test_decoded_message_has_same_luma_in_every_order(encoding):
    frame = decode_frame(**message_bytes(encoding))
    fused = pipeline().fuse(VISIBLE, frame.pixels, thermal_order=frame.order)
    np.testing.assert_array_equal(fused.image, GREY)
    alone = pipeline().thermal_alone(frame.pixels, None, thermal_order=frame.order)
    np.testing.assert_array_equal(alone, GREY)


def write_bag(path: Path, encoding: str) -> Path:
    with BagWriter(path) as bag:
        for n in range(3):
            stamp_ns = 1_700_000_000 * 10**9 + n * 33_333_333
            times = {"stamp_ns": stamp_ns, "log_ns": stamp_ns}
            data = VISIBLE.reshape(-1)
            bag.raw_image(
                "/camera/image_raw", data, encoding="mono8", height=48, width=256, step=256, **times
            )
            bag.raw_image("/thermal/image_raw", **message_bytes(encoding), **times)
    return path


class Keep(FusedSink):
    def __init__(self) -> None:
        self.fused: list[np.ndarray] = []

    def take(self, entry, visible, thermal, fused) -> None:
        self.fused.append(fused)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("encoding", STORED)
def test_replayed_and_calibrated_bags_have_that_luma(tmp_path, encoding):
    bag = write_bag(tmp_path / "bag", encoding)
    kept = Keep()
    settings = ReplaySettings(
        measures=(), baselines=(), measure_in_background=False, detect_shutter=False
    )
    recording = open_recording(bag)
    Replay(recording, pipeline(), settings, (kept,)).run()
    recording.close()
    assert len(kept.fused) == 3
    for fused in kept.fused:
        np.testing.assert_array_equal(fused, GREY)
    for _, _, thermal in read_pairs(bag):
        np.testing.assert_array_equal(thermal, GREY)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.bmp"])
def test_image_file_has_that_luma(tmp_path, name):
    for pixels in (BGR, STORED["bgra8"]) if name != "a.bmp" else (BGR,):
        cv2.imwrite(str(tmp_path / name), pixels)
        frame = read_frame(tmp_path / name, Stream.THERMAL)
        np.testing.assert_array_equal(luma(frame.pixels, order=frame.order), GREY)


@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.sampled_from([ChannelOrder.RGB, ChannelOrder.BGR]),
)
def test_swapping_channels_and_order_has_no_effect(seed, order):
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    other = ChannelOrder.BGR if order is ChannelOrder.RGB else ChannelOrder.RGB
    visible = np.zeros((12, 16), np.uint8)
    first = pipeline().fuse(visible, pixels, thermal_order=order).image
    swapped = np.ascontiguousarray(pixels[..., ::-1])
    second = pipeline().fuse(visible, swapped, thermal_order=other).image
    np.testing.assert_array_equal(first, second)
