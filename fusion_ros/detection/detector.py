# SPDX-License-Identifier: Apache-2.0
"""Object detection on images with an ONNX model."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusion_ros.detection.layouts import LAYOUTS, fits, guess_layout
from fusion_ros.files.reading import read_bytes

FLOOR = 0.01
"""Least score of a box; average precision also needs boxes of low scores."""
_NMS_OVERLAP = 0.5
_MOST_BOXES = 300
_SIDE_WHERE_FREE = 640
_LARGEST_SIDE = 8192
_LONGEST_NAMES = 1 << 20
_MOST_MODEL_BYTES = 2 << 30
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the image."""


class DetectorError(RuntimeError):
    """Error of a detector that cannot be used; it names the file and the reason."""


@dataclasses.dataclass(frozen=True)
class Detection:
    """A box with its score and class name."""

    box: Box
    score: float
    label: str


class OnnxDetector:
    """ONNX model that onnxruntime runs on the CPU.

    Args:
        model: the ONNX file.
        layout: a key of `LAYOUTS`, or "auto" to choose it by the output shapes.
        classes: class names by number; None reads the metadata that Ultralytics writes (`names`).
        merge: replacement of class names, applied before overlapping boxes are removed.

    Raises:
        DetectorError: onnxruntime is missing or cannot run the model, or the outputs match no
            layout.
    """

    def __init__(
        self,
        model: Path,
        *,
        layout: str = "auto",
        classes: Sequence[str] | None = None,
        merge: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model.name
        self._session = _session_of(model)
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        is_image = len(inputs) == 1 and len(shape) == 4 and shape[1] in (3, None)
        if not is_image or inputs[0].type not in _FLOATS:
            taken = ", ".join(f"{i.name!r} {i.type} {_shape_text(i.shape)}" for i in inputs)
            raise DetectorError(
                f"detector {model}: its inputs are {taken}; supported is one of 1x3xHxW floats"
            )
        self._input, self._type = inputs[0].name, _FLOATS[inputs[0].type]
        height, width = (
            side if isinstance(side, int) and side > 0 else _SIDE_WHERE_FREE for side in shape[2:]
        )
        if max(height, width) > _LARGEST_SIDE:
            raise DetectorError(
                f"detector {model}: its input is {width}x{height}; at most {_LARGEST_SIDE} a side"
            )
        self.size = (width, height)
        self.names = tuple(classes) if classes is not None else self._names_in_metadata()
        self._merge = dict(merge or {})
        self.layout = self._layout_of(layout, model)

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Return the boxes in a `uint8` HxW or HxWx3 RGB image, best first, at most 300.

        Raises:
            DetectorError: inference failed.
        """
        rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
        layout = LAYOUTS[self.layout]
        tensor, scale, left, top = layout.feed(rgb, self.size)
        boxes, scores, classes = layout.decode(self._outputs(tensor), self.size)
        keep = (scores >= FLOOR) & np.isfinite(boxes).all(axis=1)
        boxes, scores, classes = boxes[keep], scores[keep], classes[keep]
        boxes = (boxes - np.array([left, top, left, top], np.float32)) / scale
        height, width = rgb.shape[:2]
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
        known = self.names or ()
        names = [known[n] if 0 <= n < len(known) else f"class {n}" for n in map(int, classes)]
        labels = np.array([self._merge.get(name, name) for name in names], object)
        return [
            Detection(tuple(map(float, boxes[i])), float(scores[i]), labels[i])  # type: ignore[arg-type]
            for i in _suppressed(boxes, scores, labels)
        ]

    def _layout_of(self, wanted: str, model: Path) -> str:
        if wanted != "auto" and wanted not in LAYOUTS:
            raise DetectorError(f"detector layout {wanted!r}; allowed: auto, {', '.join(LAYOUTS)}")
        width, height = self.size
        outputs = self._outputs(np.zeros((1, 3, height, width), np.float32))
        shapes = [output.shape for output in outputs]
        classes = len(self.names) if self.names is not None else None
        if wanted != "auto" and fits(wanted, shapes, self.size, classes):
            return wanted
        found = guess_layout(shapes, self.size, classes) if wanted == "auto" else None
        if found is not None:
            return found
        names = [output.name for output in self._session.get_outputs()]
        given = ", ".join(f"{n!r} 1x{_shape_text(s)}" for n, s in zip(names, shapes, strict=True))
        names_text = "" if classes is None else f", {classes} class names"
        known = "; ".join(f"{name} ({layout.output})" for name, layout in LAYOUTS.items())
        match = "match no known layout" if wanted == "auto" else f"do not match layout {wanted}"
        raise DetectorError(
            f"detector {model}: outputs {given} (input {width}x{height}{names_text}) {match}. "
            f"Known: {known}. Name one with --detector-layout, or export the model again."
        )

    def _outputs(self, tensor: np.ndarray) -> list[np.ndarray]:
        """Run the model and return its outputs without the batch axis."""
        try:
            outputs = self._session.run(None, {self._input: tensor.astype(self._type)})
        except Exception as error:  # onnxruntime has no common error type
            raise DetectorError(
                f"detector {self.model}: inference failed: {_first_line(error)}"
            ) from error
        arrays = [np.asarray(output) for output in outputs]
        return [array[0] if array.ndim > 2 and len(array) == 1 else array for array in arrays]

    def _names_in_metadata(self) -> tuple[str, ...] | None:
        text = self._session.get_modelmeta().custom_metadata_map.get("names")
        if not text or len(text) > _LONGEST_NAMES:
            return None
        try:
            names = ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None
        if isinstance(names, dict) and set(names) == set(range(len(names))):
            return tuple(str(names[number]) for number in range(len(names)))
        return tuple(map(str, names)) if isinstance(names, list | tuple) else None


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


def _session_of(model: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        text = "a detector needs the package onnxruntime: pip install onnxruntime"
        raise DetectorError(text) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Spinning idle threads would take CPU time from the fusion.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # Bytes, so that a later replacement of the file has no effect.
        data = read_bytes(model, _MOST_MODEL_BYTES)
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common error type
        raise DetectorError(f"detector {model} cannot be loaded: {_first_line(error)}") from error


def _suppressed(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> list[int]:
    """Return the indices that non-maximum suppression by class keeps, best score first."""
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(float)
    chosen: list[int] = []
    for label in set(labels):
        own = np.flatnonzero(labels == label)
        kept = cv2.dnn.NMSBoxes(
            corners[own].tolist(), scores[own].astype(float).tolist(), 0.0, _NMS_OVERLAP
        )
        chosen += own[np.asarray(kept, int).ravel()].tolist()
    return sorted(chosen, key=lambda i: -scores[i])[:_MOST_BOXES]


def _shape_text(shape: Sequence[Any]) -> str:
    return "x".join(str(side) for side in shape)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
