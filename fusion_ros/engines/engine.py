# SPDX-License-Identifier: Apache-2.0
"""What every engine offers, and how it fails."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np


class EngineError(RuntimeError):
    """An engine that cannot be had or cannot go on; the message says what to do about it."""


@dataclasses.dataclass(frozen=True)
class EngineDescription:
    """What is running, for status, diagnostics and reports.

    Attributes:
        name: engine, for instance "torch".
        device: where, for instance "cpu" or "cuda:0".
        precision: number format of the network's arithmetic: "float32", "bfloat16", "float16",
            "int8".
        preset: preset of the weights, or "custom".
        weights_sha256: hash of the weights' tensors.
        detail: anything else worth a line (threads, device name), by name.
    """

    name: str
    device: str
    precision: str
    preset: str
    weights_sha256: str
    detail: dict[str, str]


@dataclasses.dataclass(frozen=True)
class EngineProbe:
    """Whether an engine could run on a device here, and if not, what would change that."""

    name: str
    device: str
    available: bool
    why: str
    fix: str = ""


class Engine(Protocol):
    """A network ready to run. One thread at a time may call it.

    Attributes:
        visible_channels: what `infer` takes: 1 (HxW luma) or 3 (HxWx3 RGB).
        output_channels: what `infer` gives: 1 (HxW luma) or 3 (HxWx3 RGB).
        notes: lines for the description's detail, such as why this engine was chosen.
    """

    visible_channels: int
    output_channels: int
    notes: dict[str, str]

    def warm_up(self, height: int, width: int) -> None:
        """Do now whatever the first picture of this size would otherwise wait for."""
        ...

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Fuse one pair of the same size; any size.

        Args:
            visible: uint8, HxW or HxWx3 as `visible_channels` says.
            thermal: uint8, HxW.
            out: where to put the answer, for instance the array of the frame before: uint8 of the
                answer's shape, rows side by side.

        Returns:
            uint8, HxW or HxWx3 as `output_channels` says: `out`, or memory of its own.

        Raises:
            ValueError: shapes or types are not those above.
            EngineError: the device failed.
        """
        ...

    def describe(self) -> EngineDescription:
        """What is running."""
        ...

    def close(self) -> None:
        """Give back device memory; the engine must not be used afterwards."""
        ...


def check_pair(visible: np.ndarray, thermal: np.ndarray, visible_channels: int) -> None:
    """Refuse a pair that no engine can take.

    Raises:
        ValueError: names the picture, what it is and what it should be.
    """
    wanted = thermal.shape if visible_channels == 1 else (*thermal.shape, visible_channels)
    if thermal.ndim != 2 or thermal.dtype != np.uint8 or 0 in thermal.shape:
        raise ValueError(
            f"thermal is {thermal.dtype} {thermal.shape}; an engine takes uint8 (H, W)"
        )
    if visible.shape != wanted or visible.dtype != np.uint8:
        raise ValueError(
            f"visible is {visible.dtype} {visible.shape}; beside a thermal picture of "
            f"{thermal.shape} this engine takes uint8 {wanted}"
        )


def even_pair(height: int, width: int, visible_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of nothing, as an engine takes them: for runs of which only the time counts."""
    shape = (height, width) if visible_channels == 1 else (height, width, visible_channels)
    return np.full(shape, 90, np.uint8), np.full((height, width), 160, np.uint8)


def answer(out: np.ndarray | None, height: int, width: int, output_channels: int) -> np.ndarray:
    """The array that an answer goes to: `out` where it fits, a new one where none was given.

    Raises:
        ValueError: `out` cannot hold the answer.
    """
    shape = (height, width) if output_channels == 1 else (height, width, output_channels)
    if out is None:
        return np.empty(shape, np.uint8)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; allowed: contiguous uint8 {shape}")
    return out
