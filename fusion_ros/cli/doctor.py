# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros doctor`: report installed parts, the engines, and a fix for each missing part."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from fusion_ros.cli.exit_codes import DONE, NEGATIVE
from fusion_ros.cli.options import add_options, opt
from fusion_ros.outside_text import say

_EXAMPLES = """\
examples:
  fusion-ros doctor
  fusion-ros doctor --calibration rig.yaml    also the parallax to expect of two cameras
  fusion-ros doctor --json > report.json      for a bug report or a script

Exit codes: 0 images can be fused and the node can run, 1 something that this needs is missing.
"""
_MARKS = {"ok": "ok  ", "note": "note", "missing": "MISS"}


def add_parser(subparsers: Any) -> None:
    """Add `doctor` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this machine: installed parts, the engine that would run, missing parts",
        description="Checks Python packages, ROS, DDS, engines and weights on this machine, and "
        "prints a fix for each part that is missing.",
        epilog=_EXAMPLES,
    )
    add_options(
        parser,
        opt("--calibration FILE", "also check this calibration file, such as rig.yaml"),
        opt("--json", "print the results as JSON"),
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the results of all checks and return the exit code."""
    from fusion_ros.cli.doctor_checks import examine

    checks = examine(args.calibration)
    missing = [check for check in checks if check.state == "missing"]
    if args.json:
        report = {
            "healthy": not missing,
            "findings": [dataclasses.asdict(check) for check in checks],
        }
        print(json.dumps(report, indent=2))
        return NEGATIVE if missing else DONE
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            say(group)
        say(f"  {_MARKS[check.state]}  {check.name}: {check.what}")
        if check.fix:
            say(f"          -> {check.fix}")
    say(f"{len(missing)} missing; the arrows name the fixes" if missing else "nothing is missing")
    return NEGATIVE if missing else DONE
