# SPDX-License-Identifier: Apache-2.0
"""Decoded pairs in one memory-mapped uint8 file, which avoids decoding during training.

A pack is a folder with ``pixels.u8`` and ``index.json``. Each pair is stored as visible H x W x 3
RGB, thermal H x W, and, for pairs from video, the same for the next frame.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.files.writing import new_file, write_json

PIXELS_NAME = "pixels.u8"
INDEX_NAME = "index.json"
FORMAT = 1


class PackError(ValueError):
    """A pack that is missing, incomplete or empty; the message names the file."""


@dataclass(frozen=True)
class PackedPair:
    """Position of a pair in the pack: ``frames`` consecutive frames of height x width."""

    name: str
    source: str
    offset: int
    height: int
    width: int
    frames: int


class PackWriter:
    """Write a pack; a context manager that writes the index if it closes without an error."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / INDEX_NAME).unlink(missing_ok=True)
        self._pairs: list[PackedPair] = []
        self._offset = 0
        self._open = contextlib.ExitStack()

    def __enter__(self) -> PackWriter:
        # A new file: a process that has mapped an earlier pack keeps the old one.
        self._file = self._open.enter_context(new_file(self._folder / PIXELS_NAME))
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self._open.__exit__(kind, value, trace)
        if kind is None:
            pairs = [asdict(pair) for pair in self._pairs]
            write_json(self._folder / INDEX_NAME, {"format": FORMAT, "pairs": pairs}, indent=None)

    def add(self, name: str, source: str, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Append consecutive (visible uint8 HxWx3 RGB, thermal uint8 HxW) frames as one pair."""
        offset, shape, count = self._offset, None, 0
        for visible, thermal in frames:
            if visible.dtype != np.uint8 or thermal.dtype != np.uint8:
                raise PackError(f"{name}: {visible.dtype} / {thermal.dtype}; allowed is uint8")
            if visible.shape != (*thermal.shape, 3) or (shape and shape != thermal.shape):
                raise PackError(f"{name}: visible {visible.shape}, thermal {thermal.shape}")
            shape = thermal.shape
            for plane in (visible, thermal):
                self._offset += self._file.write(np.ascontiguousarray(plane).tobytes())
            count += 1
        if shape is None:
            raise PackError(f"{name}: no frames")
        height, width = shape
        self._pairs.append(PackedPair(name, source, offset, height, width, count))


class Pack:
    """Read a pack; ``frame(i, t)`` returns views on the memory map."""

    def __init__(self, folder: Path) -> None:
        folder = Path(folder)
        index = folder / INDEX_NAME
        if not index.is_file():
            raise PackError(f"{index} is missing: there is no pack, or writing it was interrupted")
        content = json.loads(index.read_text())
        if content.get("format") != FORMAT:
            raise PackError(f"{index} has format {content.get('format')!r}; allowed is {FORMAT}")
        self.pairs = [PackedPair(**pair) for pair in content["pairs"]]
        if not self.pairs:
            raise PackError(f"{index} lists no pairs")
        self._pixels = np.memmap(folder / PIXELS_NAME, dtype=np.uint8, mode="r")
        last = self.pairs[-1]
        wanted = last.offset + last.frames * last.height * last.width * 4
        if self._pixels.size != wanted:
            raise PackError(
                f"{folder / PIXELS_NAME} has {self._pixels.size} bytes, its index {wanted}"
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def frame(self, pair: int, step: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return visible HxWx3 and thermal HxW uint8 views of frame ``step`` of a pair."""
        p = self.pairs[pair]
        if not 0 <= step < p.frames:
            raise IndexError(f"{p.name} has {p.frames} frames; requested: {step}")
        area = p.height * p.width
        start = p.offset + step * area * 4
        visible = self._pixels[start : start + 3 * area].reshape(p.height, p.width, 3)
        return visible, self._pixels[start + 3 * area : start + 4 * area].reshape(p.height, p.width)
