# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros calibrate`: find, import or show the geometry of two cameras."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import number, result_file, result_folder, whole_number
from fusion_ros.cli.exit_codes import DONE, FAILED, NEGATIVE
from fusion_ros.cli.shared_options import add_by_order, add_topics, add_video_rate
from fusion_ros.streams.outside_text import printable, say, say_lines

if TYPE_CHECKING:
    import numpy as np

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

Set the parameter `registration_calibration_file` of the node to the file that is written
(docs/explanation/calibration.md).
Exit codes: 0 good, 1 doubtful (the file is written; look at the overlays of --pictures), 2 could
not run, 3 failed (no file is written), 130 stopped by Ctrl-C.
"""
_Pairs = list[tuple[str, "np.ndarray", "np.ndarray"]]
"""Name, visible image and thermal image of each pair."""
_EXIT = {"good": DONE, "doubtful": NEGATIVE, "failed": FAILED}


def add_parser(subparsers: Any) -> None:
    """Add `calibrate` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "calibrate",
        help="find how the thermal image lies on the visible one",
        description="Finds, imports or shows the geometry that maps the thermal image onto the "
        "visible one. Needed where the two cameras do not look through one lens.",
        epilog=_EXAMPLES,
    )
    method = parser.add_argument_group("method (exactly one)").add_mutually_exclusive_group(
        required=True
    )
    method.add_argument(
        "--from-pairs", action="store_true",
        help="estimate the calibration from recorded pairs of any scene, without a board",
    )  # fmt: skip
    method.add_argument(
        "--board", choices=("checkerboard", "circles", "asymmetric_circles", "charuco"),
        help="calibrate with views of a board of this kind that both cameras see",
    )  # fmt: skip
    method.add_argument(
        "--import-kalibr", type=Path, metavar="FILE", help="import a camchain file of Kalibr"
    )
    method.add_argument(
        "--import-camera-info", type=Path, nargs=2, metavar=("VISIBLE", "THERMAL"),
        help="import two camera files, of ROS (camera_info) or OpenCV; needs --extrinsic",
    )  # fmt: skip
    method.add_argument(
        "--show", type=Path, metavar="FILE", help="check and describe a calibration file"
    )
    parser.add_argument(
        "--out", type=result_file, metavar="FILE",
        help="calibration file to write, such as rig.yaml (required, except with --show)",
    )  # fmt: skip
    _add_source(parser.add_argument_group("recorded pairs, for --from-pairs and --board"))
    _add_from_pairs(parser.add_argument_group("--from-pairs"))
    _add_board(parser.add_argument_group("--board"))
    _add_rig(parser.add_argument_group("two calibrated cameras: --board and the imports"))
    parser.set_defaults(run=run)


def _add_source(group: Any) -> None:
    for stream in ("visible", "thermal"):
        group.add_argument(
            f"--{stream}", type=Path, metavar="PATH",
            help=f"{stream} images: a folder, a video or one image",
        )  # fmt: skip
    group.add_argument(
        "--bag", type=Path, metavar="PATH", help="a bag in place of --visible and --thermal"
    )
    add_topics(group)
    group.add_argument(
        "--tolerance-ms", type=number(0), default=20.0, metavar="MS",
        help="largest difference, in milliseconds, of the two stamps of a pair (default: "
        "%(default)g)",
    )  # fmt: skip
    add_by_order(group)
    add_video_rate(group)
    group.add_argument(
        "--most-pairs", type=whole_number(1), default=32, metavar="N",
        help="number of pairs to use, spread evenly over the recording (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--pictures", type=result_folder, metavar="DIR",
        help="folder for overlays of some pairs, before and after registration",
    )  # fmt: skip
    group.add_argument(
        "--json", type=result_file, metavar="FILE",
        help="file for the figures of the result (number of inliers, errors, ...) as JSON",
    )  # fmt: skip


def _add_from_pairs(group: Any) -> None:
    group.add_argument(
        "--scale-range", type=number(0.05, 20), nargs=2, default=(0.72, 1.39),
        metavar=("LOW", "HIGH"),
        help="range in which the size of the thermal image on the visible one is searched; 1: it "
        "covers the visible image exactly, 0.5: half its width (default: 0.72 1.39)",
    )  # fmt: skip
    group.add_argument(
        "--exact-distance-m", type=number(0), default=0.0, metavar="METRES",
        help="distance of the scene in the pairs, if known; 0: unknown (default: %(default)g)",
    )  # fmt: skip


def _add_board(group: Any) -> None:
    group.add_argument(
        "--columns", type=whole_number(3), metavar="N",
        help="inner corners of a checkerboard, circles, or squares of a charuco board in a row",
    )  # fmt: skip
    group.add_argument("--rows", type=whole_number(3), metavar="N", help="the same in a column")
    group.add_argument(
        "--spacing-mm", type=number(0, above=True), metavar="MM",
        help="distance between neighbouring corners or circles (the side of a square), in mm",
    )  # fmt: skip
    group.add_argument(
        "--marker-mm", type=number(0), default=0.0, metavar="MM",
        help="side of the markers of a charuco board, in mm; 0: three quarters of --spacing-mm "
        "(default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--dictionary", default="DICT_4X4_50", metavar="NAME",
        help="OpenCV's dictionary of the charuco markers (default: %(default)s)",
    )  # fmt: skip


def _add_rig(group: Any) -> None:
    group.add_argument(
        "--distance-m", type=number(0, above=True), default=10.0, metavar="METRES",
        help="distance at which the two images shall coincide (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--extrinsic", type=Path, metavar="FILE",
        help="with --import-camera-info: YAML file with R (3x3) and T (metres), visible to thermal",
    )  # fmt: skip
    for stream, camera in (("visible", "cam0"), ("thermal", "cam1")):
        group.add_argument(
            f"--kalibr-{stream}", default=camera, metavar="NAME",
            help=f"with --import-kalibr: the {stream} camera in the file (default: %(default)s)",
        )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the chosen method and return the exit code."""
    if args.show is not None:
        return _show(args.show)
    if args.out is None:
        raise ValueError("--out is missing: name the calibration file to write")
    if args.from_pairs:
        return _from_pairs(args)
    if args.board:
        return _from_board(args)
    return _imported(args)


def _pairs(args: argparse.Namespace) -> _Pairs:
    from fusion_ros.recordings.sampled_pairs import read_pairs

    if (args.bag is None) == (args.visible is None):
        raise ValueError("give either --visible and --thermal, or --bag")
    if args.visible is not None and args.thermal is None:
        raise ValueError(f"--visible is {args.visible}, but --thermal is missing")
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
        report=lambda text: say(f"pairs: {text}", error=True),
    )
    if not pairs:
        raise ValueError(f"{args.bag or args.visible} holds no pairs within --tolerance-ms")
    _progress(f"{len(pairs)} pairs")
    return pairs


def _from_pairs(args: argparse.Namespace) -> int:
    import numpy as np

    from fusion_ros.calibration.files import save_calibration
    from fusion_ros.calibration.from_pairs.estimate import Trust, estimate
    from fusion_ros.calibration.plausibility import check_calibration

    low, high = args.scale_range
    if low >= high:
        raise ValueError(f"--scale-range is {low:g} {high:g}; LOW must be less than HIGH")
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
    _say_figures(figures)
    if result.verdict is Trust.FAILED:
        say("no calibration was written; record more varied scenes, or change --scale-range")
        return FAILED
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
    _say_figures(figures)
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
            raise ValueError("--import-camera-info needs --extrinsic, a YAML file with R and T")
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
    """Print a summary of a calibration and the parallax to expect."""
    from fusion_ros.calibration.description import expected_parallax_px, summary

    say_lines(summary(calibration))
    parallax_px = expected_parallax_px(calibration)
    if parallax_px:
        say("expected parallax at other distances:")
    for distance_m, off_px in parallax_px.items():
        say(f"  {distance_m:7.2f} m  {off_px:6.1f} px")


def _write_checks(
    args: argparse.Namespace, pairs: _Pairs, calibration: Calibration, figures: dict[str, Any]
) -> None:
    from fusion_ros.calibration.overlays import before_and_after
    from fusion_ros.files.images import write_image
    from fusion_ros.files.writing import write_text

    if args.json is not None:
        write_text(args.json, json.dumps(figures, indent=2) + "\n")
    if args.pictures is not None:
        args.pictures.mkdir(parents=True, exist_ok=True)
        for number, (_, visible, thermal) in enumerate(pairs[:: max(1, len(pairs) // 8)]):
            overlay = before_and_after(visible, thermal, calibration)
            write_image(args.pictures / f"overlay_{number:02d}.png", overlay)
        say(f"overlays, before (left) and after registration (right): {args.pictures}")


def _say_figures(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if name not in ("verdict", "reasons"):
            say(f"{name.replace('_', ' '):34s} {value}")
    say()
    say(f"verdict: {figures['verdict']}")
    for reason in figures["reasons"]:
        say(f"  {reason}")


def _say_doubts(doubts: tuple[str, ...]) -> int:
    """Print doubts about the geometry and return their exit code."""
    for doubt in doubts:
        say(f"doubtful: {doubt}")
    return NEGATIVE if doubts else DONE


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{printable(text)}", end="", file=sys.stderr, flush=True)
