# SPDX-License-Identifier: Apache-2.0
"""The thermal frame on the visible camera's grid."""

from __future__ import annotations

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
    map_of_homography,
    map_of_rig,
)
from fusion_ros.registration.seam import SeamBlender, feathered


class ThermalRegistration:
    """Brings `uint8` thermal frames onto the visible grid; keeps what depends on the two sizes.

    With options that are live and no calibration yet, it refuses every frame (`is_ready`).
    """

    def __init__(
        self, options: RegistrationOptions | None = None, calibration: Calibration | None = None
    ) -> None:
        """`calibration` is what the options' file holds (`fusion_ros.calibration` reads it), or
        what came while running; None where that has not come yet.

        Raises:
            ValueError: a mode that needs a calibration without one of its kind.
            GeometryError: by the calibration, the thermal picture covers nothing.
        """
        self.options = options or RegistrationOptions()
        self.calibration = calibration
        kinds = {"homography": HomographyCalibration, "calibrated": RigCalibration}
        kind = kinds.get(self.options.mode)
        awaited = self.options.is_live and calibration is None
        if kind is not None and not awaited and not isinstance(calibration, kind):
            found = "none was given" if calibration is None else "this one is of the other kind"
            raise ValueError(
                f"mode is {self.options.mode!r}, which needs a {self.options.mode} calibration, "
                f"but {found}; set calibration_file to a file that holds one"
            )
        if calibration is not None:
            check_overlap(calibration, self.options.distance_m)
        self._sizes: tuple[Size, Size] | None = None
        self._sampling: SamplingMap | None = None
        self._weights: np.ndarray | None = None
        self._blender: SeamBlender | None = None
        self._apply: Callable[[np.ndarray], np.ndarray] = _as_it_is

    @property
    def is_ready(self) -> bool:
        """Whether frames can be registered: false as long as a live calibration is awaited."""
        return self.calibration is not None or not self.options.is_live

    def __call__(self, thermal: np.ndarray, visible_shape: tuple[int, ...]) -> np.ndarray:
        """`thermal` (`uint8` HxW) with the height and width of `visible_shape`.

        Itself where there is nothing to do. Where the thermal camera does not see, its nearest
        edge goes on; `blend_outside` puts the visible picture there.

        Raises:
            GeometryError: sizes that the mode or the calibration cannot bring together.
        """
        self.prepare(thermal.shape, visible_shape)
        return self._apply(thermal)

    def prepare(self, thermal_shape: tuple[int, ...], visible_shape: tuple[int, ...]) -> None:
        """Make what these sizes need, if it is not there: takes up to a second, once a size.

        Raises:
            GeometryError: sizes that the mode or the calibration cannot bring together.
        """
        sizes = Size.of(thermal_shape), Size.of(visible_shape)
        if sizes == self._sizes:
            return
        if not self.is_ready:
            raise GeometryError(
                f"source is {self.options.source!r}, and not all that makes the calibration is "
                "there yet"
            )
        thermal, visible = sizes
        if self.options.mode == "none" and thermal != visible:
            raise GeometryError(
                f"the thermal frame is {thermal} and the visible one {visible}; "
                "mode `none` needs equal sizes, mode `resize` stretches"
            )
        self._weights = self._blender = None
        self._sampling = self._map(thermal, visible)
        if self._sampling is None:
            self._apply = _as_it_is if thermal == visible else _stretch_to(thermal, visible)
        else:
            valid, feather_px = (
                self._sampling.valid,
                self.options.feather_percent * visible.width / 100,
            )
            self._weights = feathered(valid, feather_px)
            self._blender = None if self._weights is None else SeamBlender(valid, feather_px)
            self._apply = MapSampler(self._sampling)
        self._sizes = sizes

    def _map(self, thermal: Size, visible: Size) -> SamplingMap | None:
        if self.options.mode == "homography":
            return map_of_homography(self.calibration, thermal, visible)
        if self.options.mode == "calibrated":
            return map_of_rig(self.calibration, thermal, visible, self.options.distance_m)
        return None

    def validity(
        self, thermal_shape: tuple[int, ...], visible_shape: tuple[int, ...]
    ) -> np.ndarray | None:
        """How much of the thermal picture each visible pixel may use, `float32` HxW in 0..1.

        None where that is everything everywhere.
        """
        self.prepare(thermal_shape, visible_shape)
        return self._weights

    def blend_outside(self, fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """`fused`, with `visible` where the last thermal frame did not reach.

        Both are `uint8` of one shape: lumas (cheaper, before the colour comes back) or colours.
        """
        return fused if self._blender is None else self._blender(fused, visible)

    def sampling_map(
        self, thermal_shape: tuple[int, ...], visible_shape: tuple[int, ...]
    ) -> SamplingMap | None:
        """The table behind `homography` and `calibrated`, for engines that apply it themselves."""
        self.prepare(thermal_shape, visible_shape)
        return self._sampling


def _as_it_is(thermal: np.ndarray) -> np.ndarray:
    return thermal


def _stretch_to(thermal: Size, visible: Size) -> Callable[[np.ndarray], np.ndarray]:
    shrinks = thermal.width > visible.width or thermal.height > visible.height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    size = (visible.width, visible.height)
    return lambda frame: cv2.resize(frame, size, interpolation=interpolation)
