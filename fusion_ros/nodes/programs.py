# SPDX-License-Identifier: Apache-2.0
"""Entry points of `ros2 run` and pip; a stop during their imports ends the process silently."""

from __future__ import annotations

from fusion_ros.nodes.runtime.stopping import quiet_while_importing


def fuse_node() -> int:
    """Run the fuse node and return its exit code."""
    with quiet_while_importing(code=0):
        from fusion_ros.nodes.fuse.fuse_node import main
    return main()


def synthetic_camera() -> int:
    """Run a synthetic camera and return its exit code."""
    with quiet_while_importing(code=0):
        from fusion_ros.nodes.synthetic_camera import main
    return main()


def recorder() -> int:
    """Run the recorder and return its exit code; 1 after a stop before it could record."""
    with quiet_while_importing(code=1):
        from fusion_ros.nodes.recorder.recorder_node import main
    return main()
