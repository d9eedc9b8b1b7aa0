# SPDX-License-Identifier: Apache-2.0
"""Runs our nodes as child processes, and leaves none behind."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import fusion_ros
from fusion_ros.nodes.runtime.dds_profile import with_profile

_PR_SET_PDEATHSIG = 1
SIGINT_GRACE_S, SIGTERM_GRACE_S = 10.0, 4.0
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def isolated_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that limits our nodes to this machine, with the shipped DDS profile.

    Settings of the user stay: a profile, a discovery range, a domain. Without a domain one is
    derived from our process id, so that two demos at the same time do not mix.
    """
    ours = with_profile(environment)
    ours.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if environment.get("ROS_DISTRO") == "humble":  # without support for the range
        ours.setdefault("ROS_LOCALHOST_ONLY", "1")
    ours.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    ours["PYTHONUNBUFFERED"] = "1"
    root = Path(fusion_ros.__file__).resolve().parent.parent
    if root.name not in ("site-packages", "dist-packages"):  # a source tree
        ours["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), ours.get("PYTHONPATH"))))
    return ours


class Processes:
    """A group of nodes. Leaving the `with` block stops them all, in the reverse order of starting.

    Each runs in its own session: Ctrl-C reaches only this process, which then signals every node
    once. If this process is killed, the kernel signals them (Linux).
    """

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self._environment = dict(environment)
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._files: list[IO[bytes]] = []

    def start(
        self,
        name: str,
        module: str,
        parameters: Mapping[str, object],
        *,
        show: bool = False,
        arguments: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """Run `python -m module` with ROS parameters; log its output, or show it."""
        command = [sys.executable, "-m", module, *ros_arguments(parameters), *arguments]
        output: IO[bytes] | None = None
        if not show:
            self._logs.mkdir(parents=True, exist_ok=True)
            output = self.log(name).open("wb")
            self._files.append(output)
        process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            preexec_fn=_die_with_parent if _libc is not None else None,
        )
        self._running[name] = process
        return process

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._logs / f"{name}.log"

    def ended(self) -> dict[str, int]:
        """Return the exit codes of the processes that have ended."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def stop(self) -> dict[str, int]:
        """Send SIGINT, then SIGTERM, then SIGKILL to those still running; return the exit codes."""
        for name, grace_s in (("SIGINT", SIGINT_GRACE_S), ("SIGTERM", SIGTERM_GRACE_S)):
            alive = [p for p in reversed(self._running.values()) if p.poll() is None]
            for process in alive:
                process.send_signal(getattr(signal, name))
            until = time.monotonic() + grace_s
            for process in alive:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
        codes = {name: process.wait() for name, process in self._running.items()}
        for file in self._files:
            file.close()
        self._files.clear()
        return codes

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, so that a stopped service cleans up as on Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(no output)"


def ros_arguments(parameters: Mapping[str, object]) -> list[str]:
    """Return the command line of a node with these parameters, which keep their types."""
    # JSON's scalars are YAML's; a quoted string stays a string ("12" too).
    texts = (f"{k}:={json.dumps(v, ensure_ascii=False)}" for k, v in parameters.items())
    return ["--ros-args", *(word for text in texts for word in ("-p", text))]


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
