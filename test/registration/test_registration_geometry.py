# SPDX-License-Identifier: Apache-2.0
"""Camera models and calibrations, compared with manual results and OpenCV's projection."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.registration.geometry import (
    CameraModel,
    GeometryError,
    HomographyCalibration,
    RigCalibration,
    Size,
    parallax_px,
    rotation_from_quaternion,
)

MATRIX = np.array([[500.0, 0, 319.5], [0, 500, 255.5], [0, 0, 1]])
SIZE = Size(640, 512)
LENSES = {
    "none": (),
    "plumb_bob": (-0.28, 0.09, 0.001, -0.0005, -0.01),
    "rational_polynomial": (0.1, 0.02, 0.0002, 0.0003, 0.001, 0.35, 0.03, 0.002),
    "equidistant": (0.03, -0.01, 0.002, -0.0004),
}


@pytest.mark.parametrize("model", list(LENSES))
def test_ray_of_a_pixel_projects_to_the_same_pixel(model: str) -> None:
    camera = CameraModel(SIZE, MATRIX, model, LENSES[model])
    pixels = np.random.default_rng(0).uniform([20, 20], [620, 490], (200, 2))
    rays = camera.rays(pixels)
    seen = camera.project(np.column_stack((rays, np.ones(200))) * 7.0)
    np.testing.assert_allclose(seen, pixels, atol=0.05)


def test_points_behind_the_camera_or_far_outside_are_nan() -> None:
    camera = CameraModel(SIZE, MATRIX, "plumb_bob", LENSES["plumb_bob"])
    assert np.isnan(camera.project(np.array([[0, 0, -1.0], [50, 0, 1.0]]))).all()


def test_halving_the_image_halves_the_camera_matrix() -> None:
    half = CameraModel(SIZE, MATRIX).at_size(Size(320, 256), "visible")
    # Pixel 319.5 is the middle of 640 pixels; the middle of 320 is 159.5.
    np.testing.assert_allclose(half.matrix, [[250, 0, 159.5], [0, 250, 127.5], [0, 0, 1]])


def test_other_aspect_ratio_is_refused_with_both_sizes() -> None:
    with pytest.raises(GeometryError, match=r"thermal frames are 640 x 480.*made for 640 x 512"):
        CameraModel(SIZE, MATRIX).at_size(Size(640, 480), "thermal")


def test_homography_is_rescaled_with_both_images() -> None:
    matrix = np.array([[2.0, 0, 10], [0, 2, 20], [0, 0, 1]])
    made = HomographyCalibration(matrix, Size(320, 256), Size(640, 512))
    small = made.at_sizes(Size(160, 128), Size(320, 256))
    # Thermal (3.5, 3.5) at half size is (7.5, 7.5) at full size; that is visible (25, 35), and at
    # half size (12.25, 17.25).
    seen = small.matrix @ [3.5, 3.5, 1]
    np.testing.assert_allclose(seen[:2] / seen[2], [12.25, 17.25])


def test_parallax_is_focal_times_baseline_times_the_difference_of_inverse_distances() -> None:
    assert parallax_px(0.05, 600, 10, 5) == pytest.approx(3.0)  # 30 px m * (0.2 - 0.1) / m
    assert parallax_px(0.05, 600, 10, float("inf")) == pytest.approx(-3.0)
    assert parallax_px(0.05, 600, 10, 10) == 0


def test_quaternions_follow_the_ros_convention() -> None:
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        rotation_from_quaternion(0, 0, half, half), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12
    )
    np.testing.assert_allclose(rotation_from_quaternion(0, 0, 0, 1), np.eye(3))
    np.testing.assert_allclose(
        rotation_from_quaternion(0.1, 0.2, -0.3, 0.9),
        rotation_from_quaternion(-0.1, -0.2, 0.3, -0.9),
        atol=1e-12,
    )
    axis = np.array([0.1, 0.2, -0.3])
    angle = 2 * np.arctan2(np.linalg.norm(axis), 0.9)
    expected = cv2.Rodrigues(axis / np.linalg.norm(axis) * angle)[0]
    np.testing.assert_allclose(rotation_from_quaternion(0.1, 0.2, -0.3, 0.9), expected, atol=1e-12)


def rig(**change: object) -> RigCalibration:
    camera = CameraModel(SIZE, MATRIX)
    parts = {
        "visible": camera,
        "thermal": camera,
        "rotation": np.eye(3),
        "translation_m": [0, 0, 0],
    }
    return RigCalibration(**{**parts, **change})


@pytest.mark.parametrize(
    ("make", "token"),
    [
        (lambda: Size(0, 5), "0 x 5"),
        (lambda: CameraModel(SIZE, np.zeros((3, 3))), "no calibration"),
        (lambda: CameraModel(SIZE, np.full((3, 3), np.nan)), "finite"),
        (lambda: CameraModel(SIZE, MATRIX, "omni"), "omni.*plumb_bob"),
        (lambda: CameraModel(SIZE, MATRIX, "equidistant", (0.1,)), "1 coefficients"),
        (lambda: HomographyCalibration(np.zeros((3, 3)), SIZE, SIZE), "singular"),
        (lambda: HomographyCalibration([[1, 0], [0, 1]], SIZE, SIZE), "3 x 3"),
        (
            lambda: HomographyCalibration(
                [[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]], Size(640, 512), SIZE
            ),
            "folds",
        ),
        (lambda: HomographyCalibration(np.eye(3), SIZE, SIZE, -1.0), "exact_distance_m is -1"),
        (lambda: rig(rotation=np.eye(3) * 2), "no rotation"),
        (lambda: rig(rotation=np.diag([1, 1, -1])), "no rotation"),
        (lambda: rig(translation_m=[0, 0]), "3 numbers"),
        (lambda: rig(distance_m=0.0), "distance_m is 0"),
        (lambda: rotation_from_quaternion(0, 0, 0, 0), "quaternion"),
    ],
)
def test_contradicting_geometry_is_refused(make, token: str) -> None:
    with pytest.raises(GeometryError, match=token):
        make()
