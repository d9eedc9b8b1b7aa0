# SPDX-License-Identifier: Apache-2.0
"""`~/reload`: read weights and calibration again and replace the pipeline between two frames.

Loading takes seconds and runs in a thread. Meanwhile the old pipeline continues to fuse. The
service responds after the replacement.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from fusion_ros.nodes.runtime.log_lines import error_lines, info_line

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline

STOP_WAIT_S = 1.0
"""Time limit of a stop for a running reload, which takes seconds to minutes."""

try:
    from std_srvs.srv import Trigger
except ImportError:  # the wheels lack it without the extra `ros`
    Trigger = None


class ReloadService:
    """Offers `~/reload` (std_srvs/Trigger) on a node.

    Args:
        node: the node that offers the service.
        make: builds a pipeline from the present parameters; called in a thread.
        replace: installs the pipeline, or closes it if the node was cleaned up; returns success
            and a message. Called in the executor's thread.
        is_configured: whether there is a pipeline to replace.
    """

    def __init__(
        self,
        node: LifecycleNode,
        *,
        make: Callable[[], FusionPipeline],
        replace: Callable[[FusionPipeline], tuple[bool, str]],
        is_configured: Callable[[], bool],
    ) -> None:
        self._node = node
        self._make = make
        self._replace = replace
        self._is_configured = is_configured
        self._thread: threading.Thread | None = None
        if Trigger is None:
            node.get_logger().warning("std_srvs is not installed, so ~/reload is not offered")
            return
        # In the node's default group it would block all frames until its response.
        group = ReentrantCallbackGroup()
        node.create_service(Trigger, "~/reload", self._serve, callback_group=group)

    def wait(self, timeout_s: float = STOP_WAIT_S) -> None:
        """Wait for a running reload; leave it behind after the timeout."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    async def _serve(self, request: Any, response: Any) -> Any:
        response.success, response.message = await self._reload()
        log = info_line if response.success else error_lines
        log(self._node)(f"~/reload: {response.message}")
        return response

    async def _reload(self) -> tuple[bool, str]:
        if not self._is_configured():
            return False, "no pipeline is running; configure the node instead"
        if self._thread is not None and self._thread.is_alive():
            return False, "a reload is already running"
        done: Future = Future(executor=self._node.executor)
        self._thread = threading.Thread(target=self._load, args=(done,), daemon=True)
        self._thread.start()
        made: Any = await done
        if isinstance(made, Exception):
            return False, f"kept the running pipeline: {made}"
        return self._replace(made)

    def _load(self, done: Future) -> None:
        try:
            done.set_result(self._make())
        except Exception as error:
            done.set_result(error)
        executor = self._node.executor
        if executor is not None:
            executor.wake()  # continue before the next frame
