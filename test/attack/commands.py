# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros` commands in forked children: the real program without its start, many times."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from attack.trial import TRACEBACK, Tally

MEMORY_BYTES = 3 << 30
TIMEOUT_S = 30.0
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: a signal; None: it did not end) and output."""

    code: int | None
    text: str


def import_the_program() -> None:
    """Import the modules of the commands, so that children do not have to.

    Nothing may be computed here: threads do not survive a fork.
    """
    import cv2  # noqa: F401
    import onnxruntime  # noqa: F401
    import torch._dynamo  # noqa: F401 (torch imports it with the first meta tensor: seconds)

    import fusion_ros.cli.main
    import fusion_ros.detection
    import fusion_ros.pipeline
    import fusion_ros.replay.job
    import fusion_ros.replay.report
    import fusion_ros.replay.run  # noqa: F401


def command(arguments: Sequence[object], folder: Path, timeout_s: float = TIMEOUT_S) -> Ended:
    """Run `fusion-ros ARGUMENTS` with at most 3 GiB of memory more than its imports."""
    log = folder / "output.txt"
    child = os.fork()
    if child == 0:
        _become(log)
        code: object = 1
        try:
            from fusion_ros.cli.main import main

            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
    end_s = time.monotonic() + timeout_s
    status = None
    while status is None and time.monotonic() < end_s:
        done, value = os.waitpid(child, os.WNOHANG)
        status = value if done else time.sleep(0.005)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    text = log.read_text(encoding="utf-8", errors="backslashreplace")
    return Ended(None if status is None else os.waitstatus_to_exitcode(status), text)


def attempt(
    tally: Tally, what: str, arguments: Sequence[object], file: Path | None = None
) -> Ended | None:
    """Run a command and note a death, a hang or a traceback; None where there was one."""
    tally.tried += 1
    ended = command(arguments, tally.folder)
    if ended.code is None:
        tally.breach("hang", what, f"no end within {TIMEOUT_S:g} s\n{ended.text}", file)
    elif ended.code < 0:
        tally.breach("death", what, f"{signal.Signals(-ended.code).name}", file)
    elif TRACEBACK in ended.text:
        tally.breach("traceback", what, ended.text, file)
    else:
        return ended
    return None


def _become(log: Path) -> None:
    """Make this process a program of its own: output to a file, bounded memory."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
