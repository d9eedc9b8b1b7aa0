# SPDX-License-Identifier: Apache-2.0
"""Options with which every command that reads pairs from disk matches them."""

from __future__ import annotations

import argparse
from typing import Any

from fusion_ros.cli.argument_types import number
from fusion_ros.recordings.matching import DEFAULT_TOLERANCE_MS


def add_by_order(group: Any) -> None:
    """Add `--by-order`."""
    group.add_argument(
        "--by-order",
        action="store_true",
        help="match the pictures of two folders by position, not by name; equal counts only",
    )


def add_rate(group: Any) -> None:
    """Add `--rate`, for commands that have no option of their own for it."""
    group.add_argument(
        "--rate",
        type=number(0, above=True),
        metavar="HZ",
        help="frames a second of videos that name none",
    )


def add_tolerance(group: Any) -> None:
    """Add `--tolerance-ms`, for commands that have no option of their own for it."""
    group.add_argument(
        "--tolerance-ms",
        type=number(0),
        default=DEFAULT_TOLERANCE_MS,
        metavar="MS",
        help="largest difference of two time stamps in names (default %(default)s)",
    )


def matching_of(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `match_files` out of the options above."""
    return {"by_order": args.by_order, "tolerance_ms": args.tolerance_ms}
