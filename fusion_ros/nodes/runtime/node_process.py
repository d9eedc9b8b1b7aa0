# SPDX-License-Identifier: Apache-2.0
"""The life of a process that is one node: start, work, end, whatever stops it and whenever."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from fusion_ros.nodes.runtime import shared_memory
from fusion_ros.nodes.runtime.executor import NodeExecutor
from fusion_ros.nodes.runtime.process_tuning import tune_process
from fusion_ros.nodes.runtime.rclpy_compatibility import log_paths
from fusion_ros.nodes.runtime.stopping import (
    end_at_once,
    has_abandoned_threads,
    ignore_further_signals,
    limit_stop,
)

N = TypeVar("N", bound=Node)


def run_node(
    name: str,
    make: Callable[[], N],
    work: Callable[[N, NodeExecutor], int],
    *,
    args: list[str] | None = None,
    refusals: tuple[type[Exception], ...] = (),
    close: Callable[[N], object] = lambda node: None,
    stopped: int = 0,
) -> int:
    """Run a node until its work is done or it is told to stop (SIGINT, SIGTERM, a shutdown of the
    context), and tidy up. From the stop on that takes `stopping.LONGEST_STOP_S` at most.

    Args:
        name: of the node, for the log where there is none yet.
        make: makes it.
        work: spins it; answers the exit code.
        args: in place of the command line's.
        refusals: what `make` raises where a parameter cannot be used; the message is for people.
            A RuntimeError is one in any case: that is how rclpy and the middleware refuse.
        close: gives back what the node holds, before it is destroyed.
        stopped: the exit code where a stop came before `work` was done.

    Returns:
        The exit code; 1 where the node could not start.
    """
    try:
        tune_process()
        left = shared_memory.clean()
        rclpy.init(args=args)
    except KeyboardInterrupt:
        return stopped
    except RuntimeError as error:  # ROS arguments that are none, a keystore that is not there
        return _cannot_start(name, error)
    _report_shared_memory(name, left)
    context = rclpy.get_default_context()
    executor = node = None
    code = stopped
    stop_is_done = limit_stop(name, lambda: not context.ok(), code=stopped)
    try:
        # Before the node, which may take seconds: rclpy complains where a stop meets this.
        executor = NodeExecutor()
        try:
            node = make()
        except (RuntimeError, *refusals) as error:
            if context.ok():
                return _cannot_start(name, error)
            raise
        log_paths(node)
        executor.add_node(node)
        code = work(node, executor)
        return code
    except (KeyboardInterrupt, ExternalShutdownException):
        return stopped
    except Exception:
        # A context that was shut down meanwhile makes any call fail; then there is nothing to say.
        if context.ok():
            raise
        return stopped
    finally:
        ignore_further_signals()
        if executor is not None:
            executor.shutdown()
        if node is not None:
            close(node)
            if has_abandoned_threads():
                # They may be inside the middleware or a device, which must not go from under them.
                end_at_once(code)
            node.destroy_node()
        rclpy.try_shutdown()
        stop_is_done()


def _report_shared_memory(name: str, left: shared_memory.Leftovers) -> None:
    logger = rclpy.logging.get_logger(name)
    if str(left):
        logger.warning(f"{shared_memory.SHARED_MEMORY}: {left}")
    short = shared_memory.shortage()
    if short and "fastrtps" in rclpy.utilities.get_rmw_implementation_identifier():
        logger.error(short)


def _cannot_start(name: str, error: Exception) -> int:
    # The one exception of rclpy whose text is a bare list.
    unknown = type(error).__name__ == "UnknownROSArgsError"
    told = f"unknown ROS arguments: {error}" if unknown else str(error)
    rclpy.logging.get_logger(name).fatal(f"cannot start: {told}")
    return 1
