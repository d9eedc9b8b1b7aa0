# SPDX-License-Identifier: Apache-2.0
"""A detector in an ONNX file: boxes in pixels of the image, one line where it is unusable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detector_models import CELL, SIDE, bright_cells, constant_outputs

from fusion_ros.detection import LAYOUTS, DetectorError, OnnxDetector, overlap


def lamp(column: int, row: int, width: int = 128, height: int = 64) -> np.ndarray:
    image = np.zeros((height, width), np.uint8)
    cell = CELL * width // SIDE
    image[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = 255
    return image


def test_boxes_are_in_pixels_of_the_image_before_letterboxing(tmp_path: Path) -> None:
    detector = OnnxDetector(bright_cells(tmp_path / "model.onnx"))
    (found,) = (d for d in detector.detect(lamp(1, 0)) if d.score > 0.6)
    assert (detector.layout, found.label) == ("yolov8", "lamp")
    # 128x64 shrinks by 2 into the middle of 64x64: bars of 16 above and below.
    assert found.box == pytest.approx((32, 0, 64, 32), abs=0.01)
    assert found.score == pytest.approx(1.0, abs=0.01)


def rows(*boxes: tuple[float, ...]) -> list[np.ndarray]:
    """End-to-end output: x1, y1, x2, y2, score, class."""
    return [np.array([boxes], np.float32)]


def test_overlapping_boxes_of_one_class_are_one_and_of_merged_classes_too(tmp_path: Path) -> None:
    boxes = rows((0, 0, 20, 20, 0.9, 0), (1, 0, 21, 20, 0.8, 1), (0, 1, 20, 21, 0.7, 0))
    path = constant_outputs(tmp_path / "model.onnx", boxes, "['car', 'truck']")
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    apart = OnnxDetector(path).detect(image)
    assert [(d.label, round(d.score, 1)) for d in apart] == [("car", 0.9), ("truck", 0.8)]
    merged = OnnxDetector(path, merge={"car": "vehicle", "truck": "vehicle"}).detect(image)
    assert [(d.label, round(d.score, 1)) for d in merged] == [("vehicle", 0.9)]


def test_boxes_below_the_floor_and_boxes_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    boxes = rows((0, 0, 20, 20, 0.02, 0), (30, 30, 40, 40, 0.005, 0), (0, 0, np.nan, 9, 0.9, 0))
    path = constant_outputs(tmp_path / "model.onnx", boxes)
    (found,) = OnnxDetector(path).detect(np.zeros((SIDE, SIDE), np.uint8))
    assert (found.score, found.label) == (pytest.approx(0.02), "class 0")


def test_an_image_without_boxes_gives_none(tmp_path: Path) -> None:
    boxes = OnnxDetector(bright_cells(tmp_path / "model.onnx")).detect(np.zeros((10, 7), np.uint8))
    assert not [d for d in boxes if d.score > 0.6]


def test_unknown_outputs_are_refused_with_the_known_layouts(tmp_path: Path) -> None:
    path = constant_outputs(tmp_path / "odd.onnx", [np.zeros((1, 7, 3)), np.zeros((1, 2))])
    with pytest.raises(DetectorError) as refusal:
        OnnxDetector(path)
    text = str(refusal.value)
    assert "\n" not in text
    for word in ("odd.onnx", "'output0' 1x7x3", "'output1' 1x1x2", *LAYOUTS):
        assert word in text


def test_a_layout_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = constant_outputs(tmp_path / "odd.onnx", [np.zeros((1, 83, 100))])
    with pytest.raises(DetectorError, match="yolox"):
        OnnxDetector(path, layout="yolox")
    with pytest.raises(DetectorError, match=r"yolo99.*yolov8"):
        OnnxDetector(path, layout="yolo99")


def test_class_names_of_another_model_are_refused(tmp_path: Path) -> None:
    path = bright_cells(tmp_path / "model.onnx")
    with pytest.raises(DetectorError, match=r"\b2 class"):
        OnnxDetector(path, classes=["a", "b"])


@pytest.mark.parametrize(
    "shape", [(1, 1, SIDE, SIDE), (1, 3, SIDE), (4, 3, SIDE, SIDE), (1, 3, 100_000, 100_000)]
)
def test_inputs_that_are_no_image_are_refused(shape, tmp_path: Path) -> None:
    path = constant_outputs(tmp_path / "odd.onnx", [np.zeros((1, 84, 100))], input_shape=shape)
    with pytest.raises(DetectorError, match=r"odd\.onnx") as refusal:
        OnnxDetector(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08" + bytes(100)])
def test_a_file_that_is_no_model_gives_an_error_of_one_line(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(DetectorError, match=r"broken\.onnx") as refusal:
        OnnxDetector(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(DetectorError, match=r"absent\.onnx"):
        OnnxDetector(tmp_path / "absent.onnx")


def test_invalid_names_in_the_metadata_are_ignored(tmp_path: Path) -> None:
    for text in ("{", "[" * 5000, "7", "{0: 'a', 5: 'b'}"):
        detector = OnnxDetector(bright_cells(tmp_path / "model.onnx", text))
        assert detector.names is None


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 0, 3, 2)) == 0.0
