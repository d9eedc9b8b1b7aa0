# SPDX-License-Identifier: Apache-2.0
"""What `ros2 run` and pip start: the nodes, behind imports that end quietly at a stop."""

from __future__ import annotations

from fusion_ros.nodes.runtime.stopping import quiet_while_importing


def fuse_node() -> int:
    """The fuse node; its exit code."""
    with quiet_while_importing(code=0):
        from fusion_ros.nodes.fuse.fuse_node import main
    return main()


def synthetic_camera() -> int:
    """A synthetic camera; its exit code."""
    with quiet_while_importing(code=0):
        from fusion_ros.nodes.synthetic_camera import main
    return main()


def recorder() -> int:
    """The recorder; its exit code. 1 where it is stopped before it could record."""
    with quiet_while_importing(code=1):
        from fusion_ros.nodes.recorder.recorder_node import main
    return main()
