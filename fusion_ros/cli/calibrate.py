# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros calibrate`: how the thermal picture lies on the visible one, written to a file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import number, result_file, result_folder, whole_number
from fusion_ros.cli.matching_options import add_by_order, add_rate
from fusion_ros.streams.outside_text import say, say_lines

if TYPE_CHECKING:
    from fusion_ros.registration.geometry import Calibration

_EXAMPLES = """\
examples:
  fusion-ros calibrate --from-pairs --visible rec/vis --thermal rec/ir --out rig.yaml
  fusion-ros calibrate --from-pairs --bag drive.mcap --out rig.yaml --pictures check/
  fusion-ros calibrate --board checkerboard --columns 8 --rows 6 --spacing-mm 40 \\
      --visible rec/vis --thermal rec/ir --out rig.yaml
  fusion-ros calibrate --import-kalibr camchain.yaml --out rig.yaml
  fusion-ros calibrate --import-camera-info visible.yaml thermal.yaml \\
      --extrinsic stereo.yaml --out rig.yaml
  fusion-ros calibrate --show rig.yaml

The file is what the parameter `registration_calibration_file` of the node takes, see
docs/explanation/calibration.md.
Exit codes: 0 good, 1 doubtful (the file is written; look at the pictures), 2 could not begin,
3 failed (no file is written), 130 stopped by Ctrl-C.
"""
_EXIT = {"good": 0, "doubtful": 1, "failed": 3}


def add_parser(subparsers: Any) -> None:
    """Add `calibrate` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "calibrate",
        help="bring two cameras together that do not line up",
        description="Finds, imports or shows how the thermal picture lies on the visible one.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--from-pairs", action="store_true", help="from pairs of any scene, without a board"
    )
    what.add_argument(
        "--board",
        choices=("checkerboard", "circles", "asymmetric_circles", "charuco"),
        help="from views of a board that both cameras see",
    )
    what.add_argument("--import-kalibr", type=Path, metavar="FILE", help="a Kalibr camchain")
    what.add_argument(
        "--import-camera-info",
        type=Path,
        nargs=2,
        metavar=("VISIBLE", "THERMAL"),
        help="two camera_info or OpenCV files",
    )
    what.add_argument(
        "--show", type=Path, metavar="FILE", help="check a file and say what it holds"
    )
    parser.add_argument("--out", type=result_file, metavar="FILE", help="calibration file to write")
    source = parser.add_argument_group("pairs")
    source.add_argument("--visible", type=Path, metavar="PATH", help="folder, video or picture")
    source.add_argument("--thermal", type=Path, metavar="PATH", help="its partner")
    source.add_argument("--bag", type=Path, metavar="PATH", help="a bag instead of the two")
    source.add_argument("--visible-topic", metavar="NAME", help="in the bag; found by its name")
    source.add_argument("--thermal-topic", metavar="NAME", help="in the bag; found by its name")
    source.add_argument(
        "--tolerance-ms", type=number(0), default=20.0, help="of the pairing (default %(default)s)"
    )
    add_by_order(source)
    add_rate(source)
    source.add_argument(
        "--most-pairs",
        type=whole_number(1),
        default=32,
        metavar="N",
        help="to read (default %(default)s)",
    )
    source.add_argument("--pictures", type=result_folder, metavar="DIR", help="overlays to look at")
    source.add_argument("--json", type=result_file, metavar="FILE", help="write the figures")
    search = parser.add_argument_group("--from-pairs")
    search.add_argument(
        "--scale-range",
        type=float,
        nargs=2,
        default=(0.72, 1.39),
        metavar=("LOW", "HIGH"),
        help="size of the thermal picture on the visible one, 1 covers it (default 0.72 1.39)",
    )
    search.add_argument(
        "--exact-distance-m", type=float, default=0.0, help="of what the pairs show, if known"
    )
    board = parser.add_argument_group("--board")
    board.add_argument("--columns", type=int, help="inner corners, circles, or charuco squares")
    board.add_argument("--rows", type=int, help="the same downwards")
    board.add_argument("--spacing-mm", type=float, help="between neighbours; side of a square")
    board.add_argument("--marker-mm", type=float, default=0.0, help="of a charuco board's markers")
    board.add_argument("--dictionary", default="DICT_4X4_50", help="of the markers")
    rig = parser.add_argument_group("two calibrated cameras")
    rig.add_argument(
        "--distance-m",
        type=float,
        default=10.0,
        help="of the plane on which the pictures are to meet (default %(default)s)",
    )
    rig.add_argument("--extrinsic", type=Path, metavar="FILE", help="YAML with R and T")
    rig.add_argument("--kalibr-visible", default="cam0", metavar="NAME")
    rig.add_argument("--kalibr-thermal", default="cam1", metavar="NAME")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what the arguments name; see the exit codes above."""
    if args.show is None and args.out is None:
        raise ValueError("--out is missing: name the calibration file to write")
    if args.show is not None:
        return _show(args.show)
    if args.from_pairs:
        return _from_pairs(args)
    if args.board:
        return _from_board(args)
    return _imported(args)


def _pairs(args: argparse.Namespace) -> list:
    from fusion_ros.recordings.sampled_pairs import read_pairs

    if (args.bag is None) == (args.visible is None):
        raise ValueError("name either --visible and --thermal, or --bag")
    if args.visible is not None and args.thermal is None:
        raise ValueError(f"--visible is {args.visible}; --thermal is missing")
    pairs = read_pairs(
        args.bag or args.visible,
        partner=args.thermal,
        visible_topic=args.visible_topic,
        thermal_topic=args.thermal_topic,
        tolerance_ms=args.tolerance_ms,
        most=args.most_pairs,
        by_order=args.by_order,
        rate_hz=args.rate,
        progress=_progress,
        tell=_tell,
    )
    if not pairs:
        raise ValueError(f"no pairs in {args.bag or args.visible}")
    _progress(f"{len(pairs)} pairs")
    return pairs


def _from_pairs(args: argparse.Namespace) -> int:
    import numpy as np

    from fusion_ros.calibration.files import save_calibration
    from fusion_ros.calibration.from_pairs.estimate import Verdict, estimate
    from fusion_ros.calibration.plausibility import check_calibration

    low, high = args.scale_range
    if not 0.05 <= low < high <= 20:
        raise ValueError(f"--scale-range is {low} {high}; allowed is 0.05 <= LOW < HIGH <= 20")
    steps = max(2, round(float(np.log(high / low)) / 0.044))
    pairs = _pairs(args)
    result = estimate(
        [(visible, thermal) for _, visible, thermal in pairs],
        scales=np.geomspace(low, high, steps).tolist(),
        exact_distance_m=args.exact_distance_m,
        progress=_progress,
    )
    figures = result.figures()
    _write_checks(args, pairs, result.calibration, figures)
    _say(figures)
    _say_verdict(figures)
    if result.verdict is Verdict.FAILED:
        say("no calibration was written; record more varied scenes, or name a --scale-range")
        return _EXIT[result.verdict.value]
    doubts = check_calibration(result.calibration)
    save_calibration(args.out, result.calibration, quality=figures)
    say(f"written: {args.out}")
    return max(_EXIT[result.verdict.value], _say_doubts(doubts))


def _from_board(args: argparse.Namespace) -> int:
    from fusion_ros.calibration.board import Board, calibrate_with_board
    from fusion_ros.calibration.files import save_calibration
    from fusion_ros.calibration.plausibility import check_calibration

    for name in ("columns", "rows", "spacing_mm"):
        if getattr(args, name) is None:
            raise ValueError(f"--board needs --{name.replace('_', '-')}")
    board = Board(
        args.board, args.columns, args.rows, args.spacing_mm / 1000,
        args.marker_mm / 1000, args.dictionary,
    )  # fmt: skip
    pairs = _pairs(args)
    _progress("looking for the board")
    result = calibrate_with_board(pairs, board, args.distance_m)
    figures = result.figures()
    _write_checks(args, pairs, result.calibration, figures)
    doubts = check_calibration(result.calibration)
    save_calibration(args.out, result.calibration, quality=figures)
    _say(figures)
    _say_verdict(figures)
    say(f"written: {args.out}")
    return max(_EXIT[figures["verdict"]], _say_doubts(doubts))


def _imported(args: argparse.Namespace) -> int:
    from fusion_ros.calibration.files import save_calibration
    from fusion_ros.calibration.imports import (
        import_camera_info,
        import_extrinsic,
        import_kalibr,
    )
    from fusion_ros.calibration.plausibility import check_calibration
    from fusion_ros.registration.geometry import RigCalibration

    if args.import_kalibr is not None:
        rig = import_kalibr(
            args.import_kalibr,
            visible=args.kalibr_visible,
            thermal=args.kalibr_thermal,
            distance_m=args.distance_m,
        )
    else:
        if args.extrinsic is None:
            raise ValueError("--import-camera-info needs --extrinsic: a YAML file with R and T")
        visible, thermal = (import_camera_info(path) for path in args.import_camera_info)
        rig = RigCalibration(visible, thermal, *import_extrinsic(args.extrinsic), args.distance_m)
    doubts = check_calibration(rig)
    save_calibration(args.out, rig)
    _describe(rig)
    say(f"written: {args.out}")
    return _say_doubts(doubts)


def _show(path: Path) -> int:
    from fusion_ros.calibration.files import load_calibration
    from fusion_ros.calibration.plausibility import check_calibration

    calibration = load_calibration(path)
    _describe(calibration)
    return _say_doubts(check_calibration(calibration))


def _describe(calibration: Calibration) -> None:
    """What a calibration means, and what parallax to expect of it."""
    from fusion_ros.calibration.description import expected_parallax_px, summary

    say_lines(summary(calibration))
    parallax_px = expected_parallax_px(calibration)
    if parallax_px:
        say("expected parallax elsewhere:")
    for distance_m, off_px in parallax_px.items():
        say(f"  {distance_m:7.2f} m  {off_px:6.1f} px")


def _write_checks(
    args: argparse.Namespace, pairs: list, calibration: Calibration, figures: dict[str, Any]
) -> None:
    from fusion_ros.calibration.overlays import before_and_after
    from fusion_ros.files.writing import write_text
    from fusion_ros.recordings.output_files import write_picture

    if args.json is not None:
        write_text(args.json, json.dumps(figures, indent=2) + "\n")
    if args.pictures is not None:
        args.pictures.mkdir(parents=True, exist_ok=True)
        for number, (_, visible, thermal) in enumerate(pairs[:: max(1, len(pairs) // 8)]):
            picture = before_and_after(visible, thermal, calibration)
            write_picture(args.pictures / f"overlay_{number:02d}.png", picture)
        say(f"left as they come, right registered: {args.pictures}")


def _say(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if name not in ("verdict", "reasons"):
            say(f"{name.replace('_', ' '):34s} {value}")


def _say_verdict(figures: dict[str, Any]) -> None:
    say()
    say(f"verdict: {figures['verdict']}")
    for reason in figures["reasons"]:
        say(f"  {reason}")


def _say_doubts(doubts: tuple[str, ...]) -> int:
    """Print doubts about the geometry; return the exit code that they lead to."""
    for doubt in doubts:
        say(f"doubtful: {doubt}")
    return _EXIT["doubtful"] if doubts else 0


def _tell(text: str) -> None:
    say(f"pairs: {text}", error=True)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
