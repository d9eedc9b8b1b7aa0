# SPDX-License-Identifier: Apache-2.0
"""Detectors as judges: the tables by hand, and the commands with a detector of bright cells."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detector_models import bright_cells

from fusion_ros.detection import Detection, LabelledBox, LabelledImage
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import save_weights
from training import detect

pytest.importorskip("pycocotools")

SQUARE = (0.0, 0.0, 10.0, 10.0)
APART = (30.0, 30.0, 40.0, 40.0)


def picture(*boxes: tuple, name: str = "p", label: str = "person") -> LabelledImage:
    return LabelledImage(name, tuple(LabelledBox(b, label) for b in boxes), frozenset([label]))


def hit(box: tuple = SQUARE, score: float = 0.9, label: str = "person") -> Detection:
    return Detection(box, score, label)


def test_pooling_drops_the_weaker_of_two_boxes_of_one_object():
    near = (1.0, 0.0, 11.0, 10.0)  # IoU 9 / 11
    pooled = detect.pooled_boxes([hit(score=0.4)], [hit(near, 0.8), hit(near, 0.3, "vehicle")])
    assert [(d.box, d.score) for d in pooled] == [(near, 0.8), (near, 0.3)]


def test_half_of_the_objects_found_is_half_of_the_precision():
    labels = {("s", "a"): picture(SQUARE, APART), ("s", "b"): picture(name="b")}
    found = {"visible": {("s", "a"): [hit()], ("s", "b"): []}}
    values = detect.average_precisions(found, labels)["visible"]
    # COCO's 101 recall levels: 0, .01 .. .5 are reached.
    assert values["person"] == pytest.approx(100 * 51 / 101)
    assert values["both"] == values["person"]


def test_an_image_that_is_drawn_twice_counts_twice():
    labels = {("s", "a"): picture(SQUARE), ("s", "b"): picture(SQUARE, name="b")}
    found = {"visible": {("s", "a"): [hit()], ("s", "b"): []}}
    drawn = [("s", "a"), ("s", "a"), ("s", "b")]
    value = detect.average_precisions(found, labels, drawn)["visible"]["person"]
    assert value == pytest.approx(100 * 67 / 101)


def test_the_interval_of_equal_inputs_is_nothing_and_of_unlike_ones_not():
    labels = {("s", str(k)): picture(SQUARE, name=str(k)) for k in range(6)}
    some = {key: [hit()] if int(key[1]) % 2 else [] for key in labels}
    found = dict.fromkeys(("visible", "late", "same"), some)
    found |= {"thermal": {key: [] for key in labels}}
    rows = detect.differences(found, labels, ["same"], resamples=20)["same"]
    assert rows["person minus visible"] == (0, 0, 0)
    value, low, high = rows["person minus thermal"]
    assert low < value < high
    without = detect.differences(found, labels, ["same"], resamples=0)["same"]
    assert without["person minus thermal"] == (value, value, value)


@pytest.fixture
def weights(tmp_path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "untrained.safetensors"
    save_weights(path, FusionNet(PRESETS["compact"]), training_data="none", metrics={}, version="0")
    return path


@pytest.fixture
def scene(tmp_path) -> str:
    """A set of two dark pairs of 64x64; a lamp of 16x16 shines in the thermal picture of one."""
    for folder in ("vis", "ir"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            image = np.full((64, 64), 2, np.uint8)
            if (folder, name) == ("ir", "a"):
                image[16:32, 32:48] = 250
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), image)
    labels = {
        "images": [
            {"id": k, "file_name": f"{n}.png", "width": 64, "height": 64}
            for k, n in enumerate("ab", 1)
        ],
        "categories": [{"id": 7, "name": "lamp"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [32, 16, 16, 16], "iscrowd": 0}
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    return f"night={tmp_path / 'vis'},{tmp_path / 'ir'},{tmp_path / 'labels.json'}"


def test_the_command_measures_every_input(tmp_path, weights, scene):
    model = bright_cells(tmp_path / "lamps.onnx")
    out = tmp_path / "absent" / "figures.json"
    arguments = ["--weights", str(weights), "--detector", str(model), "--set", scene]
    assert detect.main([*arguments, "--resamples", "5", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())["lamps"]
    assert set(figures) == {"night", "pooled"}
    assert figures["night"]["objects"] == {"lamp": 1}
    values = figures["pooled"]["ap50"]
    assert values["thermal"]["lamp"] == pytest.approx(100)
    assert values["late"]["lamp"] == pytest.approx(100)
    assert values["visible"]["lamp"] < 50
    contrast = figures["night"]["contrast"]
    assert contrast["thermal"]["lamp"] == pytest.approx(248)  # in grey levels: no spread around it
    assert contrast["visible"]["lamp"] == 0
    assert "lamp minus late" in figures["pooled"]["differences"]["untrained"]


@pytest.mark.parametrize(
    ("old", "new"), [("night=", ""), ("labels.json", "absent.json"), ("ir,", "vis/none,")]
)
def test_a_set_that_cannot_be_read_ends_with_2(tmp_path, weights, scene, old, new):
    model = bright_cells(tmp_path / "lamps.onnx")
    arguments = ["--weights", str(weights), "--detector", str(model)]
    assert detect.main([*arguments, "--set", scene.replace(old, new)]) == 2


def test_two_images_of_one_label_are_refused(tmp_path, scene):
    for folder in ("vis", "ir"):
        (tmp_path / folder / "c").mkdir()
        (tmp_path / folder / "c" / "a.png").write_bytes((tmp_path / folder / "a.png").read_bytes())
    with pytest.raises(detect.DataSetError, match="called a"):
        detect.find_labelled_pairs(scene)


def test_a_layout_that_does_not_match_the_detector_is_refused(tmp_path, weights, scene):
    model = bright_cells(tmp_path / "lamps.onnx")
    arguments = ["--weights", str(weights), "--detector", str(model), "--set", scene]
    assert detect.main([*arguments, "--detector-layout", "nanodet"]) == 2


def test_a_labelled_image_that_is_absent_is_named(tmp_path, scene):
    (tmp_path / "vis" / "b.png").unlink()
    with pytest.raises(detect.DataSetError, match=r"has b"):
        detect.find_labelled_pairs(scene)


def ap50_of_thermal(tmp_path, weights, *arguments) -> tuple[int, dict]:
    model, out = bright_cells(tmp_path / "lamps.onnx"), tmp_path / "figures.json"
    command = ["--weights", str(weights), "--detector", str(model), "--resamples", "0"]
    code = detect.main([*command, *map(str, arguments), "--out", str(out)])
    return code, json.loads(out.read_text())["lamps"]["pooled"]["ap50"]["thermal"]


def test_labels_are_scaled_to_the_images(tmp_path, weights, scene):
    labels = json.loads((tmp_path / "labels.json").read_text())
    for image in labels["images"]:
        image.update(width=128, height=32)
    labels["annotations"][0]["bbox"] = [64, 8, 32, 8]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    code, values = ap50_of_thermal(tmp_path, weights, "--set", scene)
    assert (code, values["lamp"]) == (0, pytest.approx(100))


def test_yolo_labels_have_the_names_of_the_class_file(tmp_path, weights, scene):
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "a.txt").write_text("0 0.625 0.375 0.25 0.25\n")
    (tmp_path / "names").write_text("lamp\n")
    text = scene.replace("labels.json", "yolo")
    code, values = ap50_of_thermal(
        tmp_path, weights, "--set", text, "--classes", tmp_path / "names"
    )
    assert (code, values["lamp"]) == (0, pytest.approx(100))


def test_a_damaged_pair_is_left_out_and_ends_with_2(tmp_path, weights, scene):
    (tmp_path / "vis" / "b.png").write_bytes(b"")
    code, values = ap50_of_thermal(tmp_path, weights, "--set", scene)
    assert (code, values["lamp"]) == (2, pytest.approx(100))


def test_names_that_stand_for_two_things_are_refused(tmp_path, weights, scene):
    model = bright_cells(tmp_path / "lamps.onnx")
    (tmp_path / "other").mkdir()
    twin = bright_cells(tmp_path / "other" / "lamps.onnx")
    late = tmp_path / "late.safetensors"
    late.write_bytes(weights.read_bytes())
    base = ["--weights", str(weights), "--detector", str(model), "--set"]
    assert detect.main([*base, scene, scene]) == 2
    assert detect.main([*base, scene.replace("night=", "pooled=")]) == 2
    assert detect.main(["--weights", str(late), *base[2:], scene]) == 2
    assert detect.main([*base[:4], str(twin), "--set", scene]) == 2


def test_labels_without_a_class_of_the_detector_are_refused(tmp_path, weights, scene):
    model = bright_cells(tmp_path / "lamps.onnx", names="{0: 'zebra'}")
    command = ["--weights", str(weights), "--detector", str(model), "--set", scene]
    assert detect.main(command) == 2
