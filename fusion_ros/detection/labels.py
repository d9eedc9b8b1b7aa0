# SPDX-License-Identifier: Apache-2.0
"""Labelled boxes from COCO JSON or a folder of YOLO text files."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as shown
from typing import Any

from fusion_ros.detection.detector import Box
from fusion_ros.files.limits import MAX_TEXT_BYTES
from fusion_ros.files.reading import parse_json, parse_text, read_bytes

MAX_LABEL_BYTES = 1 << 30
"""COCO's instances_train2017.json has 449 MB."""


@dataclasses.dataclass(frozen=True)
class LabelledBox:
    """A labelled object; if `ignored` (COCO's iscrowd), it is neither found nor missed."""

    box: Box
    label: str
    ignored: bool = False


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """The labelled objects of one image.

    Attributes:
        name: stem of the image's file name.
        boxes: in units of `size`.
        classes: labelled classes; objects of other classes may be present without a label.
        size: (width, height) that the boxes refer to; None if the file does not state it.
        frame: frame number in a recording: `frame_index`, or the last digits of the name.
    """

    name: str
    boxes: tuple[LabelledBox, ...]
    classes: frozenset[str]
    size: tuple[float, float] | None = None
    frame: int | None = None

    def at(self, width: int, height: int) -> LabelledImage:
        """Return the labels scaled to an image of another size."""
        if self.size is None or self.size == (width, height):
            return self
        x, y = width / self.size[0], height / self.size[1]
        boxes = tuple(
            dataclasses.replace(b, box=(b.box[0] * x, b.box[1] * y, b.box[2] * x, b.box[3] * y))
            for b in self.boxes
        )
        return dataclasses.replace(self, boxes=boxes, size=(width, height))

    def renamed(self, names: Mapping[str, str]) -> LabelledImage:
        """Return the labels with replaced class names, for example vehicle for car and bus."""
        boxes = tuple(
            dataclasses.replace(box, label=names.get(box.label, box.label)) for box in self.boxes
        )
        classes = frozenset(names.get(name, name) for name in self.classes)
        return dataclasses.replace(self, boxes=boxes, classes=classes)


def read_labels(path: Path, names: Sequence[str] | None = None) -> list[LabelledImage]:
    """Read COCO JSON, or a folder of YOLO text files (one per image, relative boxes).

    `names` are the class names by number for YOLO files.

    Raises:
        ValueError: the labels are invalid; the message names the file and the entry.
    """
    try:
        labelled_images = _yolo(path, names) if path.is_dir() else _coco(path)
    except OSError as error:
        raise ValueError(f"labels {error}") from error
    except ValueError as error:
        raise ValueError(f"labels {path}: {error}") from error
    for name, count in Counter(labelled.name for labelled in labelled_images).items():
        if count > 1:
            raise ValueError(f"labels {path}: {count} images are named {shown(name)}")
    return labelled_images


def read_class_names(path: Path) -> list[str]:
    """Read class names, one a line.

    Raises:
        ValueError: the file cannot be read or is empty; the message names it.
    """
    try:
        lines = parse_text(read_bytes(path)).splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"class names {path}: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ValueError(f"class names {path}: the file is empty; required is one name per line")
    return names


def _coco(path: Path) -> list[LabelledImage]:
    content = parse_json(read_bytes(path, MAX_LABEL_BYTES))
    images, categories, annotations = (
        _entries(content, name) for name in ("images", "categories", "annotations")
    )
    classes = {
        _key(category, "id", f"categories[{n}]"): str(_field(category, "name", f"categories[{n}]"))
        for n, category in enumerate(categories)
    }
    boxes: dict[Any, list[LabelledBox]] = {
        _key(image, "id", f"images[{n}]"): [] for n, image in enumerate(images)
    }
    for n, entry in enumerate(annotations):
        where = f"annotations[{n}]"
        image, category = _key(entry, "image_id", where), _key(entry, "category_id", where)
        if image not in boxes or category not in classes:
            raise ValueError(f"{where}: no image {shown(image)} or no category {shown(category)}")
        left, top, width, height = _numbers(_field(entry, "bbox", where), f"{where}.bbox")
        ignored = bool(entry.get("iscrowd") or entry.get("ignore"))
        box = LabelledBox((left, top, left + width, top + height), classes[category], ignored)
        boxes[image].append(box)
    labelled_images = []
    for n, image in enumerate(images):
        where = f"images[{n}]"
        stem = Path(str(_field(image, "file_name", where))).stem
        size = None
        if "width" in image and "height" in image:
            width, height = _numbers([image["width"], image["height"]], f"{where}.width, height", 2)
            if width <= 0 or height <= 0:
                raise ValueError(f"{where}: size {width:g}x{height:g}")
            size = (width, height)
        frame = image.get("frame_index")
        if frame is not None and type(frame) is not int:
            raise ValueError(f"{where}.frame_index is {shown(frame)}, not a whole number")
        frame = _number_in(stem) if frame is None else frame
        own = tuple(boxes[image["id"]])
        labelled_images.append(LabelledImage(stem, own, frozenset(classes.values()), size, frame))
    return labelled_images


def _yolo(folder: Path, names: Sequence[str] | None) -> list[LabelledImage]:
    files = [file for file in sorted(folder.glob("*.txt")) if file.stem != "classes"]
    if not files:
        raise ValueError("the folder has no .txt files; allowed are COCO JSON and YOLO folders")
    found: dict[str, list[LabelledBox]] = {}
    for file in files:
        boxes = found.setdefault(file.stem, [])
        for number, line in enumerate(parse_text(read_bytes(file, MAX_TEXT_BYTES)).splitlines(), 1):
            where = f"{file.name}, line {number}"
            words = line.split()
            if not words:
                continue
            if len(words) < 5 or not re.fullmatch(r"[0-9]{1,9}", words[0]):
                raise ValueError(f"{where}: {line[:60]!r} is not 'class x y width height'")
            x, y, width, height = _numbers(words[1:5], where)
            name = f"class {int(words[0])}"
            if names is not None:
                if int(words[0]) >= len(names):
                    raise ValueError(f"{where}: class {words[0]}, but {len(names)} class names")
                name = names[int(words[0])]
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            boxes.append(LabelledBox(box, name))
    labelled = {box.label for boxes in found.values() for box in boxes}
    classes = frozenset(labelled if names is None else names)
    return [
        LabelledImage(name, tuple(boxes), classes, (1.0, 1.0), _number_in(name))
        for name, boxes in found.items()
    ]


def _entries(content: Any, name: str) -> list[dict[str, Any]]:
    entries = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"not COCO JSON: {name!r} is not a list of objects")
    return entries


def _field(entry: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in entry:
        raise ValueError(f"{where} has no {name!r}")
    return entry[name]


def _key(entry: Mapping[str, Any], name: str, where: str) -> Any:
    value = _field(entry, name, where)
    if not isinstance(value, int | str):
        raise ValueError(f"{where}.{name} is {value!r:.60}, not a number or text")
    return value


def _numbers(values: Any, where: str, count: int = 4) -> list[float]:
    """Return `count` finite numbers, of which the last two are sizes."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)) or min(numbers[-2:]) < 0:
        raise ValueError(f"{where} is {values!r:.80}, not {count} numbers with sizes of at least 0")
    return numbers


def _number_in(stem: str) -> int | None:
    digits = re.search(r"[0-9]{1,18}$", stem)
    return int(digits.group()) if digits else None
