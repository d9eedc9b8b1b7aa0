# SPDX-License-Identifier: Apache-2.0
"""`~/reload`: read weights and calibration again and swap them in between two frames.

Loading takes seconds, so it happens in a thread; the executor goes on taking frames, the old
pipeline goes on fusing them, and the service answers when the swap is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from fusion_ros.nodes.runtime.log_lines import error_lines, info_line
from fusion_ros.nodes.runtime.stopping import register_abandoned

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline

STOP_WAIT_S = 1.0
"""How long a stop waits for a reload. Loading a network takes seconds, building one minutes."""

try:
    from std_srvs.srv import Trigger
except ImportError:  # the wheels come without it unless the extra `ros` was installed
    Trigger = None


class ReloadService:
    """Offers `~/reload` (std_srvs/Trigger) on a node, as long as the node lives.

    Args:
        node: who offers it.
        make: builds a pipeline from the parameters as they are; called in a thread.
        replace: swaps it in, or gives it back where the node no longer wants it; tells which and
            returns a line about it; called by the executor.
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
        # In the node's own group it would keep every frame waiting until it is answered.
        group = ReentrantCallbackGroup()
        node.create_service(Trigger, "~/reload", self._serve, callback_group=group)

    def wait(self, timeout_s: float = STOP_WAIT_S) -> None:
        """Wait for a reload that is under way, and leave it to itself where it takes longer."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                register_abandoned(self._thread)

    async def _serve(self, request: object, response: object) -> object:
        if not self._is_configured():
            response.success, response.message = False, "nothing runs; configure the node instead"
            return response
        if self._thread is not None and self._thread.is_alive():
            response.success, response.message = False, "a reload is under way already"
            return response
        done: Future = Future(executor=self._node.executor)
        self._thread = threading.Thread(target=self._load, args=(done,), daemon=True)
        self._thread.start()
        made = await done
        if isinstance(made, Exception):
            response.success, response.message = False, f"kept what was running: {made}"
            error_lines(self._node)(f"~/reload {response.message}")
            return response
        response.success, response.message = self._replace(made)
        info_line(self._node)(f"~/reload: {response.message}")
        return response

    def _load(self, done: Future) -> None:
        try:
            done.set_result(self._make())
        except Exception as error:
            done.set_result(error)
        executor = self._node.executor
        if executor is not None:
            executor.wake()  # no need to wait for the next frame
