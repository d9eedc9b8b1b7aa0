# SPDX-License-Identifier: Apache-2.0
"""Every registration as one table: where in the thermal picture each visible pixel looks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.registration.geometry import (
    Calibration,
    HomographyCalibration,
    RigCalibration,
    Size,
)


@dataclass(frozen=True, eq=False)
class SamplingMap:
    """`x` and `y`, `float32` HxW on the visible grid: thermal pixels to look up.

    NaN-free; `valid` (bool HxW) says where they lie inside the thermal picture.
    """

    x: np.ndarray
    y: np.ndarray
    valid: np.ndarray
    thermal_size: Size

    def grid(self) -> np.ndarray:
        """For torch's `grid_sample(align_corners=False)`: `float32` HxWx2 in [-1, 1]."""
        size = self.thermal_size
        return np.stack(
            ((2 * self.x + 1) / size.width - 1, (2 * self.y + 1) / size.height - 1), axis=-1
        )


def map_of_homography(
    calibration: HomographyCalibration, thermal: Size, visible: Size
) -> SamplingMap:
    """The sampling map of a homography for pictures of these sizes.

    Raises:
        GeometryError: sizes of another shape than the calibration's.
    """
    fitted = calibration.at_sizes(thermal, visible)
    return _finished(thermal_pixels(fitted, _pixel_grid(visible)), thermal, visible)


def map_of_rig(
    calibration: RigCalibration, thermal: Size, visible: Size, distance_m: float = 0.0
) -> SamplingMap:
    """The sampling map of two calibrated cameras, exact on a plane at a distance.

    The lenses of both are accounted for, and the visible picture stays as it is, so that its
    `camera_info` stays right for the fused one. `distance_m` 0 means the calibration's own.

    Raises:
        GeometryError: sizes of another shape than the calibration's.
    """
    rig = calibration.at_sizes(thermal, visible)
    return _finished(thermal_pixels(rig, _pixel_grid(visible), distance_m), thermal, visible)


def thermal_pixels(
    calibration: Calibration, visible_pixels: np.ndarray, distance_m: float = 0.0
) -> np.ndarray:
    """Thermal pixels (`float64` Nx2) behind visible ones (Nx2), at the calibration's own sizes.

    NaN where the thermal camera cannot see the point. `distance_m` is of a rig's plane; 0 means
    the calibration's own.
    """
    if isinstance(calibration, HomographyCalibration):
        inverse = np.linalg.inv(calibration.matrix)
        moved = np.column_stack((visible_pixels, np.ones(len(visible_pixels)))) @ inverse.T
        ahead = moved[:, 2] > 1e-9
        pixels = moved[:, :2] / np.where(ahead, moved[:, 2], 1.0)[:, None]
        pixels[~ahead] = np.nan
        return pixels
    rays = calibration.visible.rays(visible_pixels)
    points = np.column_stack((rays, np.ones(len(rays)))) * (distance_m or calibration.distance_m)
    return calibration.thermal.project(points @ calibration.rotation.T + calibration.translation_m)


def _pixel_grid(size: Size) -> np.ndarray:
    x, y = np.meshgrid(np.arange(size.width), np.arange(size.height))
    return np.column_stack((x.ravel(), y.ravel())).astype(np.float64)


def _finished(pixels: np.ndarray, thermal: Size, visible: Size) -> SamplingMap:
    x, y = (p.reshape(visible.height, visible.width) for p in pixels.T)
    with np.errstate(invalid="ignore"):
        valid = (x >= -0.5) & (x <= thermal.width - 0.5) & (y >= -0.5) & (y <= thermal.height - 0.5)
    # Outside, the nearest edge of the thermal picture goes on, so that no hard edge arises there.
    x = np.nan_to_num(np.clip(x, -0.5, thermal.width - 0.5), nan=0.0)
    y = np.nan_to_num(np.clip(y, -0.5, thermal.height - 0.5), nan=0.0)
    return SamplingMap(x.astype(np.float32), y.astype(np.float32), valid, thermal)


class MapSampler:
    """Applies a sampling map to frames of one size, with what OpenCV is quickest at."""

    def __init__(self, sampling: SamplingMap) -> None:
        self._size = sampling.thermal_size
        shrink = _thermal_pixels_per_visible(sampling)
        x, y = sampling.x, sampling.y
        self._reduced: Size | None = None
        if shrink >= 1.5:
            # Skipping pixels would alias: average them first, then look up in the smaller picture.
            self._reduced = Size(
                max(1, round(self._size.width / shrink)), max(1, round(self._size.height / shrink))
            )
            across, down = (
                self._reduced.width / self._size.width,
                self._reduced.height / self._size.height,
            )
            x, y = (x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5
        self._maps = cv2.convertMaps(x.astype(np.float32), y.astype(np.float32), cv2.CV_16SC2)

    def __call__(self, thermal: np.ndarray) -> np.ndarray:
        """`thermal` (`uint8` HxW of the map's size) on the visible grid, bilinear."""
        if self._reduced is not None:
            size = (self._reduced.width, self._reduced.height)
            thermal = cv2.resize(thermal, size, interpolation=cv2.INTER_AREA)
        first, second = self._maps
        return cv2.remap(thermal, first, second, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _thermal_pixels_per_visible(sampling: SamplingMap) -> float:
    """How many thermal pixels lie along one visible pixel, in the middle of what is valid."""
    if not sampling.valid.any() or min(sampling.x.shape) < 2:
        return 1.0
    area = np.abs(
        np.gradient(sampling.x, axis=1) * np.gradient(sampling.y, axis=0)
        - np.gradient(sampling.x, axis=0) * np.gradient(sampling.y, axis=1)
    )
    return float(np.sqrt(np.median(area[sampling.valid])))
