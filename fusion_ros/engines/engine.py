# SPDX-License-Identifier: Apache-2.0
"""Interface of all engines, and their errors."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from fusion_ros.model.weights import LoadedWeights


class EngineError(RuntimeError):
    """An engine cannot be created or cannot continue; the message names the remedy."""


@dataclasses.dataclass(frozen=True)
class EngineDescription:
    """Description of a running engine for status, diagnostics and reports."""

    name: str
    device: str
    precision: str
    preset: str
    """Of the weights, or "custom"."""
    weights_sha256: str
    detail: dict[str, str]
    """Further facts (threads, device name), by name."""


@dataclasses.dataclass(frozen=True)
class EngineProbe:
    """Availability of an engine on a device, with the reason and a remedy."""

    name: str
    device: str
    available: bool
    why: str
    fix: str = ""

    def require(self) -> None:
        """Raise an `EngineError` with the remedy if the engine is not available."""
        if not self.available:
            raise EngineError(f"engine {self.name!r} cannot run here: {self.why}; {self.fix}")


class Engine(Protocol):
    """A network ready to run; only one thread at a time may call it."""

    @property
    def visible_channels(self) -> int:
        """Channels of the visible input: 1 (HxW luma) or 3 (HxWx3 RGB)."""
        ...

    @property
    def output_channels(self) -> int:
        """Channels of the output: 1 (HxW luma) or 3 (HxWx3 RGB)."""
        ...

    @property
    def notes(self) -> dict[str, str]:
        """Entries for the description's detail, such as the reason for the choice of engine."""
        ...

    def warm_up(self, height: int, width: int) -> None:
        """Complete the work that would otherwise delay the first image of this size."""
        ...

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Fuse one pair of images of any common size.

        Args:
            visible: uint8, HxW or HxWx3 according to `visible_channels`.
            thermal: uint8, HxW.
            out: contiguous uint8 array for the result, for instance that of the previous frame.

        Returns:
            uint8, HxW or HxWx3 according to `output_channels`: `out`, or a new array.

        Raises:
            ValueError: shapes or types differ from those above.
            EngineError: the device failed.
        """
        ...

    def describe(self) -> EngineDescription:
        """Return the engine's description."""
        ...

    def close(self) -> None:
        """Release device memory; the engine must not be used afterwards."""
        ...


def check_pair(visible: np.ndarray, thermal: np.ndarray, visible_channels: int) -> None:
    """Reject a pair that no engine accepts.

    Raises:
        ValueError: names the image, its type and shape, and the allowed ones.
    """
    wanted = thermal.shape if visible_channels == 1 else (*thermal.shape, visible_channels)
    if thermal.ndim != 2 or thermal.dtype != np.uint8 or 0 in thermal.shape:
        raise ValueError(f"thermal is {thermal.dtype} {thermal.shape}; allowed: uint8 (H, W)")
    if visible.shape != wanted or visible.dtype != np.uint8:
        raise ValueError(
            f"visible is {visible.dtype} {visible.shape}; allowed with a thermal image of "
            f"{thermal.shape}: uint8 {wanted}"
        )


def even_pair(height: int, width: int, visible_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a uniform pair for warm-up and timing."""
    shape = (height, width) if visible_channels == 1 else (height, width, visible_channels)
    return np.full(shape, 90, np.uint8), np.full((height, width), 160, np.uint8)


def output_array(
    out: np.ndarray | None, height: int, width: int, output_channels: int
) -> np.ndarray:
    """Return the array for the result: `out` after a check, or a new one.

    Raises:
        ValueError: `out` cannot hold the result.
    """
    shape = (height, width) if output_channels == 1 else (height, width, output_channels)
    if out is None:
        return np.empty(shape, np.uint8)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; allowed: contiguous uint8 {shape}")
    return out


class NetworkEngine(abc.ABC):
    """Base of the engines: checks of images, state and description. Weights are not modified."""

    name = ""

    def __init__(self, weights: LoadedWeights, device: str, precision: str) -> None:
        self.notes: dict[str, str] = {}
        self.metadata = weights.metadata
        self.visible_channels = weights.metadata.config.visible_channels
        self.output_channels = weights.metadata.config.output_channels
        self._device_name, self._precision = device, precision
        self._closed = False

    def warm_up(self, height: int, width: int) -> None:
        """Run twice at this size: compile or allocate, then settle."""
        for _ in range(2):
            self.infer(*even_pair(height, width, self.visible_channels))

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Engine.infer`."""
        check_pair(visible, thermal, self.visible_channels)
        self._check_open()
        height, width = thermal.shape
        fused = output_array(out, height, width, self.output_channels)
        self._fuse(visible, thermal, fused)
        return fused

    def describe(self) -> EngineDescription:
        """See `Engine.describe`."""
        return EngineDescription(
            name=self.name,
            device=self._device_name,
            precision=self._precision,
            preset=self.metadata.preset,
            weights_sha256=self.metadata.sha256,
            detail={**self._detail(), **self.notes},
        )

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"the {self.name} engine was closed; create a new one")

    @abc.abstractmethod
    def _fuse(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        """Fuse a checked pair into `out`."""

    @abc.abstractmethod
    def _detail(self) -> dict[str, str]:
        """Return the facts for the description's detail."""
