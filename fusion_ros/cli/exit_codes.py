# SPDX-License-Identifier: Apache-2.0
"""Exit codes of all commands, and errors as one line."""

from __future__ import annotations

import os
import traceback

from fusion_ros.outside_text import error_line, say

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


def could_not_run(command: str, error: BaseException) -> int:
    """Report an error on one line and return its exit code.

    With FUSION_ROS_TRACEBACK=1 in the environment the traceback is printed as well.
    """
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)
    text = error_line(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        what = f"'fusion_ros[{command}]'" if command in ("replay", "train") else error.name
        text = f"the package {error.name} is not installed; pip install {what}"
    say(f"fusion-ros {command}: could not run: {text}", error=True)
    return COULD_NOT_RUN
