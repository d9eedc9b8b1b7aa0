# SPDX-License-Identifier: Apache-2.0
"""Calibration with a board that both cameras see: heated, cut out, or printed and sunlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from fusion_ros.imaging.contrast import equalised, stretched
from fusion_ros.registration.geometry import CameraModel, GeometryError, RigCalibration, Size

_FEWEST_VIEWS = 5
_MOST_ERROR_PX = 1.0
_ENOUGH_VIEWS = 10
_ENOUGH_COVERED = 0.4


@dataclass(frozen=True)
class Board:
    """The pattern on a board.

    `kind` is checkerboard, circles, asymmetric_circles or charuco. `columns` and `rows` count inner
    corners, circles, or (for charuco) squares; `spacing_m` is the distance between neighbours, or
    the side of a square.
    """

    kind: str
    columns: int
    rows: int
    spacing_m: float
    marker_m: float = 0.0
    """Side of an ArUco marker on a charuco board; 0: three quarters of a square."""
    dictionary: str = "DICT_4X4_50"
    """OpenCV's name of the ArUco dictionary."""

    def __post_init__(self) -> None:
        if self.kind == "charuco" and not hasattr(cv2.aruco, self.dictionary):
            raise GeometryError(
                f"dictionary is {self.dictionary!r}; OpenCV has no dictionary of that name"
            )

    def points(self) -> np.ndarray:
        """Return the positions of the points on the board, in metres, `float32` Nx3."""
        if self.kind == "charuco":
            return np.array(self.charuco().getChessboardCorners(), np.float32)
        column, row = np.meshgrid(np.arange(self.columns), np.arange(self.rows))
        if self.kind == "asymmetric_circles":
            column = 2 * column + row % 2
        flat = np.stack((column.ravel(), row.ravel(), np.zeros(column.size)), axis=1)
        return (flat * self.spacing_m).astype(np.float32)

    def charuco(self) -> cv2.aruco.CharucoBoard:
        """Return OpenCV's board of this layout."""
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        marker = self.marker_m or 0.75 * self.spacing_m
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.spacing_m, marker, dictionary)


@dataclass(frozen=True, eq=False)
class Sighting:
    """The points of the board that one camera saw, with their numbers on the board."""

    numbers: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class BoardResult:
    """Calibration of the rig, and its reprojection errors (root mean square)."""

    calibration: RigCalibration
    visible_error_px: float
    thermal_error_px: float
    together_error_px: float
    visible_covered: float
    """Share of the image inside the bounding box of all points in all views."""
    thermal_covered: float
    views: int
    refused: tuple[str, ...]
    """Names of the pairs in which one camera or both did not see the board."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the reasons to doubt the result; empty if it is good."""
        errors_px = (self.visible_error_px, self.thermal_error_px, self.together_error_px)
        found = [
            f"the {what} reprojection error is {error_px:.1f} px"
            for what, error_px in zip(("visible", "thermal", "stereo"), errors_px, strict=True)
            if error_px >= _MOST_ERROR_PX
        ]
        if self.views < _ENOUGH_VIEWS:
            found.append(f"only {self.views} views; {_ENOUGH_VIEWS} or more confirm each other")
        found += [
            f"the board was seen in {covered:.0%} of the {what} image; elsewhere its lens model is "
            "extrapolated"
            for what, covered in (
                ("visible", self.visible_covered), ("thermal", self.thermal_covered)
            )
            if covered < _ENOUGH_COVERED
        ]  # fmt: skip
        return tuple(found)

    def figures(self) -> dict[str, Any]:
        """Return the figures for the calibration file and for JSON."""
        return {
            "verdict": "doubtful" if self.reasons else "good",
            "reasons": list(self.reasons),
            "visible_reprojection_px": round(self.visible_error_px, 3),
            "thermal_reprojection_px": round(self.thermal_error_px, 3),
            "stereo_reprojection_px": round(self.together_error_px, 3),
            "baseline_m": round(self.calibration.baseline_m, 4),
            "visible_covered": round(self.visible_covered, 2),
            "thermal_covered": round(self.thermal_covered, 2),
            "views_used": self.views,
            "pairs_without_board": list(self.refused),
        }


def find_board(image: np.ndarray, board: Board) -> Sighting | None:
    """Find the board in an image (HxW of any type).

    A heated board may be bright where a printed one is dark, so both polarities are tried, with
    global and with local contrast.
    """
    for attempt in (stretched(image), equalised(image)):
        for candidate in (attempt, cv2.bitwise_not(attempt)):
            found = _find(candidate, board)
            if found is not None:
                return found
    return None


def _find(image: np.ndarray, board: Board) -> Sighting | None:
    size = (board.columns, board.rows)
    if board.kind == "charuco":
        detector = cv2.aruco.CharucoDetector(board.charuco())
        pixels, numbers, _, _ = detector.detectBoard(image)
        if numbers is None or len(numbers) < 6:
            return None
        return Sighting(numbers.reshape(-1), pixels.reshape(-1, 2).astype(np.float32))
    if board.kind == "checkerboard":
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY
        found, pixels = cv2.findChessboardCornersSB(image, size, flags=flags)
    else:
        asymmetric = board.kind == "asymmetric_circles"
        grid = cv2.CALIB_CB_ASYMMETRIC_GRID if asymmetric else cv2.CALIB_CB_SYMMETRIC_GRID
        found, pixels = cv2.findCirclesGrid(image, size, flags=grid | cv2.CALIB_CB_CLUSTERING)
    if not found:
        return None
    return Sighting(np.arange(board.columns * board.rows), pixels.reshape(-1, 2).astype(np.float32))


def calibrate_with_board(
    pairs: Sequence[tuple[str, np.ndarray, np.ndarray]], board: Board, distance_m: float = 10.0
) -> BoardResult:
    """Calibrate both cameras and their transform from views (name, visible, thermal), grey.

    The images align on a plane at `distance_m`.

    Raises:
        GeometryError: fewer than five views in which both saw the board, or changing sizes.
    """
    sightings = [(name, _seen_by_both(seen, felt, board)) for name, seen, felt in pairs]
    seen = [common for _, common in sightings if common is not None]
    refused = [name for name, common in sightings if common is None]
    if len(seen) < _FEWEST_VIEWS:
        raise GeometryError(
            f"both cameras saw the {board.columns} x {board.rows} {board.kind} in {len(seen)} of "
            f"{len(pairs)} pairs; {_FEWEST_VIEWS} or more are needed, better 15, at several "
            "distances and angles. Not seen in: " + (", ".join(refused[:10]) or "none")
        )
    sizes = {(Size.of(v.shape), Size.of(t.shape)) for _, v, t in pairs}
    if len(sizes) > 1:
        raise GeometryError(f"the pairs have several sizes: {sorted(map(str, sizes))}")
    ((visible_size, thermal_size),) = sizes
    layout = board.points()
    points = [layout[numbers] for numbers, _, _ in seen]
    in_visible_px, in_thermal_px = [s[1] for s in seen], [s[2] for s in seen]
    visible_camera, visible_error_px = _camera(points, in_visible_px, visible_size)
    thermal_camera, thermal_error_px = _camera(points, in_thermal_px, thermal_size)
    together, *_, rotation, translation, _, _ = cv2.stereoCalibrate(
        points,
        in_visible_px,
        in_thermal_px,
        visible_camera.matrix,
        np.array(visible_camera.distortion),
        thermal_camera.matrix,
        np.array(thermal_camera.distortion),
        (visible_size.width, visible_size.height),
        flags=cv2.CALIB_FIX_INTRINSIC,
    )
    return BoardResult(
        RigCalibration(visible_camera, thermal_camera, rotation, translation, distance_m),
        visible_error_px,
        thermal_error_px,
        float(together),
        _covered(in_visible_px, visible_size),
        _covered(in_thermal_px, thermal_size),
        len(seen),
        tuple(refused),
    )


def _camera(
    points: Sequence[np.ndarray], pixels: Sequence[np.ndarray], size: Size
) -> tuple[CameraModel, float]:
    """Return a camera fitted to the board's points in its images, and its error in pixels."""
    error, matrix, lens, _, _ = cv2.calibrateCamera(
        points, pixels, (size.width, size.height), None, None
    )
    return CameraModel(size, matrix, "plumb_bob", tuple(lens.ravel()[:5])), float(error)


def _covered(pixels: Sequence[np.ndarray], size: Size) -> float:
    """Return the share of the image in the box around all points."""
    every = np.concatenate([p.reshape(-1, 2) for p in pixels])
    return float(np.prod(np.ptp(every, axis=0)) / (size.width * size.height))


def _seen_by_both(
    visible_image: np.ndarray, thermal_image: np.ndarray, board: Board
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return numbers and pixels of the points that both cameras saw; None if too few."""
    visible, thermal = find_board(visible_image, board), find_board(thermal_image, board)
    if visible is None or thermal is None:
        return None
    if board.kind != "charuco":
        # A board with black and white exchanged equals one rotated by half a turn, so the thermal
        # points may be counted from the other end. Both cameras are mounted upright.
        diagonals = [s.pixels[-1] - s.pixels[0] for s in (visible, thermal)]
        if float(diagonals[0] @ diagonals[1]) < 0:
            thermal = Sighting(thermal.numbers, thermal.pixels[::-1].copy())
    numbers, in_visible, in_thermal = np.intersect1d(
        visible.numbers, thermal.numbers, return_indices=True
    )
    if len(numbers) < 6:
        return None
    return numbers, visible.pixels[in_visible], thermal.pixels[in_thermal]
