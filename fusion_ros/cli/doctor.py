# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros doctor`: what is installed, what would run, and how to mend what is missing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_EXAMPLES = """\
examples:
  fusion-ros doctor
  fusion-ros doctor --calibration rig.yaml    and what parallax to expect of these two cameras
  fusion-ros doctor --json > report.json      for a bug report or a script

Exit code 0: pictures can be fused and the node can run; 1: something that they need is missing.
"""
_MARKS = {"ok": "ok  ", "note": "note", "missing": "MISS"}


def add_parser(subparsers: Any) -> None:
    """Add `doctor` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "doctor",
        help="what is installed, which engine would run and why, what is missing and the fix",
        description="Looks at this machine and says what the package finds there.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="check this calibration file as well"
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings. 1 where one of them is missing, else 0."""
    from fusion_ros.cli.examination import examine

    findings = examine(args.calibration)
    missing = [finding for finding in findings if finding.state == "missing"]
    if args.json:
        report = {"healthy": not missing, "findings": [finding.as_dict() for finding in findings]}
        print(json.dumps(report, indent=2))
        return 1 if missing else 0
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            print(f"{group}")
        print(f"  {_MARKS[finding.state]}  {finding.name}: {finding.what}")
        if finding.fix:
            print(f"          -> {finding.fix}")
    print(
        f"{len(missing)} missing: the arrows say what to do"
        if missing
        else "all that is needed is there"
    )
    return 1 if missing else 0
