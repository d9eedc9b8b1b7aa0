# SPDX-License-Identifier: Apache-2.0
"""Life cycle of a process with one node: start, work and an orderly end after any stop."""

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
    limited_clean_up,
)
from fusion_ros.outside_text import LINE_LIMIT, printable

N = TypeVar("N", bound=Node)


def run_node(  # noqa: C901 -- the life cycle of a process in one place
    name: str,
    make: Callable[[], N],
    work: Callable[[N, NodeExecutor], int],
    *,
    args: list[str] | None = None,
    refusals: tuple[type[Exception], ...] = (),
    close: Callable[[N], object] = lambda node: None,
    stopped: int = 0,
) -> int:
    """Run a node until its work is done or a stop is requested, then release everything.

    SIGINT, SIGTERM and a shutdown of the context request a stop. After it the process ends within
    `stopping.LONGEST_STOP_S`.

    Args:
        name: name of the node, for the log before the node exists.
        work: spins the node and returns the exit code.
        args: arguments in place of the command line's.
        refusals: errors of `make` for an unusable parameter, reported by their message alone. A
            RuntimeError of rclpy or the middleware is reported in the same way.
        close: releases the node's resources before it is destroyed.
        stopped: the exit code after a stop before `work` was done.

    Returns:
        The exit code. 2: a parameter or argument is refused, so that a restart does not help.
        1: the node could not start for another reason.
    """
    try:
        tune_process()
        left = shared_memory.clean()
        rclpy.init(args=args)
    except KeyboardInterrupt:
        return stopped
    except RuntimeError as error:  # invalid ROS arguments, a missing keystore
        return _cannot_start(name, error)
    _report_shared_memory(name, left)
    context = rclpy.get_default_context()
    executor = node = None
    code = stopped
    stop_is_done = limit_stop(name, lambda: not context.ok(), code=stopped)
    try:
        # Before the node, which may take seconds: rclpy fails if a stop interrupts this.
        executor = NodeExecutor()
        try:
            node = make()
        except Exception as error:
            if context.ok() and isinstance(error, (RuntimeError, *refusals)):
                code = _cannot_start(name, error, refused=isinstance(error, refusals))
                return code
            raise
        log_paths(node)
        executor.add_node(node)
        code = work(node, executor)
        return code
    except (KeyboardInterrupt, ExternalShutdownException):
        return stopped
    except Exception:
        # After a shutdown of the context any call may fail; such an error is not reported.
        if context.ok():
            raise
        return stopped
    finally:
        ignore_further_signals()
        with limited_clean_up():
            if executor is not None:
                executor.shutdown()
            if node is not None:
                close(node)
                if has_abandoned_threads():
                    # They may be in the middleware or a driver, which must not be destroyed now.
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


def _cannot_start(name: str, error: Exception, *, refused: bool = False) -> int:
    # The only exception of rclpy whose text is a bare list.
    unknown = type(error).__name__ == "UnknownROSArgsError"
    text = f"unknown ROS arguments: {error}" if unknown else str(error)
    rclpy.logging.get_logger(name).fatal(f"cannot start: {printable(text, LINE_LIMIT)}")
    return 2 if unknown or refused else 1
