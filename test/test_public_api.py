# SPDX-License-Identifier: Apache-2.0
"""`fusion_ros.fuse` and `fusion_ros.FusionPipeline`, imported on first use."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import fusion_ros

HEAVY = ("numpy", "cv2", "torch", "openvino", "rclpy")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, fusion_ros; fusion_ros.__version__; "
        f"print([name for name in {HEAVY} if name in sys.modules], "
        "[name for name in sys.modules if name.startswith('fusion_ros.')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[] []"


def test_public_names_are_those_of_the_pipeline_module() -> None:
    from fusion_ros import pipeline

    assert fusion_ros.FusionPipeline is pipeline.FusionPipeline
    assert fusion_ros.fuse is pipeline.fuse


def test_other_names_raise_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        fusion_ros.no_such_name  # noqa: B018


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_fuse_returns_the_shape_and_type_of_the_visible_image(dtype: type) -> None:
    rng = np.random.default_rng(0)
    visible = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    thermal = rng.integers(0, 256, (24, 32)).astype(dtype)
    for image in (visible, visible[..., 0].copy()):
        fused = fusion_ros.fuse(image, thermal)
        assert (fused.shape, fused.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("missing", [0, 1])
def test_an_image_that_could_not_be_read_is_refused_by_its_name(missing: int) -> None:
    images: list[Any] = [np.zeros((16, 16), np.uint8)] * 2
    images[missing] = None  # the result of cv2.imread
    with pytest.raises(TypeError, match=["visible is None", "thermal is None"][missing]):
        fusion_ros.fuse(*images)


def test_fuse_keeps_the_channel_order() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    thermal = rng.integers(0, 256, (48, 64), dtype=np.uint8)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    np.testing.assert_array_equal(
        fusion_ros.fuse(bgr, thermal, order="bgr")[..., ::-1], fusion_ros.fuse(rgb, thermal)
    )


def test_calls_of_fuse_are_independent_and_share_one_pipeline(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    first, second = (
        (rng.integers(0, 256, (48, 64, 3), np.uint8), rng.integers(0, high, (48, 64), np.uint16))
        for high in (200, 60_000)
    )
    alone = fusion_ros.fuse(*first)
    monkeypatch.setattr(fusion_ros.FusionPipeline, "from_preset", None)  # made once a process
    fusion_ros.fuse(*second)
    np.testing.assert_array_equal(fusion_ros.fuse(*first), alone)
