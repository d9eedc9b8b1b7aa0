# SPDX-License-Identifier: Apache-2.0
"""Monitor of the alignment of both images."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import cv2
import numpy as np
import pytest

from fusion_ros.registration.alignment import AlignmentMonitor
from fusion_ros.registration.structure import array_median


@pytest.fixture
def scene() -> np.ndarray:
    rng = np.random.default_rng(4)
    image = np.full((512, 900), 90, np.uint8)
    for _ in range(60):
        x, y = (int(v) for v in rng.integers(0, [900, 512]))
        w, h = (int(v) for v in rng.integers(20, 120, 2))
        cv2.rectangle(image, (x, y), (x + w, y + h), int(rng.integers(0, 256)), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def other_sense(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the same edges with inverted, nonlinear greys and noise, as from another sensor."""
    bent = 255 * (1 - (image / 255.0) ** 2)
    noise = np.random.default_rng(seed).normal(0, 6, image.shape)
    return np.clip(bent + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (24, 0), (-16, 12), (0, -28)])
def test_shift_after_a_knock_is_measured(scene: np.ndarray, dx: int, dy: int) -> None:
    visible = scene[100:412, 120:760]
    # An image shifted right by dx shows the scene dx further left.
    thermal = other_sense(scene)[100 - dy : 412 - dy, 120 - dx : 760 - dx]
    found = AlignmentMonitor().evaluate(visible, thermal)
    assert found.shift_x_px == pytest.approx(dx, abs=2.5)
    assert found.shift_y_px == pytest.approx(dy, abs=2.5)
    assert found.clearness > 6
    if dx == dy == 0:
        assert found.score == pytest.approx(1.0)
    else:
        assert found.score < 0.6


def test_unrelated_images_have_low_clearness() -> None:
    rng = np.random.default_rng(0)
    visible, thermal = (
        cv2.GaussianBlur(rng.normal(128, 60, (256, 320)), (0, 0), 3).astype(np.uint8)
        for _ in range(2)
    )
    assert AlignmentMonitor().evaluate(visible, thermal).clearness < 6


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_empty_images_have_no_score(grey: int) -> None:
    flat = np.full((60, 80), grey, np.uint8)
    assert np.isnan(AlignmentMonitor().evaluate(flat, flat).score)


@pytest.mark.parametrize("hz", [1, 5, 9, 30, 60, 120])
def test_evaluation_rate_is_independent_of_the_camera_rate(scene: np.ndarray, hz: int) -> None:
    monitor, small = AlignmentMonitor(period_s=0.5), scene[:60, :80]
    results = [monitor(small, small, now_s=100 + n / hz) for n in range(4 * hz)]
    assert len({id(result) for result in results}) == pytest.approx(4 * min(hz, 2), abs=1)
    monitor.reset()
    assert monitor.last is None


def test_period_zero_disables_the_evaluation(scene: np.ndarray) -> None:
    monitor = AlignmentMonitor(period_s=0)
    assert monitor(scene, scene, now_s=0.0) is None


def test_knock_is_detected_after_a_long_aligned_time(scene: np.ndarray) -> None:
    monitor = AlignmentMonitor()
    for n in range(30):
        monitor(scene[100:412, 120:760], other_sense(scene[100:412, 120:760], n), now_s=n)
    for n in range(15):
        shown = other_sense(scene[100:412, 90:730], n)
        found = monitor(scene[100:412, 120:760], shown, now_s=30 + n)
    assert found.shift_x_px == pytest.approx(30, abs=3)


def test_image_of_one_column_takes_no_extra_memory() -> None:
    column = np.tile(np.arange(250, dtype=np.uint8), 8)[:, None]
    tracemalloc.start()
    try:
        AlignmentMonitor()(column, column, now_s=0.0)
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(1,), (2,), (7, 5), (8, 6)])
def test_array_median_is_numpys(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    assert array_median(values) == pytest.approx(np.median(values), abs=1e-7)


def test_evaluation_loads_no_masked_arrays() -> None:
    # They take 9 MB of every node's memory.
    code = (
        "import sys; import numpy as np; "
        "from fusion_ros.registration.alignment import AlignmentMonitor; "
        "image = np.zeros((512, 640), np.uint8); AlignmentMonitor().evaluate(image, image); "
        "sys.exit('numpy.ma' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
