# SPDX-License-Identifier: Apache-2.0
"""Inputs that all commands share: bags, folders, files and lists, and the pairing of files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.options import MATCHING, TOLERANCE, add_options, opt
from fusion_ros.outside_text import say

if TYPE_CHECKING:
    from fusion_ros.recordings.match_result import MatchResult
    from fusion_ros.recordings.matching import Matching

EXPLANATION = """\
Inputs: a folder that holds both cameras, a visible and a thermal folder, two images, two videos, or
a list (--pairs). Folders are searched with their sub-folders. Files are paired by equal names, by
naming conventions (_vis and _ir, _RGB and _PreviewData, DJI's _V and _T, V0001 and I0001, the
folders of LLVIP, M3FD, MSRS, RoadScene, VIFB, TNO and KAIST), by numbers or time stamps in their
names, or by times in EXIF. The rules and the files left over are printed first.
Two videos start at the same moment and are paired by time.
"""
_MOST_LINES = 12


def add_inputs(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the source, its thermal half and the options of the matching."""
    # fmt: off
    add_options(
        parser,
        opt("source SOURCE", what, type=Path, nargs="?"),
        opt("--visible PATH", "the same as SOURCE"),
        opt("--thermal PATH", "thermal folder, video or image, if SOURCE is the visible one"),
    )
    # fmt: on
    add_options(parser.add_argument_group("how files are paired"), *MATCHING, TOLERANCE)


def source_of(args: argparse.Namespace) -> Path | None:
    """Return the path of the recording; None with `--pairs`.

    Raises:
        ValueError: no path, or two for one camera.
    """
    if args.source and args.visible:
        raise ValueError(f"SOURCE is {args.source} and --visible {args.visible}; give one of them")
    source: Path | None = args.source or args.visible
    if source is None and args.pairs is None:
        taken = getattr(args, "out", None)
        one = f"; the single path {taken} was taken as OUT" if args.command == "record" else ""
        raise ValueError(f"SOURCE is missing: give a folder, a file, or --pairs{one}")
    if source is not None and args.pairs is not None:
        raise ValueError(f"SOURCE is {source} and --pairs {args.pairs}; give one of them")
    return source


def matching_of(args: argparse.Namespace) -> Matching:
    """Return the choices about the matching of files."""
    from fusion_ros.recordings.matching import DEFAULT_TOLERANCE_MS, Matching

    tolerance_ms = DEFAULT_TOLERANCE_MS if args.tolerance_ms is None else args.tolerance_ms
    pattern = tuple(args.pattern) if args.pattern else None
    return Matching(args.by_order, tolerance_ms, pattern, args.pairs, without=args.out)


def recording_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `open_recording` except the path."""
    return {
        "partner": args.thermal,
        "rate_hz": args.frame_rate,
        "matching": matching_of(args),
    }


def show_files(args: argparse.Namespace, source: Path | None) -> MatchResult | None:
    """Print the rules by which files pair, and the files left over; return None for a bag."""
    from fusion_ros.recordings.file_pairs import find_pairs
    from fusion_ros.recordings.opening import is_bag

    if source is not None and args.thermal is None and is_bag(source):
        return None
    match = find_pairs(source, args.thermal, matching_of(args))
    say(match.summary())
    if args.dry_run:
        for pair in match.pairs:
            say(f"  {pair.visible} + {pair.thermal} ({pair.rule})")
    lines = match.left_lines()
    if lines:
        say(f"left over ({len(match.left)}):")
        for line in lines[:_MOST_LINES]:
            say(f"  {line}")
        if len(lines) > _MOST_LINES:
            say(f"  ... and files of {len(lines) - _MOST_LINES} other folders or types")
    for doubt in match.doubts():
        say(f"warning: {doubt}", error=True)
    return match
