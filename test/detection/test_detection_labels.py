# SPDX-License-Identifier: Apache-2.0
"""Labels of both kinds become boxes; a damaged file is named with the entry that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fusion_ros.detection import LabelledBox, read_labels


def coco(**changes: Any) -> dict[str, Any]:
    content = {
        "images": [{"id": 7, "file_name": "a/frame_0003.png", "width": 100, "height": 50}],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"image_id": 7, "category_id": 2, "bbox": [10, 20, 5, 5], "iscrowd": 1},
            {"image_id": 7, "category_id": 2, "bbox": [10, 20, 5, 5], "ignore": 1, "iscrowd": 0},
        ],
    }
    return {**content, **changes}


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_coco_labels_have_boxes_ignored_regions_and_the_labelled_classes(tmp_path: Path) -> None:
    (image,) = read_labels(written(tmp_path / "labels.json", coco()))
    assert (image.name, image.frame, image.size) == ("frame_0003", 3, (100, 50))
    assert image.classes == {"car", "person"}
    assert [b.ignored for b in image.boxes] == [False, True, True]
    assert image.boxes[0] == LabelledBox((1, 2, 4, 6), "car")


def test_labels_are_scaled_to_an_image_of_another_size(tmp_path: Path) -> None:
    (image,) = read_labels(written(tmp_path / "labels.json", coco()))
    assert image.at(200, 200).boxes[0].box == (2, 8, 8, 24)
    assert image.at(100, 50) is image


def test_classes_are_renamed_in_boxes_and_in_the_labelled_classes(tmp_path: Path) -> None:
    (image,) = read_labels(written(tmp_path / "labels.json", coco()))
    merged = image.renamed({"car": "vehicle", "bus": "vehicle"})
    assert merged.classes == {"vehicle", "person"}
    assert [box.label for box in merged.boxes] == ["vehicle", "person", "person"]


def test_a_frame_index_wins_over_the_name(tmp_path: Path) -> None:
    image = {"id": 7, "file_name": "frame_0003.png", "frame_index": 12}
    (image,) = read_labels(written(tmp_path / "labels.json", coco(images=[image])))
    assert (image.frame, image.size) == (12, None)


def test_yolo_labels_are_relative_to_the_image(tmp_path: Path) -> None:
    (tmp_path / "frame_0001.txt").write_text("1 0.5 0.5 0.2 0.4\n\n", encoding="utf-8")
    (tmp_path / "frame_0002.txt").write_text("", encoding="utf-8")
    (tmp_path / "classes.txt").write_text("car\nperson\n", encoding="utf-8")
    first, second = read_labels(tmp_path, ["car", "person"])
    assert first.at(100, 50).boxes[0].box == pytest.approx((40, 15, 60, 35))
    assert (first.boxes[0].label, first.frame, second.boxes) == ("person", 1, ())
    assert second.classes == {"car", "person"}


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        ([], "images"),
        (coco(images=None), "images"),
        (coco(images=[{"id": 7}]), r"images\[0\]"),
        (coco(images=[{"id": [7], "file_name": "1.png"}]), r"images\[0\]"),
        (coco(images=[{"id": 7, "file_name": "1.png", "width": 0, "height": 9}]), r"images\[0\]"),
        (coco(categories=["car"]), "categories"),
        (coco(annotations=[{"image_id": 8, "category_id": 1, "bbox": [0] * 4}]), r"tions\[0\]"),
        (coco(annotations=[{"image_id": 7, "category_id": 1, "bbox": [0, 0, 1]}]), r"tions\[0\]"),
        (
            coco(annotations=[{"image_id": 7, "category_id": 1, "bbox": [0, 0, -1, 1]}]),
            r"tions\[0\]",
        ),
        (coco(annotations=[{"image_id": 7, "category_id": 1, "bbox": "1234x"}]), r"tions\[0\]"),
        (coco(annotations=[{"image_id": 7, "category_id": 1, "bbox": [0, 0, 1e999, 1]}]), "tions"),
        (coco(images=coco()["images"] * 2), "image"),
    ],
)
def test_damaged_coco_labels_are_named_with_the_entry(content, entry: str, tmp_path: Path) -> None:
    path = written(tmp_path / "labels.json", content)
    with pytest.raises(ValueError, match=rf"labels\.json: .*{entry}"):
        read_labels(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b'{"images": '])
def test_files_that_are_no_json_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"labels\.json"):
        read_labels(path)


@pytest.mark.parametrize("line", ["0 0.5 0.5", "x 0 0 1 1", "0 a 0 1 1", "5 0 0 1 1", "0 0 0 -1 1"])
def test_damaged_yolo_labels_are_named_with_the_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "frame_0001.txt").write_text(f"0 0 0 1 1\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"frame_0001\.txt, line 2"):
        read_labels(tmp_path, ["car"])


def test_a_folder_without_labels_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.json"):
        with pytest.raises(ValueError, match=str(path)):
            read_labels(path)
