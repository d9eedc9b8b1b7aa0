# SPDX-License-Identifier: Apache-2.0
"""Warp the thermal frame onto the visible camera's grid."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

from fusion_ros.registration.geometry import (
    Calibration,
    GeometryError,
    HomographyCalibration,
    RigCalibration,
    Size,
)
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.overlap import check_overlap
from fusion_ros.registration.sampling_map import (
    MapSampler,
    SamplingMap,
    sampling_map,
    thermal_pixels,
    visible_pixels,
)
from fusion_ros.registration.seam import SeamBlender, feathered

_ENTRIES = {"homography": "homography", "calibrated": "rig"}
"""Entries of a calibration file by the mode that needs them."""


class ThermalRegistration:
    """Registers `uint8` thermal frames onto the visible grid.

    It keeps the data that depends on the two sizes. With live options and no calibration yet, it
    refuses every frame (`is_ready`).
    """

    def __init__(
        self, options: RegistrationOptions | None = None, calibration: Calibration | None = None
    ) -> None:
        """Check the options against the calibration.

        `calibration` is the content of the options' file (`fusion_ros.calibration` reads it), or
        the live calibration; None while a live one is incomplete.

        Raises:
            ValueError: the mode needs a calibration of its kind.
            GeometryError: under the calibration, the thermal image covers nothing.
        """
        self.options = options or RegistrationOptions()
        self.calibration = calibration
        mode = self.options.mode
        awaited = self.options.is_live and calibration is None
        if mode in _ENTRIES and not awaited and _mode_of(calibration) != mode:
            found = "none was given"
            if other := _mode_of(calibration):
                found = f"this one holds {_ENTRIES[other]!r}, for the mode {other!r}"
            raise ValueError(
                f"mode is {mode!r}, which needs a calibration_file with {_ENTRIES[mode]!r}, but "
                f"{found}; fusion-ros calibrate prints the mode of its file"
            )
        if calibration is not None:
            check_overlap(calibration, self.options.distance_m)
            rescale: Callable[[Size, Size], Calibration] = calibration.at_sizes
            self._at_sizes = functools.lru_cache(maxsize=1)(rescale)
        self._sizes: tuple[Size, Size] | None = None
        self.weights: np.ndarray | None = None
        """`validity` of the last thermal frame."""
        self._blender: SeamBlender | None = None
        self._apply: Callable[[np.ndarray], np.ndarray]
        self._sampling: SamplingMap | None = None
        self._counts_samplers: dict[str, MapSampler] = {}

    @property
    def is_ready(self) -> bool:
        """Return whether frames can be registered: false while a live calibration is incomplete."""
        return self.calibration is not None or not self.options.is_live

    def __call__(self, thermal: np.ndarray, visible_shape: tuple[int, ...]) -> np.ndarray:
        """Return `thermal` (`uint8` HxW) with the height and width of `visible_shape`.

        The result is `thermal` itself if nothing needs to change. Outside the thermal camera's
        view its nearest edge is repeated; `blend_outside` inserts the visible image there.

        Raises:
            GeometryError: sizes that the mode or the calibration does not allow.
        """
        self.prepare(thermal.shape, visible_shape)
        return self._apply(thermal)

    def measured(
        self, thermal: np.ndarray, visible_shape: tuple[int, ...], *, interpolation: str = "nearest"
    ) -> np.ndarray:
        """Return a thermal frame (HxW, without telemetry rows) on the visible grid in its own type.

        0 outside the thermal camera's view, NaN for `float32`. `thermal` itself if nothing needs to
        change. The interpolation is "linear", or "nearest", which returns only numbers that the
        sensor measured.

        Raises:
            GeometryError: sizes that the mode or the calibration does not allow.
        """
        self.prepare(thermal.shape, visible_shape)
        if self._sampling is None:
            return _resized(thermal, Size.of(visible_shape), nearest=interpolation == "nearest")
        if interpolation not in self._counts_samplers:
            self._counts_samplers[interpolation] = MapSampler(
                self._sampling, interpolation=interpolation, repeats_edge=False
            )
        return self._counts_samplers[interpolation](thermal)

    def mapped_points(
        self,
        points: np.ndarray,
        thermal_shape: tuple[int, ...],
        visible_shape: tuple[int, ...],
        *,
        to_visible: bool,
    ) -> np.ndarray:
        """Return the pixels of points on the other image, both `float64` Nx2 (x, y).

        `points` are thermal pixels if `to_visible`, else visible ones. NaN where the other camera
        cannot see a point.

        Raises:
            GeometryError: sizes that the calibration does not allow.
        """
        thermal, visible = Size.of(thermal_shape), Size.of(visible_shape)
        points = np.asarray(points, np.float64).reshape(-1, 2)
        if self.calibration is None or self.options.mode in ("none", "resize"):
            before, after = (thermal, visible) if to_visible else (visible, thermal)
            return cv2.perspectiveTransform(points[None], before.scaling_to(after))[0]
        mapped = visible_pixels if to_visible else thermal_pixels
        return mapped(self._at_sizes(thermal, visible), points, self.options.distance_m)

    def prepare(self, thermal_shape: tuple[int, ...], visible_shape: tuple[int, ...]) -> None:
        """Prepare for these sizes, once for each pair of sizes; takes up to a second.

        Raises:
            GeometryError: sizes that the mode or the calibration does not allow.
        """
        sizes = Size.of(thermal_shape), Size.of(visible_shape)
        if sizes == self._sizes:
            return
        if not self.is_ready:
            raise GeometryError(
                f"source is {self.options.source!r}, and parts of the calibration have not arrived"
            )
        thermal, visible = sizes
        if self.options.mode == "none" and thermal != visible:
            raise GeometryError(
                f"the thermal frame is {thermal} and the visible one {visible}; "
                "mode `none` needs equal sizes, mode `resize` stretches"
            )
        self.weights = self._blender = self._sampling = None
        self._counts_samplers = {}
        if self.calibration is None or self.options.mode in ("none", "resize"):
            self._apply = functools.partial(_resized, size=visible)
        else:
            found = sampling_map(self.calibration, thermal, visible, self.options.distance_m)
            if not found.valid.all():
                feather_px = self.options.feather_percent * visible.width / 100
                self.weights = feathered(found.valid, feather_px)
                self._blender = SeamBlender(found.valid, feather_px)
            self._apply = MapSampler(found)
            self._sampling = found
        self._sizes = sizes

    def validity(
        self, thermal_shape: tuple[int, ...], visible_shape: tuple[int, ...]
    ) -> np.ndarray | None:
        """Return the weight of the thermal image in each visible pixel, `float32` HxW in 0..1.

        None if it is 1 everywhere.
        """
        self.prepare(thermal_shape, visible_shape)
        return self.weights

    @property
    def window(self) -> tuple[slice, slice] | None:
        """Return rows and columns outside which `blend_outside` returns the visible image.

        None if it changes every pixel.
        """
        return None if self._blender is None else self._blender.window

    def blend_outside(self, fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Return `fused`, with `visible` outside the last thermal frame.

        Both are `uint8` of one shape: lumas (cheaper, before the colour is put back) or colours.
        """
        return fused if self._blender is None else self._blender(fused, visible)


def _mode_of(calibration: Calibration | None) -> str | None:
    """Return the mode that a calibration is for."""
    kinds = {HomographyCalibration: "homography", RigCalibration: "calibrated"}
    return kinds.get(type(calibration))


def _resized(thermal: np.ndarray, size: Size, *, nearest: bool = False) -> np.ndarray:
    height, width = thermal.shape
    if (width, height) == (size.width, size.height):
        return thermal
    shrinks = width > size.width or height > size.height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    if nearest:
        interpolation = cv2.INTER_NEAREST_EXACT
    return cv2.resize(thermal, (size.width, size.height), interpolation=interpolation)
