# SPDX-License-Identifier: Apache-2.0
"""For launch files whose processes have a task to do, and not a service to give."""

from __future__ import annotations

from launch import LaunchContext
from launch.actions import Shutdown
from launch.events.process import ProcessExited


def end_with_exit_code(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """For `on_exit`: ends the launch with this process, well or with exit code 1 as it did.

    `Shutdown` alone ends every launch with 0, also where the process failed, and a script that
    called `ros2 launch` would go on.

    Raises:
        RuntimeError: the process failed. Raising is how a launch file makes `ros2 launch` fail.
    """
    if context.is_shutdown:  # it was told to stop, by us or by Ctrl-C
        return None
    if event.returncode:
        raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
    return Shutdown(reason=f"{event.process_name} is done")
