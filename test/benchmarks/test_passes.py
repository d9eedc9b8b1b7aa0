# SPDX-License-Identifier: Apache-2.0
"""Counting of the passes over pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.passes import STAGES, recorders
from fusion_ros.imaging import colour


def test_calls_and_bytes_of_a_stage_are_recorded() -> None:
    pixels = np.full((4, 6, 3), 90, np.uint8)
    with recorders() as found:
        grey = colour.luma(pixels)
    (call,) = found["luma and recolour"].calls
    assert call[:2] == ("cvtColor", pixels.nbytes + grey.nbytes)
    assert not found["tone"].calls


def test_opencv_is_back_after_an_error() -> None:
    with pytest.raises(KeyError), recorders():
        raise KeyError
    assert all(vars(module)["cv2"] is cv2 for modules in STAGES.values() for module in modules)
