# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros`: one command for people at a desk; each sub-command has a file of its own.

A sub-command's file adds its parser when the command starts and imports what is heavy only when it
runs, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from fusion_ros import __version__
from fusion_ros.cli import build_engine, calibrate, demo, doctor, fuse, node, record
from fusion_ros.cli.exit_codes import COULD_NOT_RUN, STOPPED, TABLE, could_not_run
from fusion_ros.cli.replay import command as replay
from fusion_ros.engines.cpu import keep_freed_memory
from fusion_ros.streams.outside_text import say

_DESCRIPTION = """\
Pairs an RGB and a thermal camera and fuses them into one picture.

  fusion-ros doctor                      is everything there, and what would run?
  fusion-ros fuse --visible v.png --thermal t.png --out fused/
  fusion-ros demo                        cameras, node and recorder, all synthetic
  fusion-ros record bag clips/           a bag from pictures, videos or live topics
  fusion-ros replay bag --out report     a recording in, a report and a verdict out
  fusion-ros calibrate --from-pairs --bag bag --out rig.yaml
  fusion-ros node --params fuse.yaml     the fuse node, without a ROS distribution
  fusion-ros build-engine --size 640x480 a TensorRT engine ahead of time
"""
_EPILOG = f"""\
`fusion-ros COMMAND --help` tells more, with examples.

{TABLE}"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    result = argparse.ArgumentParser(
        prog="fusion-ros",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"fusion-ros {__version__}")
    subparsers = result.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (fuse, demo, node, record, replay, calibrate, build_engine, doctor):
        command.add_parser(subparsers)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command and give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Names of files need not be valid text, and a terminal need not know all characters.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")
    args = parser().parse_args(arguments)
    keep_freed_memory()
    try:
        code = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        say(f"fusion-ros {args.command}: stopped", error=True)
        return STOPPED
    except BrokenPipeError:
        # Nobody reads the output any more; what is still buffered must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT_RUN
    except Exception as error:  # the one place where an error becomes a line and an exit code
        return could_not_run(args.command, error)
    return code


if __name__ == "__main__":
    sys.exit(main())
