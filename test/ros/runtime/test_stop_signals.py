# SPDX-License-Identifier: Apache-2.0
"""The real node process after a signal at any moment: code 0, no traceback, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_ros.cli.processes import isolated_environment

pytestmark = [pytest.mark.ros, pytest.mark.slow]

TIMEOUT_S = 60.0  # for failures only
PROGRAM = """
import sys
from fusion_ros.nodes.fuse import fuse_node
{patch}
print("MARK imported", flush=True)
sys.exit(fuse_node.main())
"""
IMPORTING = """
import signal, sys
from fusion_ros.nodes.programs import fuse_node

class NeverDone:
    def find_spec(self, name, path, target=None):
        if name == "fusion_ros.nodes.fuse.fuse_node":
            print("MARK importing", flush=True)
            while True:
                signal.pause()

sys.meta_path.insert(0, NeverDone())
sys.exit(fuse_node())
"""
CLEAN_UP = """
import ctypes
from fusion_ros.nodes.runtime import stopping
stopping._LONGEST_CLEAN_UP_S = 0.2
with stopping.limited_clean_up():
    ctypes.PyDLL(None).pause()  # keeps the interpreter lock
"""
# Moments for a signal: code that makes the node write a line of output there.
MOMENTS = {
    "imported": "",
    "rclpy started": (
        "init = fuse_node.FuseNode.__init__\n"
        "def marked(*a, **k):\n    print('MARK rclpy started', flush=True)\n    init(*a, **k)\n"
        "fuse_node.FuseNode.__init__ = marked"
    ),
    "configuring": (
        "make = fuse_node.make_live_pipeline\n"
        "def marked(*a):\n    print('MARK configuring', flush=True)\n    return make(*a)\n"
        "fuse_node.FuseNode.__init__.__kwdefaults__['pipeline_maker'] = marked\n"
        "fuse_node.main.__kwdefaults__['pipeline_maker'] = marked"
    ),
    "releasing": (
        "release = fuse_node.FuseNode.release\n"
        "def marked(self):\n    print('MARK releasing', flush=True)\n    release(self)\n"
        "fuse_node.FuseNode.release = marked"
    ),
}
HANGING_NODE = Path(__file__).parents[1] / "hanging_node.py"
HANGS = ("engine", "publish", "configure", "reload")
MOST_S = 5.0


class NodeProcess:
    """A fuse node whose output can be waited for."""

    def __init__(self, weights: Path, moment: str = "imported") -> None:
        program = PROGRAM.format(patch=MOMENTS.get(moment, ""))
        if moment == "importing":
            program = IMPORTING
        options = {"weights": f"'{weights}'", "engine": "torch", "warm_up_width": 64}
        options["warm_up_height"] = 64
        command = [sys.executable, "-c", program, "--ros-args"]
        if moment in HANGS:
            command = [sys.executable, str(HANGING_NODE), moment, "--ros-args"]
        for name, value in options.items():
            command += ["-p", f"{name}:={value}"]
        self.process = subprocess.Popen(
            command,
            env=isolated_environment(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        end_s = time.monotonic() + TIMEOUT_S
        with self._changed:
            while not any(text in line for line in self.lines):
                assert time.monotonic() < end_s, f"{text!r} did not come: {''.join(self.lines)}"
                self._changed.wait(1.0)

    def end(self, signal_number: int) -> tuple[int, str]:
        """Send the signal; exit code and all output."""
        self.process.send_signal(signal_number)
        code = self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code, "".join(self.lines)

    def left_behind(self) -> list[str]:
        """Processes of its session that still run."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(stat.parent.name)
        return found


@pytest.fixture
def started(weights: Path) -> Iterator:
    nodes: list[NodeProcess] = []

    def start(moment: str = "imported") -> NodeProcess:
        nodes.append(NodeProcess(weights, moment))
        return nodes[-1]

    yield start
    for node in nodes:
        if node.process.poll() is None:
            node.process.kill()
            node.process.wait()


def assert_clean(node: NodeProcess, code: int, output: str) -> None:
    assert code == 0, output
    assert "Traceback" not in output
    assert "terminate called" not in output
    assert not node.left_behind()


@pytest.mark.parametrize(
    ("moment", "signal_number"),
    [
        ("importing", signal.SIGINT),
        ("importing", signal.SIGTERM),
        ("rclpy started", signal.SIGINT),
        ("configuring", signal.SIGTERM),
    ],
)
def test_a_stop_while_starting_ends_it_cleanly(started, moment, signal_number):
    node = started(moment)
    node.wait_for(f"MARK {moment}")
    assert_clean(node, *node.end(signal_number))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_running_ends_it_cleanly(started, signal_number):
    node = started()
    node.wait_for("active: ")
    assert_clean(node, *node.end(signal_number))


def test_a_second_signal_while_shutting_down_changes_nothing(started):
    node = started("releasing")
    node.wait_for("active: ")
    node.process.send_signal(signal.SIGINT)
    node.wait_for("MARK releasing")
    assert_clean(node, *node.end(signal.SIGTERM))


@pytest.mark.parametrize("what", HANGS)
def test_a_call_that_never_returns_does_not_keep_the_process(started, what: str) -> None:
    node = started(what)
    node.wait_for("MARK hung")
    begun_s = time.monotonic()
    code, output = node.end(signal.SIGINT)
    assert time.monotonic() - begun_s < MOST_S
    assert code == 0, output
    assert "Traceback" not in output
    assert node.left_behind() == []


def test_a_clean_up_that_keeps_the_interpreter_lock_is_ended_with_its_stack() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CLEAN_UP], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert ended.returncode == 1
    assert 'File "<string>", line 6' in ended.stderr
