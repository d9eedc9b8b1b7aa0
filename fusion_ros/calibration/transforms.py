# SPDX-License-Identifier: Apache-2.0
"""Tree of coordinate frames, from tf messages.

tf2 itself is not on PyPI, and only a part of it is needed: the newest transform of each frame, and
the transform between two of them. Nothing is interpolated over time, because the cameras of a rig
are fixed to each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion_ros.registration.geometry import GeometryError, rotation_from_quaternion


class TransformTree:
    """The newest pose of each frame in its parent."""

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
