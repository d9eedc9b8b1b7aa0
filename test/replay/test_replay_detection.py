# SPDX-License-Identifier: Apache-2.0
"""One detector on the visible, thermal and fused images of a replay."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detector_models import CELL, SIDE, bright_cells, constant_outputs

from fusion_ros.cli.main import main
from fusion_ros.replay.detection import DetectorSink
from fusion_ros.replay.gallery import PANELS
from fusion_ros.replay.log import PairEntry

WIDTH, HEIGHT = 128, 64
CELL_SIDE = CELL * WIDTH // SIDE
LAMP_BOX = [CELL_SIDE, 0, CELL_SIDE, CELL_SIDE]
"""COCO box of the lamp at column 1, row 0."""
DARK_BOX = [3 * CELL_SIDE, 0, CELL_SIDE, CELL_SIDE]
"""COCO box without a lamp."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pycocotools")
    return bright_cells(tmp_path_factory.mktemp("model") / "bright_cells.onnx")


def lamp(level: int = 255) -> np.ndarray:
    """A dark image with one bright cell."""
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[:CELL_SIDE, CELL_SIDE : 2 * CELL_SIDE] = level
    return image


def coco(path: Path, names: list[str], category: str = "lamp", **more: Any) -> str:
    content = {
        "images": [
            {"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT}
            for n, name in enumerate(names)
        ],
        "categories": [{"id": 1, "name": category}],
        "annotations": [
            {"image_id": n, "category_id": 1, "bbox": LAMP_BOX, **more} for n in range(len(names))
        ],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def pair(index: int) -> PairEntry:
    return PairEntry(index, index, index, index, 0.0)


def test_objects_are_counted_in_the_images_that_show_them(model: Path, tmp_path: Path) -> None:
    labels = coco(tmp_path / "labels.json", ["frame_0000.png", "frame_0001.png"])
    sink = DetectorSink(str(model), labels=labels, confidence=0.6)
    dark = np.zeros((HEIGHT, WIDTH), np.uint8)
    sink.take(pair(0), dark, lamp(), lamp())
    sink.take(pair(1), lamp(), lamp(), lamp())
    images = sink.summary()["images"]
    assert [images[p]["detections"] for p in PANELS] == [1, 2, 2]
    assert images["visible"]["agreement_with_fused"] == pytest.approx(0.5)
    visible = images["visible"]["classes"]["lamp"]
    assert (visible["objects"], visible["recall"], visible["misses"]) == (2, 0.5, 1)
    assert images["fused"]["ap"] == pytest.approx(1.0)
    sink.write(tmp_path / "boxes.csv")
    rows = list(csv.DictReader((tmp_path / "boxes.csv").open(encoding="utf-8")))
    assert len(rows) == 5
    assert sink.worst_misses == []


def test_average_precision_is_over_boxes_that_are_not_shown(model: Path, tmp_path: Path) -> None:
    labels = coco(tmp_path / "labels.json", ["0.png"])
    sink = DetectorSink(str(model), labels=labels, confidence=0.6)
    dim = lamp(130)
    sink.take(pair(0), dim, dim, dim)
    fused = sink.summary()["images"]["fused"]
    assert fused["detections"] == 0
    assert fused["classes"]["lamp"]["ap50"] > 0.5
    assert (fused["classes"]["lamp"]["recall"], fused["classes"]["lamp"]["misses"]) == (0.0, 1)


def test_the_worst_misses_are_kept_with_the_objects_drawn(model: Path, tmp_path: Path) -> None:
    labels = coco(tmp_path / "labels.json", [f"{n}.png" for n in range(9)])
    sink = DetectorSink(str(model), labels=labels, confidence=0.6)
    dark = np.zeros((HEIGHT, WIDTH), np.uint8)
    for n in range(9):
        sink.take(pair(n), dark, lamp(), dark)
    assert [moment.pair for moment in sink.worst_misses] == list(range(6))
    panels = sink.worst_misses[0].panels
    images = {p: cv2.imdecode(np.frombuffer(panels[p], np.uint8), 1) for p in PANELS}
    # Blue, green, red at the upper edge of the object.
    assert images["fused"][0, 48].argmax() == 2
    assert images["thermal"][0, 48].argmax() == 1


def test_ignored_objects_are_no_misses(model: Path, tmp_path: Path) -> None:
    labels = coco(tmp_path / "labels.json", ["0.png"], iscrowd=1)
    sink = DetectorSink(str(model), labels=labels, confidence=0.6)
    dark = np.zeros((HEIGHT, WIDTH), np.uint8)
    sink.take(pair(0), dark, dark, dark)
    assert sink.summary()["images"]["fused"]["classes"] == {}
    assert sink.worst_misses == []


def test_labels_of_image_files_are_matched_by_name(model: Path, tmp_path: Path) -> None:
    labels = coco(tmp_path / "labels.json", ["0001.jpg"])
    sink = DetectorSink(
        str(model), labels=labels, confidence=0.6, frame_names=["0000", "0001", "0007"]
    )
    dark = np.zeros((HEIGHT, WIDTH), np.uint8)
    for n, image in enumerate((dark, lamp(), dark)):
        sink.take(pair(n), image, image, image)
    summary = sink.summary()
    assert summary["labelled_frames"] == 1
    assert summary["images"]["fused"]["classes"]["lamp"]["misses"] == 0


@pytest.mark.parametrize(
    ("names", "category", "merge", "told"),
    [
        (["0.png"], "person", {}, "merge-classes"),
        (["0.png"], "lamp", {"lamb": "lamp"}, "lamb"),
        (["a.png"], "lamp", {}, "'a' does not end in a frame number"),
        (["a_1.png", "b_1.png"], "lamp", {}, "frame 1"),
    ],
)
def test_labels_that_could_not_be_measured_are_refused(
    model: Path, tmp_path: Path, names, category, merge, told
) -> None:
    labels = coco(tmp_path / "labels.json", names, category)
    with pytest.raises(ValueError, match=told):
        DetectorSink(str(model), labels=labels, merge=merge)


def test_merged_classes_are_merged_in_the_model_and_in_the_labels(
    model: Path, tmp_path: Path
) -> None:
    labels = coco(tmp_path / "labels.json", ["0.png"], "lantern")
    merge = {"lantern": "light", "lamp": "light"}
    sink = DetectorSink(str(model), labels=labels, merge=merge, confidence=0.6)
    sink.take(pair(0), lamp(), lamp(), lamp())
    assert sink.summary()["images"]["fused"]["classes"]["light"]["recall"] == 1.0


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Two folders of images; the lamp is in both."""
    for kind in ("vis", "ir"):
        (tmp_path / "pair" / kind).mkdir(parents=True)
        for n in range(3):
            noise = np.random.default_rng(n).integers(0, 60, (HEIGHT, WIDTH), np.uint8)
            cv2.imwrite(str(tmp_path / "pair" / kind / f"{n + 5:04d}.png"), cv2.max(noise, lamp()))
    quick = ["--measures", "none", "--baselines", "none", "--engine", "torch"]
    return [str(tmp_path / "pair"), "--out", str(tmp_path / "out"), *quick]


def test_a_replay_reports_scores_by_class_and_shows_misses(
    model: Path, folders: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("jinja2")
    labels = coco(tmp_path / "labels.json", ["0006.png"], bbox=DARK_BOX)
    options = ["--detector", str(model), "--labels", labels, "--confidence", "0.6"]
    assert main(["replay", *folders, *options, "--merge-classes", "light=lamp"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["detection"]["labelled_frames"] == 1
    assert summary["detection"]["images"]["fused"]["classes"]["light"]["misses"] == 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "recall at 0.6" in page
    assert "1 of 1 objects missed in the fused image" in page


def test_a_model_of_no_known_layout_gives_an_error_of_one_line(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = constant_outputs(tmp_path / "odd.onnx", [np.zeros((1, 7, 3))])
    code = main(["replay", *folders, "--detector", str(odd)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert code not in (0, 1)
    assert len(lines) == 1
    assert "odd.onnx" in lines[0]
    assert "1x7x3" in lines[0]
