# SPDX-License-Identifier: Apache-2.0
"""The nodes' executor: a failing callback neither ends the process nor floods the log."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from conftest import RosSide

from fusion_ros.nodes.runtime.executor import NodeExecutor

pytestmark = pytest.mark.ros


@pytest.fixture
def side() -> Iterator[RosSide]:
    """Nodes that the executor under test spins."""
    side = RosSide(NodeExecutor)
    yield side
    side.close()


def test_spin_continues_after_failing_callbacks_and_logs_the_first(side, capfd) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        if len(calls) == 5:
            side.executor.shutdown()
        raise ArithmeticError("marker 4711")

    side.node("failing").create_timer(0.001, fail)
    side.executor.spin()
    assert len(calls) == 5
    assert capfd.readouterr().err.count("ArithmeticError: marker 4711") == 1


@pytest.mark.parametrize("what", ["executor", "context"])
def test_shutdown_from_another_thread_ends_spin(side, what: str) -> None:
    # The shutdown may come before `spin` or during it.
    stop = side.executor.shutdown if what == "executor" else side.context.try_shutdown
    thread = threading.Thread(target=stop)
    thread.start()
    side.executor.spin()
    thread.join()


def test_interrupted_construction_leaves_no_message(capfd) -> None:
    unfinished = NodeExecutor.__new__(NodeExecutor)
    unfinished.__del__()
    del unfinished
    assert capfd.readouterr().err == ""


STOPPED_BY_A_SIGNAL = """
import os, signal, sys, time
import rclpy
from rclpy.signals import SignalHandlerGuardCondition
from fusion_ros.nodes.runtime.executor import NodeExecutor

rclpy.init()
executor = NodeExecutor()
others = [SignalHandlerGuardCondition() for _ in range(3000)]  # they prolong the signal's handling
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
    sys.exit("the signal had no effect")
except KeyboardInterrupt:
    executor.shutdown()
while others:
    others.pop().destroy()
rclpy.try_shutdown()
"""


@pytest.mark.parametrize("run", range(3))
def test_shutdown_waits_for_rclpys_handling_of_a_signal(run: int) -> None:
    """Otherwise a guard condition may be triggered while it is destroyed, which is a SIGSEGV."""
    program = [sys.executable, "-c", STOPPED_BY_A_SIGNAL]
    assert subprocess.run(program, check=False).returncode == 0
