# SPDX-License-Identifier: Apache-2.0
"""Fused frames that are the visible ones are noticed at every rate."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.pipeline import FusedFrame
from fusion_ros.streams.content import EffectWatch, Fault

VISIBLE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
CHANGED = VISIBLE.copy()
CHANGED[17, 23, 1] ^= 1


def fused(image: np.ndarray, thermal: np.ndarray = VISIBLE[..., 0]) -> FusedFrame:
    return FusedFrame(image, ChannelOrder.RGB, {}, thermal)


def take(watch: EffectWatch, frame: FusedFrame, now_ns: int) -> None:
    if watch.is_due(now_ns):
        watch.compare(VISIBLE, frame, now_ns)


@pytest.mark.parametrize(
    ("image", "fault"),
    [(VISIBLE.copy(), Fault.NO_EFFECT), (np.zeros_like(VISIBLE), Fault.NO_CONTENT)],
    ids=["visible", "black"],
)
@pytest.mark.parametrize("rate_hz", [1, 5, 9, 30, 60, 120])
def test_a_missing_effect_is_noticed_within_five_frames_or_two_seconds(
    rate_hz: int, image: np.ndarray, fault: Fault
) -> None:
    watch = EffectWatch()
    for n in range(max(5, 2 * rate_hz)):
        take(watch, fused(image), n * 10**9 // rate_hz)
    assert watch.fault is fault
    for n in range(max(5, 2 * rate_hz), max(5, 2 * rate_hz) + max(1, rate_hz)):
        take(watch, fused(CHANGED), n * 10**9 // rate_hz)
    assert watch.fault is None


@pytest.mark.parametrize(
    ("celsius", "fault"),
    [
        (None, None), (-99.0, None), (1999.0, None),
        (-101.0, Fault.UNIT), (29042.0, Fault.UNIT), (float("nan"), Fault.UNIT),
    ],
)  # fmt: skip
def test_implausible_temperatures_are_noticed(celsius: float | None, fault: Fault | None) -> None:
    watch = EffectWatch()
    for n in range(5):
        watch.compare(VISIBLE, fused(CHANGED), n * 250_000_000, celsius)
    assert watch.fault is fault
    assert ("29042 C" in watch.text) is (celsius == 29042.0)


def test_single_frames_without_effect_are_no_fault() -> None:
    watch = EffectWatch()
    for n in range(40):
        watch.compare(VISIBLE, fused(CHANGED if n % 3 == 0 else VISIBLE), n * 250_000_000)
        assert watch.fault is None


def test_a_closed_shutter_does_not_count() -> None:
    watch = EffectWatch()
    for n in range(20):
        watch.compare(VISIBLE, fused(VISIBLE, np.zeros((48, 64), np.uint8)), n * 250_000_000)
    assert watch.fault is None
