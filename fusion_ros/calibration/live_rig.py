# SPDX-License-Identifier: Apache-2.0
"""A rig from the data of a running robot.

Both cameras come from their camera_info, the transform between them from tf or from a calibration
file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion_ros.registration.geometry import (
    CameraModel,
    GeometryError,
    RigCalibration,
    rotation_from_quaternion,
)
from fusion_ros.registration.overlap import check_overlap

_LEAST_TURN_RAD, _LEAST_MOVE_M = 5e-4, 1e-3
"""Smaller changes are the noise of a measured transform, about a third of a pixel."""


class TransformTree:
    """The newest pose of each coordinate frame in its parent, from tf messages.

    tf2 itself is not on PyPI, and only a part of it is needed. Nothing is interpolated over time,
    because the cameras of a rig are fixed to each other.
    """

    def __init__(self) -> None:
        self._above: dict[str, tuple[str, np.ndarray]] = {}

    def put(
        self,
        parent: str,
        child: str,
        translation_m: Sequence[float],
        quaternion_xyzw: Sequence[float],
    ) -> None:
        """Store a transform of a tf message: p_parent = rotation p_child + translation.

        Raises:
            GeometryError: numbers that are not finite, or no rotation.
        """
        place = np.eye(4)
        place[:3, :3] = rotation_from_quaternion(*quaternion_xyzw)
        place[:3, 3] = translation_m
        if not np.isfinite(place).all():
            raise GeometryError(f"the transform {parent} to {child} holds NaN or infinity")
        self._above[_bare(child)] = (_bare(parent), place)

    def between(self, source: str, target: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return rotation (3x3) and translation in metres from `source` to `target`.

        p_target = rotation p_source + translation. None if no chain of transforms connects the two.
        """
        source_root, source_place = self._root(_bare(source))
        target_root, target_place = self._root(_bare(target))
        if source_root != target_root:
            return None
        transform = np.linalg.inv(target_place) @ source_place
        return transform[:3, :3], transform[:3, 3]

    def _root(self, frame: str) -> tuple[str, np.ndarray]:
        """Return the frame at the top of the tree, and the pose of `frame` in it."""
        place, seen = np.eye(4), {frame}
        while frame in self._above:
            frame, step = self._above[frame]
            place = step @ place
            if frame in seen:  # two publishers contradict each other
                return f"a loop at {frame}", place
            seen.add(frame)
        return frame, place


def _bare(frame: str) -> str:
    """Remove the leading slash of ROS 1 frame ids, which some drivers still send."""
    return frame.removeprefix("/")


@dataclass(frozen=True, eq=False)
class LiveCamera:
    """A camera as described by its camera_info.

    Attributes:
        model: its intrinsics; None if its camera_info cannot be used.
        frame_id: its optical frame.
        fault: why the camera_info cannot be used; empty if it can.
    """

    model: CameraModel | None
    frame_id: str
    fault: str = ""


class LiveRig:
    """Collects the parts of a rig; `calibration` is set when all of them are known.

    Args:
        distance_m: distance of the plane on which the images align.
        extrinsic: rotation and translation, p_thermal = rotation p_visible + translation, if known
            beforehand; None: they come from `tree`.
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
        """Replace the parts that are known beforehand; see the class."""
        self._distance_m, self._extrinsic = distance_m, extrinsic

    def missing(self) -> str:
        """Return a description of the missing parts; empty if the rig is complete."""
        parts = []
        for name, camera in (("visible", self.visible), ("thermal", self.thermal)):
            if camera is None:
                parts.append(f"the {name} camera's camera_info")
            elif camera.fault:
                parts.append(f"a usable camera_info of the {name} camera ({camera.fault})")
        if self.visible is None or self.thermal is None or parts:
            return ", ".join(parts)
        if self._fault:
            return f"plausible geometry ({self._fault})"
        if self._transform(self.visible, self.thermal) is None:
            return f"a transform between {self.visible.frame_id} and {self.thermal.frame_id}"
        return ""

    def update(self) -> bool:
        """Combine the parts again; return whether `calibration` changed.

        The calibration stays if a part is missing now, because a transform does not disappear. It
        also stays if the new parts cannot be those of a rig; `missing` returns the reason.
        """
        self._fault = ""
        visible, thermal = self.visible, self.thermal
        if visible is None or thermal is None or visible.model is None or thermal.model is None:
            return False
        transform = self._transform(visible, thermal)
        if transform is None:
            return False
        before = self.calibration
        try:
            found = RigCalibration(visible.model, thermal.model, *transform, self._distance_m)
            check_overlap(found)
        except GeometryError as error:
            self._fault = str(error)
            return False
        if before is not None and _same(before, found):
            return False
        self.calibration = found
        return True

    def _transform(
        self, visible: LiveCamera, thermal: LiveCamera
    ) -> tuple[np.ndarray, np.ndarray] | None:
        if self._extrinsic is not None:
            return self._extrinsic
        return self.tree.between(visible.frame_id, thermal.frame_id)


def _same(a: RigCalibration, b: RigCalibration) -> bool:
    cameras = [(a.visible, b.visible), (a.thermal, b.thermal)]
    return (
        all(np.array_equal(p.matrix, q.matrix) and _exact(p) == _exact(q) for p, q in cameras)
        and a.distance_m == b.distance_m
        and float(np.abs(a.rotation - b.rotation).max()) < _LEAST_TURN_RAD
        and float(np.abs(a.translation_m - b.translation_m).max()) < _LEAST_MOVE_M
    )


def _exact(camera: CameraModel) -> tuple[object, ...]:
    return camera.size, camera.distortion_model, camera.distortion
