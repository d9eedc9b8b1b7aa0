# SPDX-License-Identifier: Apache-2.0
"""Geometry that no rig has is refused, unusual geometry is reported, from every source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.calibration.files import (
    CalibrationFileError,
    load_calibration,
    make_registration,
    save_calibration,
)
from fusion_ros.calibration.live_rig import LiveCamera, LiveRig
from fusion_ros.calibration.plausibility import check_calibration
from fusion_ros.cli.main import main
from fusion_ros.parameters import FuseParameters, ParameterError
from fusion_ros.pipeline_factory import pipeline_around
from fusion_ros.registration.geometry import (
    CameraModel,
    GeometryError,
    HomographyCalibration,
    RigCalibration,
    Size,
)
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.overlap import overlap
from fusion_ros.registration.warp import ThermalRegistration

VISIBLE, THERMAL = Size(320, 256), Size(160, 128)


def matrix(focal: float, size: Size, scale: float = 1.0) -> np.ndarray:
    centre = (scale * (size.width - 1) / 2, scale * (size.height - 1) / 2)
    return np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])


def rig(
    *,
    translation_m: tuple[float, float, float] = (0.05, 0.0, 0.0),
    turn_degrees: float = 0.0,
    visible_focal: float = 280.0,
    thermal_focal: float = 150.0,
    scale: float = 1.0,
    distance_m: float = 10.0,
) -> RigCalibration:
    rotation = cv2.Rodrigues(np.array([0.0, np.radians(turn_degrees), 0.0]))[0]
    return RigCalibration(
        CameraModel(VISIBLE, matrix(visible_focal, VISIBLE, scale)),
        CameraModel(THERMAL, matrix(thermal_focal, THERMAL)),
        rotation,
        np.array(translation_m),
        distance_m,
    )


def homography(values: list[list[float]]) -> HomographyCalibration:
    return HomographyCalibration(np.array(values), THERMAL, VISIBLE)


def test_usual_rig_has_no_doubts() -> None:
    assert check_calibration(rig()) == ()
    assert check_calibration(homography([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])) == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: rig(translation_m=(-52.3, 1.2, 4.1)),  # millimetres
        lambda: rig(visible_focal=13.0),  # a focal length in millimetres
        lambda: rig(visible_focal=0.9),  # as a share of the width
        lambda: rig(thermal_focal=150e3),  # in micrometres
        lambda: rig(scale=4.0),  # the matrix of an image four times as large
        lambda: rig(distance_m=0.0),
        lambda: CameraModel(VISIBLE, matrix(280.0, VISIBLE).T),
        lambda: CameraModel(VISIBLE, np.diag([280.0, 20.0, 1.0])),
        lambda: homography([[0.001, 0, 5], [0, 0.001, 5], [0, 0, 1]]),
        lambda: homography([[900, 0, 5], [0, 900, 5], [0, 0, 1]]),
    ],
)
def test_impossible_geometry_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(GeometryError):
        make()


@pytest.mark.parametrize(
    ("calibration", "word"),
    [
        (rig(translation_m=(-5.23, 0.1, 0.4)), "5.25 m apart"),  # centimetres
        (rig(translation_m=(1.3, 0.0, 0.0)), "1.3 m apart"),  # squares of 40 mm
        (rig(scale=2.0), "639 x 511"),  # the matrix of an image twice as large
        (rig(scale=0.5), "160 x 128"),
        (rig(visible_focal=40.0), "angle of view"),
        (rig(distance_m=0.06), "distance"),
        (rig(turn_degrees=52.0), "overlap"),
        (homography([[-2, 0, 319], [0, 2, 0], [0, 0, 1]]), "mirrors"),
        (homography([[2, 0, 300], [0, 2, 200], [0, 0, 1]]), "overlap"),
        (homography([[0.04, 0, 100], [0, 0.04, 100], [0, 0, 1]]), "thermal pixel"),
        (homography([[2, 0, 0], [0, 0.5, 0], [0, 0, 1]]), "over its height"),
    ],
)
def test_unusual_geometry_is_doubted(calibration: object, word: str) -> None:
    doubts = check_calibration(calibration)
    assert any(word in doubt for doubt in doubts), doubts
    assert all("usual is" in doubt or "usual for" in doubt for doubt in doubts)


@pytest.mark.parametrize(
    "calibration",
    [
        rig(turn_degrees=120.0),  # a body frame instead of an optical frame
        rig(turn_degrees=180.0),
        rig(translation_m=(9.0, 0.0, 0.0), distance_m=1.0),
        homography([[2, 0, 5000], [0, 2, 0], [0, 0, 1]]),
        homography([[2, 0, -330], [0, 2, -260], [0, 0, 1]]),
    ],
)
def test_images_without_overlap_are_refused_at_every_entry_point(
    tmp_path: Path, calibration: object
) -> None:
    with pytest.raises(GeometryError, match="overlap"):
        check_calibration(calibration)
    mode = "homography" if isinstance(calibration, HomographyCalibration) else "calibrated"
    with pytest.raises(GeometryError, match="overlap"):
        ThermalRegistration(RegistrationOptions(mode=mode), calibration)
    save_calibration(tmp_path / "rig.yaml", calibration)
    options = RegistrationOptions(mode=mode, calibration_file=str(tmp_path / "rig.yaml"))
    with pytest.raises(CalibrationFileError, match=r"rig\.yaml.*overlap"):
        make_registration(options)
    values = FuseParameters.from_values(
        {"registration_mode": mode, "registration_calibration_file": str(tmp_path / "rig.yaml")}
    )
    with pytest.raises(ParameterError, match=r"registration_.*rig\.yaml.*overlap"):
        pipeline_around(None, values)  # the node's way to configure and reload
    assert main(["calibrate", "--show", str(tmp_path / "rig.yaml")]) == 2
    assert main(["doctor", "--calibration", str(tmp_path / "rig.yaml")]) == 1


@given(scale=st.floats(0.05, 10.0), x=st.floats(-2000, 2000), y=st.floats(-2000, 2000))
def test_overlap_equals_that_of_the_rectangles(scale: float, x: float, y: float) -> None:
    """A scaled and shifted thermal image covers a rectangle of known area."""
    calibration = homography([[scale, 0, x], [0, scale, y], [0, 0, 1]])
    sides = [
        max(0.0, min(corner + scale * thermal, visible) - max(corner, 0.0))
        for corner, thermal, visible in ((x, 160, 320), (y, 128, 256))
    ]
    area = sides[0] * sides[1]
    found = overlap(calibration)
    assert found.visible == pytest.approx(area / (320 * 256), abs=0.03)
    if min(sides) > 40:
        assert found.thermal == pytest.approx(area / (scale**2 * 160 * 128), abs=0.12)


def test_telephoto_thermal_camera_overlaps_completely() -> None:
    found = overlap(rig(thermal_focal=2000.0))
    assert found.thermal > 0.9
    assert 0.001 < found.visible < 0.02
    ThermalRegistration(RegistrationOptions(mode="calibrated"), rig(thermal_focal=2000.0))


def test_file_in_millimetres_is_refused_on_loading(tmp_path: Path) -> None:
    save_calibration(tmp_path / "rig.yaml", rig())
    text = (tmp_path / "rig.yaml").read_text().replace("0.05", "52.3")
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(CalibrationFileError, match=r"rig\.yaml.*52\.3 m.*metres"):
        load_calibration(tmp_path / "rig.yaml")


def kalibr(path: Path, x: float) -> Path:
    camera = {"camera_model": "pinhole", "distortion_model": "none", "distortion_coeffs": []}
    step = [[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    chain = {
        "cam0": camera | {"intrinsics": [280, 280, 160, 128], "resolution": [320, 256]},
        "cam1": camera
        | {"intrinsics": [150, 150, 80, 64], "resolution": [160, 128], "T_cn_cnm1": step},
    }
    path.write_text(yaml.safe_dump(chain))
    return path


@pytest.mark.parametrize(("x", "code"), [(0.05, 0), (50.0, 2), (5.0, 1)])
def test_calibrate_imports_metres_only(tmp_path: Path, x: float, code: int) -> None:
    out = tmp_path / "rig.yaml"
    chain = kalibr(tmp_path / "chain.yaml", x)
    assert main(["calibrate", "--import-kalibr", str(chain), "--out", str(out)]) == code
    assert out.exists() == (code != 2)
    for name, size, focal in (("rgb", VISIBLE, 280.0), ("ir", THERMAL, 150.0)):
        info = {
            "image_width": size.width,
            "image_height": size.height,
            "camera_matrix": {"data": matrix(focal, size).ravel().tolist()},
            "distortion_coefficients": {"data": [0.0] * 5},
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(info))
    stereo = {"R": np.eye(3).tolist(), "T": [x, 0.0, 0.0]}
    (tmp_path / "stereo.yaml").write_text(yaml.safe_dump(stereo))
    files = [str(tmp_path / name) for name in ("rgb.yaml", "ir.yaml", "stereo.yaml")]
    out = tmp_path / "second.yaml"
    made = ["calibrate", "--import-camera-info", *files[:2], "--extrinsic", files[2]]
    assert main([*made, "--out", str(out)]) == code
    assert out.exists() == (code != 2)


def test_implausible_tf_is_reported_until_it_is_corrected() -> None:
    """The fault is reported, and a corrected transform is used."""
    whole = rig()
    live = LiveRig(10.0)
    live.visible = LiveCamera(whole.visible, "rgb")
    live.thermal = LiveCamera(whole.thermal, "ir")
    live.tree.put("rgb", "ir", (50.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    assert not live.update()
    assert live.calibration is None
    assert "50 m" in live.missing()
    live.tree.put("rgb", "ir", (0.05, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0))  # looks backwards
    assert not live.update()
    assert "overlap" in live.missing()
    live.tree.put("rgb", "ir", (0.05, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    assert live.update()
    assert live.missing() == ""
    live.tree.put("rgb", "ir", (50.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    assert not live.update()
    assert live.calibration.baseline_m == pytest.approx(0.05)
