# SPDX-License-Identifier: Apache-2.0
"""A live rig from parts that arrive one by one, and transforms between tf frames."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion_ros.calibration.files import declared_parts, make_registration, save_calibration
from fusion_ros.calibration.live_rig import LiveCamera, LiveRig, TransformTree
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline_factory import make_pipeline
from fusion_ros.registration.geometry import (
    CameraModel,
    GeometryError,
    HomographyCalibration,
    RigCalibration,
    Size,
)
from fusion_ros.registration.options import RegistrationOptions

STRAIGHT = (0.0, 0.0, 0.0, 1.0)
# A quarter turn about z: the x axis of the child is the y axis of the parent.
QUARTER = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))


def test_points_of_a_child_are_transformed_to_its_parent() -> None:
    tree = TransformTree()
    tree.put("mast", "lens", (1.0, 2.0, 3.0), QUARTER)
    rotation, translation = tree.between("lens", "mast")
    assert rotation @ [1, 0, 0] + translation == pytest.approx([1, 3, 3])
    rotation, translation = tree.between("mast", "lens")
    assert rotation @ [1, 3, 3] + translation == pytest.approx([1, 0, 0])


def test_branches_are_joined_at_their_common_ancestor() -> None:
    tree = TransformTree()
    tree.put("base", "mast", (0.0, 0.0, 5.0), STRAIGHT)
    tree.put("mast", "left", (0.0, 0.1, 0.0), STRAIGHT)
    tree.put("/base", "/arm", (0.0, 0.0, 4.0), STRAIGHT)  # the ROS 1 notation
    tree.put("arm", "right", (0.0, 0.0, 0.5), QUARTER)
    rotation, translation = tree.between("left", "right")
    # The origin of `left` lies at (0, 0.1, 5) in base; `right` is at (0, 0, 4.5), rotated.
    assert translation == pytest.approx([0.1, 0.0, 0.5])
    assert rotation @ [1, 0, 0] == pytest.approx([0, -1, 0])


def test_unconnected_frames_and_loops_have_no_transform() -> None:
    tree = TransformTree()
    tree.put("base", "left", (0, 0, 0), STRAIGHT)
    assert tree.between("left", "right") is None
    tree.put("left", "base", (0, 0, 0), STRAIGHT)
    tree.put("base", "right", (0, 0, 0), STRAIGHT)
    assert tree.between("left", "elsewhere") is None


@pytest.mark.parametrize(
    ("move", "turn"), [((0, 0, math.nan), STRAIGHT), ((0, 0, 0), (0, 0, 0, 0))]
)
def test_invalid_transform_is_refused(move: tuple, turn: tuple) -> None:
    with pytest.raises(GeometryError):
        TransformTree().put("a", "b", move, turn)


def camera(frame_id: str, width: int = 64, height: int = 48) -> LiveCamera:
    matrix = np.array([[60.0, 0, width / 2], [0, 60, height / 2], [0, 0, 1]])
    return LiveCamera(CameraModel(Size(width, height), matrix), frame_id)


def test_missing_parts_are_listed_until_complete() -> None:
    rig = LiveRig(distance_m=8.0)
    assert not rig.update()
    assert "visible camera's camera_info" in rig.missing()
    assert "thermal camera's camera_info" in rig.missing()
    rig.visible = camera("left")
    rig.thermal = LiveCamera(None, "right", "focal lengths are 0 and 0")
    assert "thermal" in rig.missing()
    assert "focal lengths are 0 and 0" in rig.missing()
    rig.thermal = camera("right", 32, 24)
    assert "left" in rig.missing()
    assert "right" in rig.missing()
    assert rig.calibration is None
    rig.tree.put("left", "right", (0.06, 0.0, 0.0), STRAIGHT)
    assert rig.missing() == ""
    assert rig.update()
    assert rig.calibration.translation_m == pytest.approx([-0.06, 0, 0])
    assert rig.calibration.distance_m == 8.0


def test_only_changes_make_another_calibration() -> None:
    rig = LiveRig(8.0, (np.eye(3), np.array([-0.06, 0, 0])))
    rig.visible, rig.thermal = camera("left"), camera("right")
    assert rig.update()
    assert not rig.update()
    rig.thermal = camera("right", 32, 24)
    assert rig.update()
    rig.declare(8.0, (np.eye(3), np.array([-0.0602, 0, 0])))
    assert not rig.update()  # two tenths of a millimetre: noise
    rig.declare(8.0, (np.eye(3), np.array([-0.07, 0, 0])))
    assert rig.update()


@pytest.mark.parametrize(
    ("options", "token"),
    [
        ({"source": "topic"}, "'topic'; allowed are file, camera_info, tf"),
        ({"source": "tf", "mode": "resize"}, "mode is 'resize'"),
        ({"source": "tf"}, "distance_m is 0"),
        ({"source": "tf", "distance_m": 5.0, "calibration_file": "rig.yaml"}, "'rig.yaml'"),
    ],
)
def test_contradicting_sources_are_refused(options: dict, token: str) -> None:
    with pytest.raises(ValueError, match=token):
        RegistrationOptions(**{"mode": "calibrated", **options})


def test_source_camera_info_needs_a_file_with_a_rig(tmp_path) -> None:
    options = {"mode": "calibrated", "source": "camera_info"}
    with pytest.raises(ValueError, match="calibration_file"):
        make_registration(RegistrationOptions(**options))
    path = tmp_path / "rig.yaml"
    save_calibration(path, HomographyCalibration(np.eye(3), Size(64, 48), Size(64, 48)))
    with pytest.raises(ValueError, match="homography"):
        make_registration(RegistrationOptions(calibration_file=str(path), **options))
    left, right = camera("").model, camera("").model
    save_calibration(path, RigCalibration(left, right, np.eye(3), [-0.06, 0, 0], 7.0))
    found = RegistrationOptions(calibration_file=str(path), **options)
    assert not make_registration(found).is_ready
    distance_m, (rotation, translation) = declared_parts(found)
    assert distance_m == 7.0
    assert np.array_equal(rotation, np.eye(3))
    assert translation == pytest.approx([-0.06, 0, 0])


def test_incomplete_registration_refuses_frames() -> None:
    options = RegistrationOptions("calibrated", source="tf", distance_m=5.0)
    register = make_registration(options)
    assert not register.is_ready
    with pytest.raises(GeometryError, match="'tf'"):
        register(np.zeros((24, 32), np.uint8), (48, 64))


def test_offline_pipeline_refuses_live_sources() -> None:
    values = FuseParameters(
        registration_mode="calibrated", registration_source="tf", registration_distance_m=5.0
    )
    with pytest.raises(ValueError, match=r"registration_source is 'tf'"):
        make_pipeline(values)
