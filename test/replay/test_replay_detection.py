# SPDX-License-Identifier: Apache-2.0
"""Detectors' outputs become the boxes that they mean, and AP is what a hand computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.replay.detection import DetectorSink
from fusion_ros.replay.detector import Detection, OnnxDetector, iou
from fusion_ros.replay.detector_layouts import LAYOUTS, LayoutError, guess_layout
from fusion_ros.replay.labels import Labels, average_precision
from fusion_ros.replay.log import PairEntry

SIDE, CELL = 64, 16


@pytest.fixture(scope="module")
def bright_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector in YOLOv8's layout: each cell of 16x16 is a "lamp" as sure as it is bright."""
    onnx = pytest.importorskip("onnx")
    helper, tensor = onnx.helper, onnx.TensorProto
    steps = np.arange(CELL // 2, SIDE, CELL, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    sides = np.full(x.size, CELL, np.float32)
    boxes = np.stack([x.ravel(), y.ravel(), sides, sides])[None]
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["grey"], keepdims=1),
        helper.make_node(
            "AveragePool", ["grey"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]
        ),
        helper.make_node("Reshape", ["cells", "shape"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "bright_cells",
        [helper.make_tensor_value_info("images", tensor.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", tensor.FLOAT, [1, 5, x.size])],
        [
            onnx.numpy_helper.from_array(boxes, "boxes"),
            onnx.numpy_helper.from_array(np.array([1, 1, x.size], np.int64), "shape"),
            onnx.numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{0: 'lamp'}"
    path = tmp_path_factory.mktemp("model") / "bright_cells.onnx"
    onnx.save(model, str(path))
    return path


def with_lamp(column: int, row: int, width: int = 128, height: int = 64) -> np.ndarray:
    """A dark picture with one white cell, in cells of the letterboxed input's size."""
    picture = np.zeros((height, width), np.uint8)
    cell = CELL * width // SIDE
    picture[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = 255
    return picture


def pair(index: int) -> PairEntry:
    return PairEntry(index, index, index, index, 0.0)


def test_a_box_comes_back_in_pixels_of_the_picture_through_the_letterbox(bright_cells) -> None:
    pytest.importorskip("onnxruntime")
    detector = OnnxDetector(bright_cells, confidence=0.6)
    (found,) = detector.detect(with_lamp(1, 0))
    assert detector.layout == "yolov8"
    assert found.label == "lamp"
    # 128x64 shrinks by 2 into the middle of 64x64: bars of 16 above and below.
    assert found.box == pytest.approx((32, 0, 64, 32), abs=0.01)
    assert found.score == pytest.approx(1.0, abs=0.01)


def test_what_only_the_thermal_and_fused_pictures_show_is_counted_there(
    bright_cells, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    for frame in range(2):
        # Centre x, y and size of the cell at column 1, row 0, as shares of 128x64.
        line = "0 0.375 0.25 0.25 0.5\n"
        (tmp_path / f"frame_{frame:04d}.txt").write_text(line, encoding="utf-8")
    sink = DetectorSink(str(bright_cells), labels=str(tmp_path), confidence=0.6)
    lamp, dark = with_lamp(1, 0), np.zeros((64, 128), np.uint8)
    sink.take(pair(0), dark, lamp, lamp)
    sink.take(pair(1), lamp, lamp, lamp)
    pictures = sink.summary()["pictures"]
    assert [pictures[p]["detections"] for p in ("visible", "thermal", "fused")] == [1, 2, 2]
    assert pictures["visible"]["agreement_with_fused"] == pytest.approx(0.5)
    assert pictures["visible"]["ap50"] == pytest.approx(0.5)
    assert pictures["fused"]["ap"] == pytest.approx(1.0)
    over_time = sink.over_time([0.5, 1.5])
    assert over_time["count"]["visible"] == [(0.5, 0.0), (1.5, 1.0)]
    # A frame without a box has no confidence, and not one of 0.
    assert over_time["confidence"]["visible"] == [(1.5, pytest.approx(1.0, abs=0.01))]
    sink.write(tmp_path / "boxes.csv")
    assert len((tmp_path / "boxes.csv").read_text(encoding="utf-8").splitlines()) == 1 + 5


def test_yolov5_multiplies_objectness_and_class() -> None:
    output = np.array([[50, 40, 20, 10, 0.5, 0.2, 0.8]], np.float32)
    boxes, scores, classes = LAYOUTS["yolov5"](output, (64, 64))
    assert boxes.tolist() == [[40, 35, 60, 45]]
    assert scores.tolist() == pytest.approx([0.4])
    assert classes.tolist() == [1]


def test_yolox_decodes_its_grid() -> None:
    rows = 8 * 8 + 4 * 4 + 2 * 2
    output = np.zeros((rows, 6), np.float32)
    # Second cell of the second row at stride 16: column 1, row 1.
    output[64 + 5] = [0.5, 0.25, np.log(2.0), np.log(1.0), 1.0, 0.9]
    boxes, scores, _ = LAYOUTS["yolox"](output, (64, 64))
    assert boxes[64 + 5].tolist() == pytest.approx([24 - 16, 20 - 8, 24 + 16, 20 + 8])
    assert scores[64 + 5] == pytest.approx(0.9)


def test_nanodet_expects_the_distance_over_its_bins() -> None:
    rows = 8 * 8 + 4 * 4 + 2 * 2 + 1
    output = np.full((rows, 1 + 32), -30.0, np.float32)
    output[:, 0] = 0.0
    output[9, 0] = 0.7  # column 1, row 1 at stride 8
    for side, bin_ in enumerate((1, 0, 2, 3)):
        output[9, 1 + side * 8 + bin_] = 30.0
    boxes, scores, _ = LAYOUTS["nanodet"](output, (64, 64))
    assert boxes[9].tolist() == pytest.approx([8 - 8, 8 - 0, 8 + 16, 8 + 24], abs=1e-3)
    assert scores[9] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("shape", "classes", "layout"),
    [
        ((84, 8400), None, "yolov8"),
        ((84, 8400), 80, "yolov8"),
        ((25200, 85), 80, "yolov5"),
        ((8400, 85), 80, "yolox"),
        ((300, 6), 80, "end-to-end"),
        ((8500, 112), 80, "nanodet"),
    ],
)
def test_known_exports_at_640_are_told_by_their_shape(shape, classes, layout: str) -> None:
    assert guess_layout(shape, (640, 640), classes) == layout


def test_an_unknown_shape_asks_for_the_layout() -> None:
    with pytest.raises(LayoutError, match=r"\(7, 3\); name its layout"):
        guess_layout((7, 3), (640, 640), None)


def test_average_precision_is_what_a_hand_computes() -> None:
    box, other, wrong = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)
    labels = {0: [(box, "a"), (other, "a")]}
    found = {0: [Detection(box, 0.9, "a"), Detection(wrong, 0.8, "a"), Detection(other, 0.7, "a")]}
    # Hits 1, 0, 1: precision 1 up to recall 0.5, then 2/3 up to 1.
    assert average_precision(found, labels, 0.5) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision({0: []}, labels, 0.5) == 0.0


def test_a_second_box_on_one_object_is_a_false_one() -> None:
    box = (0, 0, 10, 10)
    found = {0: [Detection(box, 0.9, "a"), Detection(box, 0.8, "a")]}
    assert average_precision(found, {0: [(box, "a")]}, 0.5) == pytest.approx(1.0)
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)


def test_coco_labels_are_read_by_the_number_in_the_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    coco = {
        "images": [{"id": 7, "file_name": "frame_0003.png"}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    path.write_text(json.dumps(coco), encoding="utf-8")
    labels = Labels(path, None)
    assert labels.of(3, 100, 100) == [((1, 2, 4, 6), "person")]
    assert labels.of(4, 100, 100) is None


def test_labels_that_are_neither_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither COCO nor YOLO"):
        Labels(tmp_path, None)
