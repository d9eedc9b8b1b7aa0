# SPDX-License-Identifier: Apache-2.0
"""Outputs of detector exports become the boxes that they mean."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.detection.layouts import LAYOUTS, guess_layout

CELLS_64 = (8 * 8, 4 * 4, 2 * 2)


def decode(name: str, *outputs: np.ndarray):
    return LAYOUTS[name].decode(outputs, (64, 64))


def test_yolov5_multiplies_objectness_and_class() -> None:
    boxes, scores, classes = decode(
        "yolov5", np.array([[50, 40, 20, 10, 0.5, 0.2, 0.8]], np.float32)
    )
    assert boxes.tolist() == [[40, 35, 60, 45]]
    assert scores.tolist() == pytest.approx([0.4])
    assert classes.tolist() == [1]


def test_yolox_decodes_its_grid() -> None:
    output = np.zeros((sum(CELLS_64), 6), np.float32)
    # Second cell of the second row at stride 16: column 1, row 1.
    output[64 + 5] = [0.5, 0.25, np.log(2.0), np.log(1.0), 1.0, 0.9]
    boxes, scores, _ = decode("yolox", output)
    assert boxes[64 + 5].tolist() == pytest.approx([24 - 16, 20 - 8, 24 + 16, 20 + 8])
    assert scores[64 + 5] == pytest.approx(0.9)


def test_nanodet_plus_expects_the_distance_over_its_bins() -> None:
    output = np.full((sum(CELLS_64) + 1, 1 + 32), -30.0, np.float32)
    output[:, 0] = 0.0
    output[9, 0] = 0.7  # column 1, row 1 at stride 8
    for side, chosen in enumerate((1, 0, 2, 3)):
        output[9, 1 + side * 8 + chosen] = 30.0
    boxes, scores, _ = decode("nanodet-plus", output)
    assert boxes[9].tolist() == pytest.approx([8 - 8, 8 - 0, 8 + 16, 8 + 24], abs=1e-3)
    assert scores[9] == pytest.approx(0.7)


def test_nanodet_takes_its_six_outputs_in_either_order() -> None:
    scores = [np.zeros((n, 3), np.float32) for n in CELLS_64]
    sides = [np.full((n, 32), -30.0, np.float32) for n in CELLS_64]
    scores[1][5, 2] = 0.7  # column 1, row 1 at stride 16, whose middle is 24, 24
    for side, chosen in enumerate((1, 0, 2, 3)):
        sides[1][5, side * 8 + chosen] = 30.0
    interleaved = [output for pair in zip(scores, sides, strict=True) for output in pair]
    for outputs in ([*scores, *sides], interleaved):
        boxes, found, classes = decode("nanodet", *outputs)
        assert boxes[64 + 5].tolist() == pytest.approx([8, 24, 56, 72], abs=1e-3)
        assert (found[64 + 5], classes[64 + 5]) == (pytest.approx(0.7), 2)


@pytest.mark.parametrize(
    ("shapes", "classes", "layout"),
    [
        ([(84, 8400)], None, "yolov8"),
        ([(84, 8400)], 80, "yolov8"),
        ([(5, 8400)], 1, "yolov8"),
        ([(25200, 85)], 80, "yolov5"),
        ([(8400, 85)], 80, "yolox"),
        ([(300, 6)], 80, "end-to-end"),
        ([(8500, 112)], 80, "nanodet-plus"),
        ([(6400, 80), (1600, 80), (400, 80), (6400, 32), (1600, 32), (400, 32)], 80, "nanodet"),
        ([(7, 3)], None, None),
        ([(8400, 84)], 80, None),  # no export gives rows of boxes without objectness
        ([(84, 8400)], 3, None),  # the class names belong to another model
        ([(8400, 85), (8400, 85)], 80, None),
        ([(1, 84, 8400)], 80, None),
        ([()], None, None),
    ],
)
def test_exports_at_640_are_recognised_by_their_shapes(shapes, classes, layout: str | None) -> None:
    assert guess_layout(shapes, (640, 640), classes) == layout
