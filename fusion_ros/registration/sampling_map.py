# SPDX-License-Identifier: Apache-2.0
"""Sampling map of a calibration: the thermal position of each visible pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.registration.geometry import Calibration, HomographyCalibration, Size
from fusion_ros.registration.seam import bounding_window
from fusion_ros.registration.structure import array_median


@dataclass(frozen=True, eq=False)
class SamplingMap:
    """Thermal pixel positions `x` and `y`, `float32` HxW on the visible grid.

    NaN-free; `valid` (bool HxW) is true where they lie inside the thermal image.
    """

    x: np.ndarray
    y: np.ndarray
    valid: np.ndarray
    thermal_size: Size


def sampling_map(
    calibration: Calibration, thermal: Size, visible: Size, distance_m: float = 0.0
) -> SamplingMap:
    """Make the sampling map of a calibration for images of these sizes.

    A rig's map includes the lenses of both cameras and is exact on the plane at `distance_m` (0:
    the calibration's distance). The visible image stays unchanged, so that its `camera_info` holds
    for the fused image.

    Raises:
        GeometryError: the aspect ratio of a size differs from the calibration's.
    """
    x, y = np.meshgrid(np.arange(visible.width), np.arange(visible.height))
    grid = np.column_stack((x.ravel(), y.ravel())).astype(np.float64)
    pixels = thermal_pixels(calibration.at_sizes(thermal, visible), grid, distance_m)
    x, y = (p.reshape(visible.height, visible.width) for p in pixels.T)
    with np.errstate(invalid="ignore"):
        valid = (x >= -0.5) & (x <= thermal.width - 0.5) & (y >= -0.5) & (y <= thermal.height - 0.5)
    # Outside, the nearest edge of the thermal image is repeated, which avoids a hard edge there.
    x = np.nan_to_num(np.clip(x, -0.5, thermal.width - 0.5), nan=0.0)
    y = np.nan_to_num(np.clip(y, -0.5, thermal.height - 0.5), nan=0.0)
    return SamplingMap(x.astype(np.float32), y.astype(np.float32), valid, thermal)


def thermal_pixels(
    calibration: Calibration, visible_pixels: np.ndarray, distance_m: float = 0.0
) -> np.ndarray:
    """Return the thermal pixels (`float64` Nx2) of visible ones (Nx2), at the calibration's sizes.

    NaN where the thermal camera cannot see the point. `distance_m` is that of a rig's plane; 0
    means the calibration's distance.
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


def visible_pixels(
    calibration: Calibration, points: np.ndarray, distance_m: float = 0.0
) -> np.ndarray:
    """Return the visible pixels (`float64` Nx2) of thermal `points`, the inverse `thermal_pixels`.

    NaN where the visible camera cannot see the point.
    """
    if isinstance(calibration, HomographyCalibration):
        return cv2.perspectiveTransform(points[None], calibration.matrix)[0]
    rays = calibration.thermal.rays(points)
    turned = np.column_stack((rays, np.ones(len(rays)))) @ calibration.rotation
    centre = -calibration.translation_m @ calibration.rotation
    # The point of each ray on the plane, in the visible camera's frame.
    along = ((distance_m or calibration.distance_m) - centre[2]) / turned[:, 2]
    return calibration.visible.project(centre + along[:, None] * turned)


class MapSampler:
    """Applies a sampling map to frames of one size, in OpenCV's fastest format.

    Args:
        sampling: the map.
        interpolation: "linear", or "nearest", which returns only values that the sensor measured.
        repeats_edge: outside the thermal image repeat its nearest edge, which avoids a hard edge
            for the network. Otherwise the result is 0 there, NaN for float frames.
    """

    def __init__(
        self, sampling: SamplingMap, *, interpolation: str = "linear", repeats_edge: bool = True
    ) -> None:
        self._is_nearest, self._repeats_edge = interpolation == "nearest", repeats_edge
        width, height = sampling.thermal_size.width, sampling.thermal_size.height
        x, y = sampling.x, sampling.y
        self._reduced: tuple[int, int] | None = None
        shrink = 1.0 if self._is_nearest else _thermal_pixels_per_visible(sampling)
        if shrink >= 1.5:
            # Skipping pixels would alias: the frame is averaged to a smaller one first.
            self._reduced = (max(1, round(width / shrink)), max(1, round(height / shrink)))
            x = (x + 0.5) * (self._reduced[0] / width) - 0.5
            y = (y + 0.5) * (self._reduced[1] / height) - 0.5
            width, height = self._reduced
        if not repeats_edge:
            # The four pixels around each valid point are inside; remap resolves 1/32 pixel.
            x, y = (
                np.where(sampling.valid, np.clip(p, 0, length - 1 - 1 / 32), -9.0)
                for p, length in ((x, width), (y, height))
            )
        self._shape = sampling.valid.shape
        # Remapping beyond the thermal image is slow; pixels there are filled or copied instead.
        self._window = bounding_window(sampling.valid)
        self._maps = cv2.convertMaps(
            x[self._window].astype(np.float32),
            y[self._window].astype(np.float32),
            cv2.CV_16SC2,
            nninterpolation=self._is_nearest,
        )

    def __call__(self, thermal: np.ndarray) -> np.ndarray:
        """Return `thermal` (HxW of the map's size, `uint8`, `uint16`, `float32`) on the grid."""
        if self._reduced is not None:
            thermal = cv2.resize(thermal, self._reduced, interpolation=cv2.INTER_AREA)
        fill = np.nan if thermal.dtype == np.float32 else 0
        result = np.empty(self._shape, thermal.dtype)
        cv2.remap(
            thermal,
            *self._maps,
            cv2.INTER_NEAREST if self._is_nearest else cv2.INTER_LINEAR,
            dst=result[self._window],
            borderMode=cv2.BORDER_REPLICATE if self._repeats_edge else cv2.BORDER_CONSTANT,
            borderValue=fill,
        )
        if self._repeats_edge:
            _repeat_edges(result, *self._window)
        else:
            for outside in _around(result, *self._window):
                outside.fill(fill)
        return result


def _around(image: np.ndarray, rows: slice, columns: slice) -> tuple[np.ndarray, ...]:
    """Return the parts of an image outside a window: above, below, left and right."""
    beside = image[rows]
    above, below = image[: rows.start], image[rows.stop :]
    return above, below, beside[:, : columns.start], beside[:, columns.stop :]


def _repeat_edges(image: np.ndarray, rows: slice, columns: slice) -> None:
    """Fill an image outside a window with the nearest pixels of the window."""
    inside = image[rows]
    inside[:, : columns.start] = inside[:, columns.start, None]
    inside[:, columns.stop :] = inside[:, columns.stop - 1, None]
    image[: rows.start] = image[rows.start]
    image[rows.stop :] = image[rows.stop - 1]


def _thermal_pixels_per_visible(sampling: SamplingMap) -> float:
    """Return the number of thermal pixels along one visible pixel, the median of the valid area."""
    if not sampling.valid.any() or min(sampling.x.shape) < 2:
        return 1.0
    area = np.abs(
        np.gradient(sampling.x, axis=1) * np.gradient(sampling.y, axis=0)
        - np.gradient(sampling.x, axis=0) * np.gradient(sampling.y, axis=1)
    )
    return math.sqrt(array_median(area[sampling.valid]))
