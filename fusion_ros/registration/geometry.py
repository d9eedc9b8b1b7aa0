# SPDX-License-Identifier: Apache-2.0
"""Geometry of two cameras: the content of a calibration file, and its mathematics.

Pixel (0, 0) is the centre of the top left pixel, as in OpenCV and ROS; an image of width w extends
from -0.5 to w - 0.5. Lengths are metres.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

DISTORTION_MODELS = {
    "none": (0,),
    "plumb_bob": (4, 5),
    "rational_polynomial": (8,),
    "equidistant": (4,),
}
"""Lens models by their ROS names, with the allowed numbers of coefficients."""
_ASPECT_TOLERANCE = 0.01
MAX_BASELINE_M = 10.0
"""Larger distances between two cameras of a rig mean that the file is not in metres."""
FOCAL_RANGE = (0.1, 100.0)
"""Focal length in pixels over the image width: 157 to 0.6 degrees of view. A focal length in
millimetres, or as a share of the width, is below it."""
_PIXEL_ASPECT_RANGE = (0.25, 4.0)
_CENTRE_RANGE = (-0.5, 1.5)
SCALE_RANGE = (0.01, 100.0)
"""Visible pixels along a thermal one, over a homography."""


class GeometryError(ValueError):
    """A calibration that contradicts itself, or does not fit the images."""


@dataclass(frozen=True)
class Size:
    """Width and height of an image in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise GeometryError(f"size is {self}; allowed is 1 x 1 and more")

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"

    @staticmethod
    def of(shape: tuple[int, ...]) -> Size:
        """Return the size of an array of shape (height, width, ...)."""
        return Size(int(shape[1]), int(shape[0]))

    @property
    def corners(self) -> np.ndarray:
        """Return the centres of the corner pixels, `float64` 4x2, clockwise from the top left."""
        right, bottom = self.width - 1.0, self.height - 1.0
        return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64)

    def scaling_to(self, other: Size) -> np.ndarray:
        """Return the 3x3 matrix from pixels of this size to pixels of the same view at `other`."""
        x, y = other.width / self.width, other.height / self.height
        return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])

    def same_view_at(self, other: Size, what: str) -> np.ndarray:
        """Return `scaling_to` for two sizes of one aspect ratio.

        Raises:
            GeometryError: the aspect ratios differ by more than 1 %; both sizes are named.
        """
        ratio = (other.width / self.width) / (other.height / self.height)
        if abs(ratio - 1) > _ASPECT_TOLERANCE:
            raise GeometryError(
                f"the {what} frames are {other}, the calibration was made for {self}: not the same "
                "shape, so one is no rescaled version of the other; calibrate at the size in use"
            )
        return self.scaling_to(other)


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A pinhole camera with a lens. `matrix` is the 3x3 camera matrix for images of `size`."""

    size: Size
    matrix: np.ndarray
    distortion_model: str = "none"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        matrix = _matrix(self.matrix, "camera matrix")
        if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
            raise GeometryError(
                f"focal lengths are {matrix[0, 0]} and {matrix[1, 1]}; allowed is more than 0 "
                "(a camera_info full of zeros means that the driver has no calibration)"
            )
        self._check_intrinsics(matrix)
        object.__setattr__(self, "matrix", matrix)
        allowed = DISTORTION_MODELS.get(self.distortion_model)
        if allowed is None:
            raise GeometryError(
                f"distortion_model is {self.distortion_model!r}; "
                f"allowed are {', '.join(DISTORTION_MODELS)}"
            )
        coefficients = tuple(float(c) for c in self.distortion)
        if len(coefficients) not in allowed or not np.isfinite(coefficients).all():
            raise GeometryError(
                f"distortion has {len(coefficients)} coefficients {list(coefficients)[:8]}; "
                f"{self.distortion_model} has {' or '.join(map(str, allowed))}, all finite"
            )
        object.__setattr__(self, "distortion", coefficients)

    def _check_intrinsics(self, matrix: np.ndarray) -> None:
        """Refuse intrinsics that no camera with this image size has."""
        fx, fy = matrix[0, 0], matrix[1, 1]
        size = self.size
        _within(
            fx / size.width, FOCAL_RANGE, f"focal length is {fx:g} for images of {size}, that",
            "times the width, in pixels; is it in millimetres, or the matrix of another size?",
        )  # fmt: skip
        _within(
            fx / fy, _PIXEL_ASPECT_RANGE, f"focal lengths are {fx:g} and {fy:g}, their ratio",
            "",
        )  # fmt: skip
        lower = matrix[[1, 2, 2], [0, 0, 1]]
        if np.abs(lower).max() > 1e-6 * fx or abs(matrix[2, 2] - 1) > 1e-6:
            raise GeometryError(
                f"camera matrix is {matrix.tolist()}; allowed is [[fx, s, cx], [0, fy, cy], "
                "[0, 0, 1]]"
            )
        for name, centre, length in (
            ("cx", matrix[0, 2], size.width),
            ("cy", matrix[1, 2], size.height),
        ):
            _within(
                centre / length, _CENTRE_RANGE, f"{name} is {centre:g} for images of {size}, "
                "that", "times the size; is it the matrix of another size?",
            )  # fmt: skip

    def at_size(self, size: Size, what: str) -> CameraModel:
        """Return the same camera with its image rescaled to `size`; `what` names it in errors."""
        matrix = self.size.same_view_at(size, what) @ self.matrix
        return CameraModel(size, matrix, self.distortion_model, self.distortion)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return the viewing rays of pixels (Nx2): x and y at depth 1, `float64` Nx2."""
        points = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
        if self.distortion_model == "equidistant":
            rays = cv2.fisheye.undistortPoints(points, self.matrix, np.array(self.distortion))
        else:
            until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-7)
            rays = cv2.undistortPointsIter(
                points, self.matrix, np.array(self.distortion), np.eye(3), np.eye(3), until
            )
        return rays.reshape(-1, 2)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the pixels (`float64` Nx2) of points (Nx3, in the camera's frame).

        NaN for points behind the camera or outside the fitted range of the lens model.
        """
        points = np.asarray(points, np.float64).reshape(-1, 3)
        seen = points[:, 2] > 1e-9
        plane = points[:, :2] / np.where(seen, points[:, 2], 1.0)[:, None]
        # Lens polynomials fold back far outside the image that they were fitted to.
        seen &= np.hypot(plane[:, 0], plane[:, 1]) <= 1.05 * self._widest_ray
        ahead = np.column_stack((plane, np.ones(len(plane)))).reshape(-1, 1, 3)
        zero = np.zeros(3)
        if self.distortion_model == "equidistant":
            pixels, _ = cv2.fisheye.projectPoints(
                ahead, zero, zero, self.matrix, np.array(self.distortion)
            )
        else:
            lens = np.array(self.distortion) if self.distortion else None
            pixels, _ = cv2.projectPoints(ahead, zero, zero, self.matrix, lens)
        pixels = pixels.reshape(-1, 2)
        pixels[~seen] = np.nan
        return pixels

    @functools.cached_property
    def _widest_ray(self) -> float:
        right, bottom = self.size.width - 0.5, self.size.height - 0.5
        x, y = np.linspace(-0.5, right, 17), np.linspace(-0.5, bottom, 17)
        border = [(a, b) for a in x for b in (-0.5, bottom)] + [
            (a, b) for a in (-0.5, right) for b in y
        ]
        return float(np.linalg.norm(self.rays(np.array(border)), axis=1).max())


@dataclass(frozen=True, eq=False)
class HomographyCalibration:
    """A 3x3 `matrix` from thermal pixels to visible pixels, at the two given sizes."""

    matrix: np.ndarray
    thermal_size: Size
    visible_size: Size
    exact_distance_m: float = 0.0
    """The distance at which the homography is exact; 0 if unknown."""

    def __post_init__(self) -> None:
        matrix = _matrix(self.matrix, "homography")
        if abs(np.linalg.det(matrix)) < 1e-9 or abs(matrix[2, 2]) < 1e-9:
            raise GeometryError(f"homography {matrix.tolist()} is singular")
        matrix = matrix / matrix[2, 2]
        depths = np.column_stack((self.thermal_size.corners, np.ones(4))) @ matrix[2]
        if (depths <= 0).any():
            raise GeometryError(f"homography {matrix.tolist()} folds the thermal image over")
        object.__setattr__(self, "matrix", matrix)
        _distance(self.exact_distance_m, "exact_distance_m")
        for scale in self.scale:
            _within(scale, SCALE_RANGE, "the size of a thermal pixel on the visible grid", "pixels")

    @property
    def scale(self) -> tuple[float, float]:
        """Return the width and height of a thermal pixel in visible pixels, at the image centre."""
        width, height = self.thermal_size.width - 1.0, self.thermal_size.height - 1.0
        ends = [[0, height / 2], [width, height / 2], [width / 2, 0], [width / 2, height]]
        left, right, top, bottom = cv2.perspectiveTransform(np.array([ends]), self.matrix)[0]
        return (
            float(np.linalg.norm(right - left) / max(width, 1.0)),
            float(np.linalg.norm(bottom - top) / max(height, 1.0)),
        )

    def at_sizes(self, thermal: Size, visible: Size) -> HomographyCalibration:
        """Return the same homography for rescaled images."""
        before = self.thermal_size.same_view_at(thermal, "thermal")
        after = self.visible_size.same_view_at(visible, "visible")
        matrix = after @ self.matrix @ np.linalg.inv(before)
        return HomographyCalibration(matrix, thermal, visible, self.exact_distance_m)


@dataclass(frozen=True, eq=False)
class RigCalibration:
    """Two cameras and the transform between: p_thermal = rotation p_visible + translation."""

    visible: CameraModel
    thermal: CameraModel
    rotation: np.ndarray
    translation_m: np.ndarray
    distance_m: float = 10.0
    """Distance of the plane, perpendicular to the visible camera's axis, on which the images
    align."""

    def __post_init__(self) -> None:
        rotation = _matrix(self.rotation, "rotation")
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
            raise GeometryError(f"rotation {rotation.tolist()} is no rotation")
        object.__setattr__(self, "rotation", rotation)
        translation = np.asarray(self.translation_m, np.float64).reshape(-1)
        if translation.shape != (3,) or not np.isfinite(translation).all():
            raise GeometryError(f"translation_m is {self.translation_m}; allowed are 3 numbers")
        object.__setattr__(self, "translation_m", translation)
        if _distance(self.distance_m, "distance_m") == 0:
            raise GeometryError("distance_m is 0; allowed is more than 0 (metres)")
        if self.baseline_m > MAX_BASELINE_M:
            raise GeometryError(
                f"the cameras are {self.baseline_m:g} m apart; allowed is 0 to "
                f"{MAX_BASELINE_M:g} m. Is the translation {translation.tolist()} in millimetres, "
                "or in the unit of a board? It must be in metres"
            )

    @property
    def baseline_m(self) -> float:
        """Return the distance between the two cameras."""
        return float(np.linalg.norm(self.translation_m))

    def at_sizes(self, thermal: Size, visible: Size) -> RigCalibration:
        """Return the same rig for rescaled images."""
        return RigCalibration(
            self.visible.at_size(visible, "visible"),
            self.thermal.at_size(thermal, "thermal"),
            self.rotation,
            self.translation_m,
            self.distance_m,
        )


Calibration = HomographyCalibration | RigCalibration


def parallax_px(
    baseline_m: float, focal_px: float, exact_distance_m: float, distance_m: float
) -> float:
    """Return the misalignment in pixels at `distance_m` if `exact_distance_m` is aligned.

    focal * baseline * (1 / distance - 1 / exact distance); infinity is a valid distance. Positive
    for objects nearer than the exact distance.
    """
    return focal_px * baseline_m * (1.0 / distance_m - 1.0 / exact_distance_m)


def rotation_from_quaternion(x: float, y: float, z: float, w: float) -> np.ndarray:
    """Return the 3x3 rotation of a quaternion in ROS's order.

    Raises:
        GeometryError: a quaternion of length 0.
    """
    length = float(np.sqrt(x * x + y * y + z * z + w * w))
    if not length > 1e-9:
        raise GeometryError(f"quaternion is ({x}, {y}, {z}, {w}); allowed is any of length 1")
    x, y, z, w = (part / length for part in (x, y, z, w))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def _matrix(values: np.ndarray, what: str) -> np.ndarray:
    try:
        matrix = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.size != 9 or not np.isfinite(matrix).all():
        raise GeometryError(f"{what} is {values}; allowed are 3 x 3 finite numbers")
    return matrix.reshape(3, 3)


def _within(value: float, allowed: tuple[float, float], what: str, unit: str) -> None:
    low, high = allowed
    if not low <= value <= high:
        raise GeometryError(
            f"{what} is {value:.4g}; allowed is {low:g} to {high:g} {unit}".rstrip()
        )


def _distance(value: float, name: str) -> float:
    if not (np.isfinite(value) and value >= 0):
        raise GeometryError(f"{name} is {value}; allowed is 0 and more (metres)")
    return value
