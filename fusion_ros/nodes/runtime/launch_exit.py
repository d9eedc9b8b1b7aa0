# SPDX-License-Identifier: Apache-2.0
"""Exit handler for launch files whose processes end when their task is done."""

from __future__ import annotations

from launch.actions import Shutdown
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext


def end_with_exit_code(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """End the launch when this process ends; use as `on_exit`.

    `Shutdown` alone ends every launch with code 0, also after a failure, so that a script which
    calls `ros2 launch` would continue.

    Raises:
        RuntimeError: the process failed; `ros2 launch` then ends with code 1.
    """
    if context.is_shutdown:  # a stop was requested, by this handler or by Ctrl-C
        return None
    if event.returncode:
        raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
    return Shutdown(reason=f"{event.process_name} is done")
