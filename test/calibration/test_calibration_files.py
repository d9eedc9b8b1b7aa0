# SPDX-License-Identifier: Apache-2.0
"""Calibration files: written ones are read unchanged, faulty ones refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion_ros.calibration.files import (
    CalibrationFileError,
    load_calibration,
    make_registration,
    save_calibration,
)
from fusion_ros.calibration.imports import import_camera_info, import_extrinsic, import_kalibr
from fusion_ros.registration.geometry import (
    CameraModel,
    HomographyCalibration,
    RigCalibration,
    Size,
)
from fusion_ros.registration.options import RegistrationOptions

MATRIX = np.array([[500.0, 0, 319.5], [0, 505, 255.5], [0, 0, 1]])


@pytest.fixture
def homography() -> HomographyCalibration:
    matrix = [[1.1, 0.01, 12.5], [-0.02, 1.12, -8.25], [1e-5, -2e-5, 1]]
    return HomographyCalibration(matrix, Size(640, 512), Size(1280, 1024), 15.0)


@pytest.fixture
def rig() -> RigCalibration:
    return RigCalibration(
        CameraModel(Size(640, 512), MATRIX, "plumb_bob", (-0.2, 0.1, 0.001, 0.002, 0.0)),
        CameraModel(Size(320, 256), MATRIX / 2 + np.diag([0, 0, 0.5]), "equidistant", (0.1,) * 4),
        cv2.Rodrigues(np.array([0.01, 0.02, 0.03]))[0],
        [0.05, -0.01, 0.002],
        7.5,
    )


def test_homography_file_is_read_unchanged(
    tmp_path: Path, homography: HomographyCalibration
) -> None:
    path = tmp_path / "h.yaml"
    save_calibration(path, homography, quality={"verdict": "good"})
    read = load_calibration(path)
    np.testing.assert_array_equal(read.matrix, homography.matrix)
    assert (read.thermal_size, read.visible_size) == (Size(640, 512), Size(1280, 1024))
    assert read.exact_distance_m == 15.0


def test_rig_file_is_read_unchanged(tmp_path: Path, rig: RigCalibration) -> None:
    path = tmp_path / "r.yaml"
    save_calibration(path, rig)
    read = load_calibration(path)
    np.testing.assert_array_equal(read.rotation, rig.rotation)
    np.testing.assert_array_equal(read.translation_m, rig.translation_m)
    np.testing.assert_array_equal(read.thermal.matrix, rig.thermal.matrix)
    assert read.thermal.distortion == rig.thermal.distortion
    assert read.visible.distortion_model == "plumb_bob"
    assert read.distance_m == 7.5


def test_registration_is_made_from_the_file_in_the_options(
    tmp_path: Path, homography: HomographyCalibration, rig: RigCalibration
) -> None:
    path = tmp_path / "c.yaml"
    save_calibration(path, homography)
    register = make_registration(RegistrationOptions("homography", str(path)))
    assert register(np.zeros((512, 640), np.uint8), (1024, 1280)).shape == (1024, 1280)
    save_calibration(path, rig)
    register = make_registration(RegistrationOptions("calibrated", str(path)))
    assert register(np.zeros((256, 320), np.uint8), (512, 640)).shape == (512, 640)
    with pytest.raises(ValueError, match="calibration_file"):
        make_registration(RegistrationOptions("homography", str(path)))
    assert make_registration(RegistrationOptions("resize")).calibration is None


@pytest.mark.parametrize(
    ("change", "token"),
    [
        ({"fusion_ros_calibration": 2}, "fusion_ros_calibration is 2; allowed is 1"),
        ({"fusion_ros_calibration": None}, "camchain"),
        ({"homography.thermal_size": [640]}, "homography.thermal_size is \\[640\\]"),
        ({"homography.thermal_size": [640.5, 512]}, "width, height"),
        ({"homography.thermal_to_visible": [1, 2, 3]}, "3 x 3"),
        ({"homography.thermal_to_visible": "eye"}, "3 x 3"),
        ({"homography.exact_distance_m": "far"}, "exact_distance_m is 'far'"),
        ({"homography.exact_distance_m": float("nan")}, "exact_distance_m is nan"),
        ({"homography.scale": 2}, "unknown entries.*scale"),
        ({"homography": [1, 2]}, "named entries"),
        ({"extra": 1}, "extra"),
    ],
)
def test_faulty_entry_is_refused_with_file_and_entry_name(
    tmp_path: Path, homography: HomographyCalibration, change: dict, token: str
) -> None:
    path = tmp_path / "wrong.yaml"
    save_calibration(path, homography)
    content = yaml.safe_load(path.read_text())
    for name, value in change.items():
        section, _, key = name.rpartition(".")
        (content[section] if section else content)[key] = value
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(CalibrationFileError, match=f"(?s)wrong.yaml.*{token}"):
        load_calibration(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\x00", "a: !!python/object:os.system {}"])
def test_other_content_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "no.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationFileError, match=r"no\.yaml"):
        load_calibration(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationFileError, match=r"gone\.yaml"):
        load_calibration(tmp_path / "gone.yaml")


ENTRY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["thermal_to_visible", "thermal_size", "visible_size", "rig", "size"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["homography", "rig", "note"]), entry=ENTRY)
def test_hostile_files_raise_calibration_file_error(
    tmp_path: Path, kind: str, entry: object
) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(yaml.safe_dump({"fusion_ros_calibration": 1, kind: entry}))
    with pytest.raises(CalibrationFileError):
        load_calibration(path)


KALIBR = """
cam0:
  camera_model: pinhole
  distortion_coeffs: [-0.28, 0.07, 0.0002, 0.00002]
  distortion_model: radtan
  intrinsics: [458.0, 457.0, 367.0, 248.0]
  resolution: [752, 480]
  rostopic: /visible/image_raw
cam1:
  T_cn_cnm1:
  - [0.0, -1.0, 0.0, -0.11]
  - [1.0, 0.0, 0.0, 0.002]
  - [0.0, 0.0, 1.0, 0.003]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  distortion_coeffs: [0.01, 0.0, 0.0, 0.0]
  distortion_model: equidistant
  intrinsics: [400.0, 401.0, 320.0, 256.0]
  resolution: [640, 512]
  rostopic: /thermal/image_raw
"""


def test_kalibr_camchain_is_read_in_either_order(tmp_path: Path) -> None:
    path = tmp_path / "camchain.yaml"
    path.write_text(KALIBR)
    rig = import_kalibr(path, distance_m=5.0)
    assert rig.visible.matrix.tolist() == [[458, 0, 367], [0, 457, 248], [0, 0, 1]]
    assert rig.thermal.distortion_model == "equidistant"
    assert rig.translation_m.tolist() == [-0.11, 0.002, 0.003]
    back = import_kalibr(path, visible="cam1", thermal="cam0")
    # p0 = R' (p1 - t): R' (-t) with R' = [[0 1 0] [-1 0 0] [0 0 1]].
    np.testing.assert_allclose(back.translation_m, [-0.002, -0.11, -0.003], atol=1e-12)
    np.testing.assert_allclose(back.rotation, rig.rotation.T)


@pytest.mark.parametrize(
    ("old", "new", "token"),
    [
        ("camera_model: pinhole", "camera_model: omni", "omni.*pinhole"),
        ("distortion_model: radtan", "distortion_model: fov", "fov.*radtan"),
        ("cam1:", "cam2:", "no camera 'cam1'"),
        ("T_cn_cnm1", "T_cam_imu", "T_cn_cnm1 is missing"),
        ("resolution: [752, 480]", "resolution: [752]", "camchain"),
        ("intrinsics: [458.0,", "intrinsics: [a,", "camchain"),
    ],
)
def test_unusable_camchain_is_refused(tmp_path: Path, old: str, new: str, token: str) -> None:
    path = tmp_path / "camchain.yaml"
    path.write_text(KALIBR.replace(old, new))
    with pytest.raises(CalibrationFileError, match=token):
        import_kalibr(path)


CAMERA_INFO = """
image_width: 640
image_height: 512
camera_name: thermal
camera_matrix:
  rows: 3
  cols: 3
  data: [500.0, 0.0, 319.5, 0.0, 505.0, 255.5, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.3, 0.1, 0.0, 0.001, 0.0]
"""
ECHOED = """
header: {frame_id: thermal}
height: 512
width: 640
distortion_model: plumb_bob
d: [-0.3, 0.1, 0.0, 0.001, 0.0]
k: [500.0, 0.0, 319.5, 0.0, 505.0, 255.5, 0.0, 0.0, 1.0]
"""


@pytest.mark.parametrize("text", [CAMERA_INFO, ECHOED])
def test_camera_info_is_read_from_files_and_echoed_messages(tmp_path: Path, text: str) -> None:
    path = tmp_path / "info.yaml"
    path.write_text(text)
    camera = import_camera_info(path)
    np.testing.assert_array_equal(camera.matrix, MATRIX)
    assert camera.size == Size(640, 512)
    assert camera.distortion == (-0.3, 0.1, 0.0, 0.001, 0.0)


def test_opencv_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "opencv.yaml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 512)
    storage.write("camera_matrix", MATRIX)
    storage.write("distortion_coefficients", np.array([[-0.3, 0.1, 0, 0.001, 0]]))
    storage.write("R", np.eye(3))
    storage.write("T", np.array([[0.1], [0.0], [0.0]]))
    storage.release()
    np.testing.assert_array_equal(import_camera_info(path).matrix, MATRIX)
    rotation, translation = import_extrinsic(path)
    np.testing.assert_array_equal(rotation, np.eye(3))
    assert translation.tolist() == [0.1, 0, 0]


def test_an_uncalibrated_camera_info_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "info.yaml"
    path.write_text("{width: 640, height: 512, k: [0, 0, 0, 0, 0, 0, 0, 0, 0], d: []}")
    with pytest.raises(CalibrationFileError, match=r"info.yaml.*no calibration"):
        import_camera_info(path)
