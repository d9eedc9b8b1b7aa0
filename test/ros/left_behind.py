# SPDX-License-Identifier: Apache-2.0
"""Commands that start processes, and whether they left any behind: all inherit a mark."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

_MARK = "FUSION_ROS_TEST_MARK"


def processes_with(mark: str) -> list[str]:
    """Command lines of all processes that inherited a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [line for line in found if line]


@contextlib.contextmanager
def started(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], Iterator[str], str]]:
    """A command of this source tree: the process, its lines of output, and its mark.

    It listens to SIGINT also where the tests themselves were started in the background, with
    SIGINT ignored; and a test that fails half-way kills it, so as not to wait for it for ever.
    """
    mark = uuid.uuid4().hex
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        command,
        env={**os.environ, _MARK: mark, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_listen_to_sigint,
    ) as running:
        assert running.stdout is not None
        try:
            yield running, iter(running.stdout.readline, ""), mark
        finally:
            running.kill()  # nothing happens where it has ended


def _listen_to_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
