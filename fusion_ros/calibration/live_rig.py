# SPDX-License-Identifier: Apache-2.0
"""A rig put together from what a running robot says of itself: camera_info of both cameras, and the
way between them from tf or from a calibration file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_ros.calibration.transforms import TransformTree
from fusion_ros.registration.geometry import CameraModel, GeometryError, RigCalibration
from fusion_ros.registration.overlap import check_overlap

_LEAST_TURN_RAD, _LEAST_MOVE_M = 5e-4, 1e-3
"""Less is the noise of a transform that is measured: it moves a picture by a third of a pixel."""


@dataclass(frozen=True, eq=False)
class LiveCamera:
    """A camera as its camera_info has it.

    Attributes:
        model: its intrinsics; None where its camera_info cannot be used.
        frame_id: its optical frame.
        fault: why it cannot be used; empty where it can.
    """

    model: CameraModel | None
    frame_id: str
    fault: str = ""


class LiveRig:
    """Collects the parts; `calibration` is there when all of them are.

    Args:
        distance_m: of the plane on which the pictures meet.
        extrinsic: rotation and translation, p_thermal = rotation p_visible + translation, where
            they are known already; None: they come from `tree`.
    """

    def __init__(
        self, distance_m: float, extrinsic: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        self.tree = TransformTree()
        self.visible: LiveCamera | None = None
        self.thermal: LiveCamera | None = None
        self.calibration: RigCalibration | None = None
        self._fault = ""
        self.declare(distance_m, extrinsic)

    def declare(
        self, distance_m: float, extrinsic: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        """What is known beforehand became another; see the class."""
        self._distance_m, self._extrinsic = distance_m, extrinsic

    def missing(self) -> str:
        """What is still waited for, in words; empty where nothing is."""
        parts = []
        for name, camera in (("visible", self.visible), ("thermal", self.thermal)):
            if camera is None:
                parts.append(f"the {name} camera's camera_info")
            elif camera.fault:
                parts.append(f"a usable camera_info of the {name} camera ({camera.fault})")
        if not parts and self._fault:
            return f"plausible geometry ({self._fault})"
        if parts or self._way() is not None:
            return ", ".join(parts)
        return f"a transform between {self.visible.frame_id} and {self.thermal.frame_id}"

    def update(self) -> bool:
        """Put the parts together again; whether `calibration` is another one than before.

        What was known stays where a part is missing now: a transform does not go away. It stays,
        too, where the new parts cannot be those of a rig; `missing` says why.
        """
        self._fault = ""
        if self.missing():
            return False
        before = self.calibration
        try:
            found = RigCalibration(
                self.visible.model, self.thermal.model, *self._way(), self._distance_m
            )
            check_overlap(found)
        except GeometryError as error:
            self._fault = str(error)
            return False
        if before is not None and _same(before, found):
            return False
        self.calibration = found
        return True

    def _way(self) -> tuple[np.ndarray, np.ndarray] | None:
        if self._extrinsic is not None:
            return self._extrinsic
        if self.visible is None or self.thermal is None:
            return None
        return self.tree.between(self.visible.frame_id, self.thermal.frame_id)


def _same(a: RigCalibration, b: RigCalibration) -> bool:
    return (
        _same_camera(a.visible, b.visible)
        and _same_camera(a.thermal, b.thermal)
        and a.distance_m == b.distance_m
        and float(np.abs(a.rotation - b.rotation).max()) < _LEAST_TURN_RAD
        and float(np.abs(a.translation_m - b.translation_m).max()) < _LEAST_MOVE_M
    )


def _same_camera(a: CameraModel, b: CameraModel) -> bool:
    return (
        a.size == b.size
        and np.array_equal(a.matrix, b.matrix)
        and (a.distortion_model, a.distortion) == (b.distortion_model, b.distortion)
    )
