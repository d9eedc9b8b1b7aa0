# SPDX-License-Identifier: Apache-2.0
"""Registration of the thermal frame onto the visible grid."""

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
)
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.sampling_map import sampling_map
from fusion_ros.registration.seam import SeamBlender, feathered
from fusion_ros.registration.warp import ThermalRegistration


@pytest.fixture
def image() -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(120, 160))
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    return cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)


def homography(matrix: object, thermal: Size, visible: Size, **options: object):
    options = RegistrationOptions(mode="homography", **options)
    return ThermalRegistration(options, HomographyCalibration(matrix, thermal, visible))


def test_equal_sizes_pass_through() -> None:
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert ThermalRegistration()(frame, (2, 3, 3)) is frame


def test_shrinking_averages_pixels() -> None:
    frame = np.array([[0, 10, 100, 110], [20, 30, 120, 130]], np.uint8)
    assert ThermalRegistration()(frame, (1, 2)).tolist() == [[15, 115]]


def test_enlarging_keeps_pixel_centres() -> None:
    # Each new pair of pixels lies a quarter to either side of the old centre.
    assert ThermalRegistration()(np.array([[0, 100]], np.uint8), (1, 4)).tolist() == [
        [0, 25, 75, 100]
    ]


def test_mode_none_refuses_unequal_sizes_and_names_both() -> None:
    registration = ThermalRegistration(RegistrationOptions(mode="none"))
    with pytest.raises(GeometryError, match=r"4 x 3 .* 8 x 6"):
        registration(np.zeros((3, 4), np.uint8), (6, 8))


def test_stretching_leaves_every_pixel_valid() -> None:
    assert ThermalRegistration().validity((3, 4), (6, 8)) is None


def test_shift_by_whole_pixels_only_moves_the_image(image: np.ndarray) -> None:
    size = Size(160, 120)
    register = homography([[1, 0, 7], [0, 1, -5], [0, 0, 1]], size, size, feather_percent=0)
    moved = register(image, (120, 160, 3))
    np.testing.assert_array_equal(moved[:115, 7:], image[5:, :153])
    validity = register.validity((120, 160), (120, 160))
    expected = np.zeros((120, 160), np.float32)
    expected[:115, 7:] = 1
    np.testing.assert_array_equal(validity, expected)
    assert (moved[20, :7] == moved[20, 7]).all()  # the edge is repeated


def test_homography_equals_warp_perspective(image: np.ndarray) -> None:
    matrix = np.array([[1.9, 0.05, 12], [-0.03, 1.95, 8], [1e-5, 2e-5, 1]])
    register = homography(matrix, Size(160, 120), Size(320, 256))
    moved = register(image, (256, 320))
    expected = cv2.warpPerspective(image, matrix, (320, 256), borderMode=cv2.BORDER_REPLICATE)
    valid = cv2.erode((register.validity((120, 160), (256, 320)) > 0).astype(np.uint8), None) > 0
    assert np.abs(moved.astype(int) - expected)[valid].max() <= 3


def test_beyond_the_thermal_image_its_edges_are_repeated(image: np.ndarray) -> None:
    """A shift by whole pixels, by hand."""
    move = homography([[1, 0, 30], [0, 1, 20], [0, 0, 1]], Size(160, 120), Size(240, 180))
    wanted = np.pad(image, ((20, 40), (30, 50)), mode="edge")
    np.testing.assert_array_equal(move(image, (180, 240)), wanted)


def test_outside_the_window_blending_returns_the_visible_image() -> None:
    move = homography([[1, 0.1, 30], [0, 1, 20], [0, 0, 1]], Size(160, 120), Size(240, 180))
    noise = np.random.default_rng(4).integers(0, 256, (2, 180, 240), dtype=np.uint8)
    blended = move.blend_outside(move(noise[0, :120, :160], (180, 240)), noise[1])
    assert move.window == (slice(18, 142), slice(28, 204))
    inside = np.zeros((180, 240), bool)
    inside[move.window] = True
    np.testing.assert_array_equal(blended[~inside], noise[1][~inside])
    assert (blended != noise[1]).any()


def test_a_registration_without_a_seam_has_no_window(image: np.ndarray) -> None:
    register = ThermalRegistration()
    register(image, (240, 320))
    assert register.window is None


def test_other_resolutions_of_the_same_views_are_rescaled(image: np.ndarray) -> None:
    matrix = [[2.0, 0, 10], [0, 2, 20], [0, 0, 1]]
    full = homography(matrix, Size(160, 120), Size(400, 300))
    moved = full(image, (300, 400))
    double = cv2.resize(image, (320, 240), interpolation=cv2.INTER_CUBIC)
    moved_double = full(double, (300, 400))
    middle = np.s_[40:200, 40:280]
    assert np.abs(moved.astype(int) - moved_double)[middle].mean() < 2


def test_other_aspect_ratio_is_refused_with_both_sizes(image: np.ndarray) -> None:
    register = homography(np.eye(3), Size(160, 120), Size(160, 120))
    with pytest.raises(GeometryError, match=r"visible frames are 160 x 90.*made for 160 x 120"):
        register(image, (90, 160))


def test_shrinking_by_a_homography_does_not_alias() -> None:
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 200
    register = homography(np.diag([0.25, 0.25, 1]), Size(400, 400), Size(100, 100))
    assert np.abs(register(stripes, (100, 100))[2:-2, 2:-2].astype(int) - 100).max() <= 2


def cameras(distance_m: float = 4.0) -> RigCalibration:
    visible = CameraModel(
        Size(320, 240), np.array([[300.0, 0, 160], [0, 300, 118], [0, 0, 1]]),
        "plumb_bob", (-0.2, 0.05, 0.001, 0.0, 0.0),
    )  # fmt: skip
    thermal = CameraModel(
        Size(160, 128), np.array([[170.0, 0, 80], [0, 170, 63], [0, 0, 1]]),
        "plumb_bob", (-0.3, 0.1, 0.0, 0.001, 0.0),
    )  # fmt: skip
    rotation = cv2.Rodrigues(np.array([0.01, -0.02, 0.015]))[0]
    return RigCalibration(visible, thermal, rotation, [0.06, 0.002, -0.01], distance_m)


def test_calibrated_cameras_align_on_the_plane_at_their_distance() -> None:
    rig = cameras()
    sampling = sampling_map(rig, Size(160, 128), Size(320, 240))
    for point in ([0.0, 0.0, 4.0], [0.8, -0.5, 4.0], [-0.9, 0.6, 4.0]):
        # OpenCV's projection of the point into both cameras is the reference.
        point = np.array([point])
        zero = np.zeros(3)
        seen = cv2.projectPoints(
            point, zero, zero, rig.visible.matrix, np.array(rig.visible.distortion)
        )[0].ravel()
        turned = cv2.Rodrigues(rig.rotation)[0]
        expected = cv2.projectPoints(
            point, turned, rig.translation_m, rig.thermal.matrix, np.array(rig.thermal.distortion)
        )[0].ravel()
        column, row = np.round(seen).astype(int)
        slope = 170 / 300
        found = np.array([sampling.x[row, column], sampling.y[row, column]])
        np.testing.assert_allclose(found + (seen - [column, row]) * slope, expected, atol=0.1)


@pytest.mark.parametrize("distance_m", [0.0, 2.0])
def test_points_are_mapped_to_the_other_grid_and_back(distance_m: float) -> None:
    options = RegistrationOptions(mode="calibrated", distance_m=distance_m)
    rigs = (
        ThermalRegistration(options, cameras()),
        homography(
            [[1.9, 0.05, 12], [-0.03, 1.95, 8], [1e-5, 2e-5, 1]], Size(160, 128), Size(320, 240)
        ),
        ThermalRegistration(),
    )
    points = np.random.default_rng(3).uniform([70, 50], [250, 190], (50, 2))
    shapes = (128, 160), (240, 320)
    for register in rigs:
        there = register.mapped_points(points, *shapes, to_visible=False)
        back = register.mapped_points(there, *shapes, to_visible=True)
        np.testing.assert_allclose(back, points, atol=0.05)
    sampling = sampling_map(cameras(), Size(160, 128), Size(320, 240), distance_m)
    [[x, y]] = rigs[0].mapped_points(np.array([[200, 90]]), *shapes, to_visible=False)
    assert (x, y) == pytest.approx((sampling.x[90, 200], sampling.y[90, 200]), abs=1e-3)


def test_another_distance_shifts_by_the_parallax() -> None:
    near, far = (
        sampling_map(cameras(), Size(160, 128), Size(320, 240), distance_m)
        for distance_m in (2.0, 0.0)
    )
    shift = near.x[118, 160] - far.x[118, 160]
    # focal * baseline * (1/2 - 1/4) = 170 * 0.06 * 0.25 px, but for the small turn.
    assert shift == pytest.approx(2.55, abs=0.1)


@pytest.mark.parametrize(("mode", "other"), [("homography", cameras()), ("calibrated", None)])
def test_a_mode_without_its_calibration_is_refused(mode: str, other: object) -> None:
    with pytest.raises(ValueError, match=f"{mode}.*calibration_file"):
        ThermalRegistration(RegistrationOptions(mode=mode), other)


def test_weights_rise_over_the_feather_and_the_image_border_is_no_seam() -> None:
    valid = np.ones((20, 40), bool)
    valid[:, :10] = False
    weights = feathered(valid, 8.0)
    np.testing.assert_allclose(weights[10, 8:20], [0, 0, *np.arange(1, 9) / 8, 1, 1])
    assert (weights[:, 30] == 1).all()


def test_outside_the_overlap_the_output_is_the_visible_image() -> None:
    rng = np.random.default_rng(0)
    valid = np.pad(np.ones((160, 200), bool), ((16, 12), (0, 24)))
    fused, visible = rng.integers(0, 256, (2, *valid.shape, 3), dtype=np.uint8)
    blended = SeamBlender(valid, 8.0)(fused, visible)
    np.testing.assert_array_equal(blended[~valid], visible[~valid])
    np.testing.assert_array_equal(blended[60:130, :160], fused[60:130, :160])


def test_brightness_fades_over_four_times_the_distance_of_detail() -> None:
    valid = np.zeros((240, 400), bool)
    valid[:, 100:] = True
    visible = np.full(valid.shape, 40, np.uint8)
    lighter = np.full(valid.shape, 140, np.uint8)
    rows = SeamBlender(valid, 20.0)(lighter, visible)[120].astype(int)
    assert rows[119] < 60  # at the end of the short distance brightness has hardly changed
    assert rows[140] == pytest.approx(90, abs=8)
    assert rows[180:].min() >= 138
    assert np.abs(np.diff(rows)).max() <= 3

    striped = lighter.copy()
    striped[:, 1::2] += 60  # one pixel wide: detail
    contrast = SeamBlender(valid, 20.0)(striped, visible)[120].astype(int)
    contrast = np.abs(np.diff(contrast))
    assert contrast[109:111].mean() == pytest.approx(30, abs=4)
    assert contrast[122:130].min() >= 55


@pytest.mark.parametrize("channels", [(), (3,)])
def test_blending_in_bytes_equals_blending_with_float_weights(channels: tuple[int, ...]) -> None:
    valid = np.zeros((96, 128), bool)
    valid[20:, 30:] = True
    # Stripes around one grey level: both have the same brightness, so only detail fades.
    heights = np.random.default_rng(1).integers(-120, 121, (48, 64, *channels))
    stripes = heights.repeat(2, 0).repeat(2, 1)
    stripes[:, ::2] *= -1
    fused, visible = ((128 + sign * stripes).astype(np.uint8) for sign in (1, -1))
    blended = SeamBlender(valid, 12.0)(fused, visible)
    weights = feathered(valid, 12.0).reshape(*valid.shape, *[1 for _ in channels])
    np.testing.assert_allclose(blended, weights * fused + (1 - weights) * visible, atol=1.0)


def test_zero_feather_is_a_hard_edge() -> None:
    valid = np.zeros((64, 80), bool)
    valid[:, 40:] = True
    fused, visible = np.full(valid.shape, 200, np.uint8), np.full(valid.shape, 10, np.uint8)
    blended = SeamBlender(valid, 0.0)(fused, visible)
    assert (blended[:, :40] == 10).all()
    assert (blended[:, 40:] == 200).all()


def test_full_overlap_is_not_blended(image: np.ndarray) -> None:
    register = ThermalRegistration()
    register(image, image.shape)
    fused = image.copy()
    assert register.blend_outside(fused, 255 - image) is fused
    np.testing.assert_array_equal(fused, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_measured_numbers_equal_the_frame_at_each_nearest_pixel(dtype: type) -> None:
    counts = np.random.default_rng(2).integers(1, 250, (120, 160)).astype(dtype)
    matrix = np.array([[1.9, 0.05, 12], [-0.03, 1.95, 8], [1e-5, 2e-5, 1]])
    register = homography(matrix, Size(160, 120), Size(320, 256))
    found = register.measured(counts, (256, 320))
    x, y = np.meshgrid(np.arange(320), np.arange(256))
    at = cv2.perspectiveTransform(
        np.stack((x, y), -1).reshape(1, -1, 2).astype(float), np.linalg.inv(matrix)
    ).reshape(256, 320, 2)
    clear = (np.abs(at - np.floor(at) - 0.5) > 0.04).all(axis=2)  # not between two pixels
    column, row = np.rint(at[clear]).astype(int).T
    inside = (column >= 0) & (column < 160) & (row >= 0) & (row < 120)
    expected = counts[np.clip(row, 0, 119), np.clip(column, 0, 159)].astype(float)
    expected[~inside] = np.nan if dtype is np.float32 else 0
    assert found.dtype == dtype
    assert 0.2 < inside.mean() < 0.95
    np.testing.assert_array_equal(found[clear], expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_linear_numbers_do_not_mix_with_the_outside(dtype: type) -> None:
    size = Size(160, 120)
    register = homography([[1, 0, 7.5], [0, 1, 0], [0, 0, 1]], size, size)
    ramp = np.tile(np.arange(160) * 100 + 20_000, (120, 1)).astype(dtype)
    found = register.measured(ramp, (120, 160), interpolation="linear")[60]
    outside = found[:7]
    assert np.isnan(outside).all() if dtype is np.float32 else not outside.any()
    np.testing.assert_allclose(found[8:], 20_050 + 100 * np.arange(152), atol=2)
    assert found[7] == pytest.approx(20_000, abs=1)  # half a pixel outside the first centre


def test_numbers_are_stretched_where_no_calibration_is_used() -> None:
    register = ThermalRegistration()
    counts = np.array([[7000, 9000]], np.uint16)
    assert register.measured(counts, (1, 2)) is counts
    assert register.measured(counts, (1, 4)).tolist() == [[7000, 7000, 9000, 9000]]
    linear = register.measured(counts, (1, 4), interpolation="linear")
    assert linear.tolist() == [[7000, 7500, 8500, 9000]]


@pytest.mark.parametrize(
    ("options", "token"),
    [
        ({"mode": "warp"}, r"'warp'.*none, resize"),
        ({"distance_m": -1}, "distance_m is -1"),
        ({"feather_percent": float("nan")}, "feather_percent is nan"),
    ],
)
def test_invalid_options_are_refused(options: dict, token: str) -> None:
    with pytest.raises(ValueError, match=token):
        RegistrationOptions(**options)
