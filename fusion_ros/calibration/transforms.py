# SPDX-License-Identifier: Apache-2.0
"""Where coordinate frames stand to each other, as tf tells it: a tree of parents and children.

tf2 itself is not on PyPI, and of it only this is needed: the newest transform of each frame, and
the way between two of them. No interpolation over time: cameras of one rig are bolted together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion_ros.registration.geometry import GeometryError, rotation_from_quaternion


class TransformTree:
    """The newest known place of each frame in its parent."""

    def __init__(self) -> None:
        self._above: dict[str, tuple[str, np.ndarray]] = {}

    def put(
        self,
        parent: str,
        child: str,
        translation_m: Sequence[float],
        quaternion_xyzw: Sequence[float],
    ) -> None:
        """Take a transform as tf has it: p_parent = rotation p_child + translation.

        Raises:
            GeometryError: no transform of anything (numbers that are not finite, no rotation).
        """
        place = np.eye(4)
        place[:3, :3] = rotation_from_quaternion(*quaternion_xyzw)
        place[:3, 3] = translation_m
        if not np.isfinite(place).all():
            raise GeometryError(f"the transform {parent} to {child} holds numbers without a value")
        self._above[_bare(child)] = (_bare(parent), place)

    def between(self, source: str, target: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Rotation (3x3) and translation (metres): p_target = rotation p_source + translation.

        None where no chain of transforms joins the two.
        """
        source_root, source_place = self._root(_bare(source))
        target_root, target_place = self._root(_bare(target))
        if source_root != target_root:
            return None
        way = np.linalg.inv(target_place) @ source_place
        return way[:3, :3], way[:3, 3]

    def _root(self, frame: str) -> tuple[str, np.ndarray]:
        """The frame at the top of the tree, and the place of `frame` in it."""
        place, seen = np.eye(4), {frame}
        while frame in self._above:
            frame, step = self._above[frame]
            place = step @ place
            if frame in seen:  # two publishers contradict each other: then nothing is known
                return f"a loop at {frame}", place
            seen.add(frame)
        return frame, place


def _bare(frame: str) -> str:
    """ROS 1 wrote frame ids with a slash, and some drivers still do."""
    return frame.removeprefix("/")
