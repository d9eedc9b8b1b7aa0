# SPDX-License-Identifier: Apache-2.0
"""A user's detector, as an ONNX file: pictures in, boxes out. Knows nothing of replays."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.replay.detector_layouts import LAYOUTS, LayoutError, guess_layout

NMS_IOU = 0.5


@dataclasses.dataclass(frozen=True)
class Detection:
    """One box: x1, y1, x2, y2 in pixels of the picture."""

    box: tuple[float, float, float, float]
    score: float
    label: str


class OnnxDetector:
    """Runs a model with onnxruntime on the CPU.

    The picture is letterboxed to the model's input. YOLOX and NanoDet take BGR of 0..255 (NanoDet
    normalised as it was trained), the others RGB of 0..1.

    Args:
        model: the file.
        layout: a key of `LAYOUTS`, or "auto" by the output's shape.
        classes: names by number; None takes the model's metadata (Ultralytics writes `names`).
        confidence: least score of a box.

    Raises:
        RuntimeError: onnxruntime is missing, or the file is no model that it runs.
        LayoutError: the output fits no layout.
    """

    def __init__(
        self,
        model: Path,
        *,
        layout: str = "auto",
        classes: list[str] | None = None,
        confidence: float = 0.25,
    ) -> None:
        if layout != "auto" and layout not in LAYOUTS:
            raise LayoutError(
                f"--detector-layout is {layout!r}; allowed: auto, {', '.join(LAYOUTS)}"
            )
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeError(
                "--detector needs the package onnxruntime: pip install onnxruntime"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common base of their own
            raise RuntimeError(f"--detector {model} cannot be loaded: {error}") from error
        first = self._session.get_inputs()[0]
        self._input, self._type = first.name, first.type
        height, width = (side if isinstance(side, int) else 640 for side in first.shape[2:4])
        self.size = (width, height)
        self.names = classes if classes is not None else self._names_in_metadata()
        self.confidence = confidence
        self._layout = layout
        self.model = model.name

    @property
    def layout(self) -> str:
        """The layout in use; "auto" until the first picture came."""
        return self._layout

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """Boxes in a `uint8` HxW or HxWx3 RGB picture, best first."""
        rgb = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture
        blob, scale, left, top = self._letterboxed(rgb)
        output = self._output(blob)
        if self._layout == "auto":
            classes = len(self.names) if self.names else None
            self._layout = guess_layout(output.shape, self.size, classes)
            blob, scale, left, top = self._letterboxed(rgb)  # the layout says how pixels are fed
            output = self._output(blob)
        boxes, scores, classes = LAYOUTS[self._layout](output, self.size)
        keep = scores >= self.confidence
        boxes, scores, classes = boxes[keep], scores[keep], classes[keep]
        boxes = (boxes - np.array([left, top, left, top], np.float32)) / scale
        height, width = rgb.shape[:2]
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
        chosen = _suppressed(boxes, scores, classes)
        return [
            Detection(
                tuple(float(side) for side in boxes[i]),
                float(scores[i]),
                self._name(int(classes[i])),
            )
            for i in chosen
        ]

    def _output(self, blob: np.ndarray) -> np.ndarray:
        output = np.asarray(self._session.run(None, {self._input: blob})[0], np.float32)
        return output[0] if output.ndim == 3 else output

    def _letterboxed(self, rgb: np.ndarray) -> tuple[np.ndarray, float, int, int]:
        width, height = self.size
        scale = min(width / rgb.shape[1], height / rgb.shape[0])
        inner = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        raw = self._layout in ("yolox", "nanodet")
        # YOLOX and NanoDet put the picture into the corner, the others into the middle.
        left, top = (0, 0) if raw else ((width - inner[0]) // 2, (height - inner[1]) // 2)
        canvas = np.full((height, width, 3), 114, np.uint8)
        canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(rgb, inner)
        pixels = canvas[:, :, ::-1].astype(np.float32) if raw else canvas.astype(np.float32) / 255
        if self._layout == "nanodet":
            pixels = (pixels - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
        blob = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        return blob.astype(np.float16 if "float16" in self._type else np.float32), scale, left, top

    def _names_in_metadata(self) -> list[str] | None:
        text = self._session.get_modelmeta().custom_metadata_map.get("names")
        if not text:
            return None
        try:
            names = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return None
        if isinstance(names, dict):
            return [str(names[key]) for key in sorted(names)]
        return [str(name) for name in names] if isinstance(names, list | tuple) else None

    def _name(self, number: int) -> str:
        known = self.names is not None and 0 <= number < len(self.names)
        return self.names[number] if known else f"class {number}"


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes; 0 where they do not meet."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


def _suppressed(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray) -> list[int]:
    """Non-maximum suppression in each class; indices, best score first."""
    chosen: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        rivals = (j for j in chosen if classes[j] == classes[i])
        if all(iou(tuple(boxes[i]), tuple(boxes[j])) <= NMS_IOU for j in rivals):
            chosen.append(int(i))
        if len(chosen) >= 300:
            break
    return chosen
