# SPDX-License-Identifier: Apache-2.0
"""Exit codes of all commands, and errors as one line."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable

from fusion_ros.outside_text import error_line, escape_output, say

DONE = 0
NEGATIVE = 1
COULD_NOT_RUN = 2
FAILED = 3
STOPPED = 130

TABLE = """\
exit codes:
    0  done; of replay: every check of the gate passed
    1  done, with a negative result: a gate failed (replay), some files failed or equal the visible
       image (fuse), some engines failed (build-engine), the bag lacks a part of its source
       (record), a doubtful calibration (calibrate), something is missing (doctor), nothing was
       fused (demo)
    2  could not run, wholly or in part: wrong arguments, input that cannot be read, a full disk; of
       several recordings, one of them; without a gate, a part of a recording. Never the verdict of
       a gate
    3  calibrate: no usable calibration was found, and no file was written
  130  stopped by Ctrl-C
"""
TRACEBACK_VARIABLE = "FUSION_ROS_TRACEBACK"


_EXTRAS = ("replay", "train", "quantize")
"""Commands with an extra of their own."""


def reported(program: str, work: Callable[[], int]) -> int:
    """Run a command and return its exit code; its errors and a stop become one line.

    With FUSION_ROS_TRACEBACK=1 in the environment the traceback is printed as well.
    """
    escape_output()
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        say(f"{program}: stopped", error=True)
        return STOPPED
    except BrokenPipeError:
        # The reader of the output has closed it; buffered text must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT_RUN
    except Exception as error:  # the one place where an error becomes a line and an exit code
        return _could_not_run(program, error)
    return code


def _could_not_run(program: str, error: Exception) -> int:
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)
    text = error_line(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        command = re.split("[ .]", program)[-1]
        what = f"'fusion_ros[{command}]'" if command in _EXTRAS else error.name
        text = f"the package {error.name} is not installed; pip install {what}"
    say(f"{program}: could not run: {text}", error=True)
    return COULD_NOT_RUN
