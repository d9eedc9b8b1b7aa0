# SPDX-License-Identifier: Apache-2.0
"""Faults that are visible in a stream's pixels although every message can be read."""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from fusion_ros.imaging.encodings import PixelFrame
from fusion_ros.imaging.pair_check import PairDoubt, is_constant, result_doubts, shows_colours
from fusion_ros.streams.ledger import Stream
from fusion_ros.thermal.units import PLAUSIBLE_CELSIUS

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusedFrame

_EXAMINE_EVERY_NS = 250_000_000
_EXAMINATIONS = 12
"""A fault is decided by this many examinations: three seconds, or more of a slow stream."""
_COMPARISONS = 4
"""Comparisons that must agree: one second, or more of a slow stream."""
_ROUGHER = 4.0
_MANY_BYTES = 12
_LARGEST_FLOAT, _SMALLEST_FLOAT = 1e6, 1e-6


class Fault(str, Enum):
    """A fault of a stream. The values are codes in diagnostics and findings."""

    BYTE_ORDER = "wrong_byte_order"
    ROW_LENGTH = "wrong_encoding"
    COLOURS = "thermal_shows_colours"
    RENDERING = "radiometric_rendering"
    NO_EFFECT = "fused_is_visible"
    NO_CONTENT = "fused_constant"
    UNIT = "implausible_temperatures"

    @property
    def is_error(self) -> bool:
        """Whether the fused image is wrong for sure."""
        return self not in (Fault.COLOURS, Fault.RENDERING, Fault.UNIT)

    @property
    def text(self) -> str:
        """Description of the fault."""
        return _TEXTS[self][0]

    @property
    def remedy(self) -> str:
        """Remedy of the fault."""
        return _TEXTS[self][1]


_TEXTS = {
    Fault.BYTE_ORDER: (
        "the two bytes of each pixel seem swapped: in the byte order of the header, neighbouring "
        "pixels are unrelated",
        "correct is_bigendian in the driver",
    ),
    Fault.ROW_LENGTH: (
        "the rows are twice as long as the encoding says",
        "correct the encoding in the driver (mono16 for 16 bits, rgb8 for colour)",
    ),
    Fault.COLOURS: (
        "the thermal frames are false colours, and only their luma is fused",
        "take the topic with the camera's counts (mono16) or grey levels (mono8)",
    ),
    Fault.RENDERING: (
        "the frames are radiometric JPEGs, of which the rendering (palette, logo, scale) is fused "
        "and not the measured counts",
        "let the driver publish the counts (mono16), or export them",
    ),
    Fault.NO_EFFECT: (
        "the fused frames are the visible ones, bit for bit: the thermal stream has no effect",
        "check its topic, and the registration with fusion-ros calibrate --show",
    ),
    Fault.NO_CONTENT: (
        "the fused frames have one value everywhere, although the visible ones do not",
        "check the weights: those of a failed training give such images",
    ),
    Fault.UNIT: (
        "the temperatures of the thermal frames are implausible",
        "set tone_unit (and tone_linear_*, tone_emissivity) to what the camera sends",
    ),
}


@dataclasses.dataclass(frozen=True)
class FaultChange:
    """A fault that appeared at a frame."""

    fault: Fault
    encoding: str


class ContentWatch:
    """Examines frames of one stream, four each second; it takes up to 0.2 ms."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._examined_ns: int | None = None
        self._examinations: deque[frozenset[Fault]] = deque(maxlen=_EXAMINATIONS)
        self.active: frozenset[Fault] = frozenset()
        """Faults in most of the newest examinations."""

    def is_due(self, now_ns: int) -> bool:
        """Whether the next frame should be examined."""
        return _is_due(self._examined_ns, now_ns)

    def examine(self, frame: PixelFrame, encoding: str, now_ns: int) -> tuple[FaultChange, ...]:
        """Examine a frame and return new faults."""
        self._examined_ns = now_ns
        self._examinations.append(faults_of(frame, self._stream))
        before = self.active
        self.active = frozenset(
            fault
            for fault in Fault
            if sum(fault in seen for seen in self._examinations) > len(self._examinations) / 2
        )
        return tuple(FaultChange(fault, encoding) for fault in self.active - before)


class EffectWatch:
    """Compares fused frames with their visible ones four times each second; not thread-safe."""

    def __init__(self) -> None:
        self._compared_ns: int | None = None
        self._comparisons: deque[Fault | None] = deque(maxlen=_COMPARISONS)
        self._celsius: float | None = None

    @property
    def fault(self) -> Fault | None:
        """`NO_EFFECT`, `NO_CONTENT` or `UNIT` if all of the newest fused frames show it."""
        found = set(self._comparisons)
        return found.pop() if len(self._comparisons) == _COMPARISONS and len(found) == 1 else None

    @property
    def text(self) -> str:
        """Description and remedy of `fault`; empty without one."""
        fault = self.fault
        if fault is None:
            return ""
        value = f" (median {self._celsius:.0f} C)" if fault is Fault.UNIT else ""
        return f"{fault.text}{value}: {fault.remedy}"

    def is_due(self, now_ns: int) -> bool:
        """Whether the next pair should be compared."""
        return _is_due(self._compared_ns, now_ns)

    def compare(
        self, visible: np.ndarray, fused: FusedFrame, now_ns: int, celsius: float | None = None
    ) -> None:
        """Compare a visible frame with its fused one; `celsius` is the thermal median, if known.

        Thermal frames of one value everywhere, as of a closed shutter, do not count.
        """
        self._compared_ns, self._celsius = now_ns, celsius
        if is_constant(fused.thermal):
            return
        doubts = result_doubts(visible, fused.image)
        found = None
        if PairDoubt.FUSED_IS_VISIBLE in doubts:
            found = Fault.NO_EFFECT
        elif PairDoubt.FUSED_CONSTANT in doubts and not is_constant(visible):
            found = Fault.NO_CONTENT
        elif is_implausible(celsius):
            found = Fault.UNIT
        self._comparisons.append(found)

    def restart(self) -> None:
        """Reset, as after a pause or with another calibration."""
        self._comparisons.clear()


def _is_due(before_ns: int | None, now_ns: int) -> bool:
    return before_ns is None or not 0 <= now_ns - before_ns < _EXAMINE_EVERY_NS


def is_implausible(celsius: float | None) -> bool:
    """Whether the median of a thermal frame is outside `PLAUSIBLE_CELSIUS`."""
    low, high = PLAUSIBLE_CELSIUS
    return celsius is not None and not low <= celsius <= high


def faults_of(frame: PixelFrame, stream: Stream) -> frozenset[Fault]:
    """Return the faults of one frame."""
    pixels = frame.pixels
    signs = {
        Fault.ROW_LENGTH: has_long_rows(pixels),
        Fault.BYTE_ORDER: has_swapped_bytes(pixels),
        Fault.COLOURS: stream is Stream.THERMAL and shows_colours(pixels),
        Fault.RENDERING: bool(frame.rendering_of),
    }
    return frozenset(fault for fault, is_seen in signs.items() if is_seen)


def has_long_rows(pixels: np.ndarray) -> bool:
    """Whether rows are padded to twice their length or more; drivers pad to 16 or 64 bytes.

    Images narrower than 64 bytes do not count.
    """
    row = pixels.shape[1] * pixels.itemsize * (pixels.shape[2] if pixels.ndim == 3 else 1)
    return pixels.shape[0] > 1 and pixels.strides[0] >= 2 * row and row >= 64


def has_swapped_bytes(pixels: np.ndarray) -> bool:
    """Whether 16-bit or float pixels form an image only with their bytes reversed."""
    if pixels.ndim != 2 or pixels.dtype not in (np.uint16, np.float32) or pixels.shape[1] < 8:
        return False
    rows = max(1, pixels.shape[0] // 32)
    sample = np.ascontiguousarray(pixels[::rows, :128])
    if sample.dtype == np.float32:
        return _plausible_share(sample) < 0.5 and _plausible_share(sample.byteswap()) > 0.9
    if _roughness(sample) > _ROUGHER * _roughness(sample.byteswap()):
        return True
    # Swapped counts of a narrow range are not rough. But their high bytes, which have few and
    # neighbouring values, are in the place of the low ones. Zero may be 8-bit counts, shifted.
    octets = sample.reshape(-1).view(np.uint8).reshape(-1, 2)
    first, second = (np.flatnonzero(np.bincount(octets[:, side])) for side in (0, 1))
    low, high = (first, second) if sys.byteorder == "little" else (second, first)
    neighbours = low[-1] - low[0] < 2 * low.size
    shifted = low[-1] == 0
    return bool(neighbours and not shifted and high.size >= max(_MANY_BYTES, 4 * low.size))


def _roughness(sample: np.ndarray) -> float:
    values = sample.astype(np.float32)
    return float(np.abs(np.diff(values, axis=1)).mean()) / max(float(values.std()), 1e-6)


def _plausible_share(sample: np.ndarray) -> float:
    """Return the share of plausible thermal values; NaN is a pixel without a reading."""
    with np.errstate(invalid="ignore"):
        size = np.abs(sample[~np.isnan(sample)])
        if size.size == 0:
            return 1.0
        plausible = (size == 0) | ((size > _SMALLEST_FLOAT) & (size < _LARGEST_FLOAT))
    return float(plausible.mean())
