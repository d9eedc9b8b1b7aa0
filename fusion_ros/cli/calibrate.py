# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros calibrate`: find, import or show the geometry of two cameras."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import number, result_file, result_folder, whole_number
from fusion_ros.cli.exit_codes import DONE, FAILED, NEGATIVE
from fusion_ros.cli.inputs import add_inputs, recording_options, show_files, source_of
from fusion_ros.cli.options import TOPICS, add_options, opt
from fusion_ros.outside_text import printable, say, say_lines

if TYPE_CHECKING:
    import numpy as np

    from fusion_ros.registration.geometry import Calibration

_EXAMPLES = """\
examples:
  fusion-ros calibrate --from-pairs rec/vis --thermal rec/ir --out rig.yaml
  fusion-ros calibrate --from-pairs drive.mcap --out rig.yaml --pictures check/
  fusion-ros calibrate rec/ --board checkerboard --columns 8 --rows 6 --spacing-mm 40 \\
      --out rig.yaml
  fusion-ros calibrate --import-kalibr camchain.yaml --out rig.yaml
  fusion-ros calibrate --import-camera-info visible.yaml thermal.yaml \\
      --extrinsic stereo.yaml --out rig.yaml
  fusion-ros calibrate --show rig.yaml

Use the file with fusion-ros fuse --calibration, or set the node's parameters registration_mode and
registration_calibration_file, which are printed (docs/how-to/calibrate.md).
Exit codes: 0 good, 1 doubtful (the file is written; look at the overlays of --pictures), 2 could
not run, 3 failed (no file is written), 130 stopped by Ctrl-C.
"""
_Pairs = list[tuple[str, "np.ndarray", "np.ndarray"]]
"""Name, visible image and thermal image of each pair."""
_EXIT = {"good": DONE, "doubtful": NEGATIVE}


# fmt: off
_METHODS = (
    opt("--from-pairs", "estimate the calibration from recorded pairs of any scene, without a "
        "board"),
    opt("--board KIND", "calibrate with views of a board of this kind that both cameras see: "
        "checkerboard, circles, asymmetric_circles or charuco",
        choices=("checkerboard", "circles", "asymmetric_circles", "charuco")),
    opt("--import-kalibr FILE", "import a camchain file of Kalibr"),
    opt("--import-camera-info VISIBLE THERMAL", "import two camera files, of ROS (camera_info) or "
        "OpenCV; needs --extrinsic", type=Path, nargs=2),
    opt("--show FILE", "check and describe a calibration file"),
)
_OUTPUTS = (
    opt("--out FILE", "calibration file to write, such as rig.yaml (required, except with --show)",
        type=result_file),
    opt("--pictures DIR", "folder for overlays of some pairs, before and after registration",
        type=result_folder),
    opt("--json FILE", "file for the figures of the result (number of inliers, errors, ...) as "
        "JSON", type=result_file),
    opt("--most-pairs N", "number of pairs to read, spread evenly over the recording; "
        "--from-pairs uses the eight of them with most edges (default: %(default)s)",
        type=whole_number(1), default=32),
)
_FROM_PAIRS = (
    opt("--scale-range LOW HIGH", "range in which the size of the thermal image on the visible one "
        "is searched; 1: it covers the visible image exactly, 0.5: half its width (default: 0.72 "
        "1.39)", type=number(0.05, 20), nargs=2, default=(0.72, 1.39)),
    opt("--exact-distance-m METRES", "distance of the scene in the pairs, if known; 0: unknown "
        "(default: %(default)g)", type=number(0), default=0.0),
)
_BOARD = (
    opt("--columns N", "inner corners of a checkerboard, circles, or squares of a charuco board in "
        "a row", type=whole_number(3)),
    opt("--rows N", "the same in a column", type=whole_number(3)),
    opt("--spacing-mm MM", "distance between neighbouring corners or circles (the side of a "
        "square), in mm", type=number(0, above=True)),
    opt("--marker-mm MM", "side of the markers of a charuco board, in mm; 0: three quarters of "
        "--spacing-mm (default: %(default)g)", type=number(0), default=0.0),
    opt("--dictionary NAME", "OpenCV's dictionary of the charuco markers (default: %(default)s)",
        default="DICT_4X4_50"),
)
_RIG = (
    opt("--distance-m METRES", "distance at which the two images shall coincide (default: "
        "%(default)g)", type=number(0, above=True), default=10.0),
    opt("--extrinsic FILE", "with --import-camera-info: YAML file with R (3x3) and T (metres), "
        "visible to thermal"),
    *(opt(f"--kalibr-{stream} NAME", f"with --import-kalibr: the {stream} camera in the file "
          "(default: %(default)s)", default=camera)
      for stream, camera in (("visible", "cam0"), ("thermal", "cam1"))),
)
# fmt: on


def add_parser(subparsers: Any) -> None:
    """Add `calibrate` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "calibrate",
        help="find the geometry that maps the thermal image onto the visible one",
        description="Finds, imports or shows the geometry that maps the thermal image onto the "
        "visible one. Needed where the two cameras do not look through one lens.",
        epilog=_EXAMPLES,
    )
    method = parser.add_argument_group("method (exactly one)").add_mutually_exclusive_group(
        required=True
    )
    add_options(method, *_METHODS)
    add_options(parser, *_OUTPUTS)
    add_inputs(parser, "for --from-pairs and --board: bag, folder of both cameras, or visible one")
    add_options(parser.add_argument_group("topics of a bag"), *TOPICS)
    add_options(parser.add_argument_group("--from-pairs"), *_FROM_PAIRS)
    add_options(parser.add_argument_group("--board"), *_BOARD)
    add_options(parser.add_argument_group("two calibrated cameras: --board and the imports"), *_RIG)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen method and return the exit code."""
    from fusion_ros.calibration.files import load_calibration
    from fusion_ros.calibration.plausibility import check_calibration

    if args.show is not None:
        calibration = load_calibration(args.show)
        _describe(calibration)
        return _say_doubts(check_calibration(calibration))
    if args.out is None and not args.dry_run:
        raise ValueError("--out is missing: name the calibration file to write")
    if args.import_kalibr or args.import_camera_info:
        return _imported(args)
    low, high = args.scale_range
    if low >= high:
        raise ValueError(f"--scale-range is {low:g} {high:g}; LOW must be less than HIGH")
    for name in ("columns", "rows", "spacing_mm"):
        if args.board and getattr(args, name) is None:
            raise ValueError(f"--board needs --{name.replace('_', '-')}")
    source = source_of(args)
    show_files(args, source)
    if args.dry_run:
        return DONE
    return _from_pairs(args, source) if args.from_pairs else _from_board(args, source)


def _pairs(args: argparse.Namespace, source: Path | None) -> _Pairs:
    from fusion_ros.recordings.sampled_pairs import read_pairs

    pairs = read_pairs(
        source,
        **recording_options(args),
        visible_topic=args.visible_topic,
        thermal_topic=args.thermal_topic,
        most=args.most_pairs,
        progress=_progress,
        report=lambda text: say(f"pairs: {text}", error=True),
    )
    if not pairs:
        raise ValueError(f"{source or args.pairs} holds no pairs within --tolerance-ms")
    _progress(f"{len(pairs)} pairs")
    return pairs


def _from_pairs(args: argparse.Namespace, source: Path | None) -> int:
    import numpy as np

    from fusion_ros.calibration.from_pairs.estimate import estimate

    low, high = args.scale_range
    steps = max(2, round(float(np.log(high / low)) / 0.044))
    pairs = _pairs(args, source)
    result = estimate(
        [(visible, thermal) for _, visible, thermal in pairs],
        scales=np.geomspace(low, high, steps).tolist(),
        exact_distance_m=args.exact_distance_m,
        progress=_progress,
    )
    return _conclude(args, pairs, result.calibration, result.figures())


def _from_board(args: argparse.Namespace, source: Path | None) -> int:
    from fusion_ros.calibration.board import Board, calibrate_with_board

    board = Board(
        args.board, args.columns, args.rows, args.spacing_mm / 1000,
        args.marker_mm / 1000, args.dictionary,
    )  # fmt: skip
    pairs = _pairs(args, source)
    _progress("looking for the board")
    result = calibrate_with_board(pairs, board, args.distance_m)
    return _conclude(args, pairs, result.calibration, result.figures())


def _conclude(
    args: argparse.Namespace, pairs: _Pairs, calibration: Calibration, figures: dict[str, Any]
) -> int:
    """Write the figures, the overlays and the calibration; return the exit code."""
    from fusion_ros.calibration.overlays import before_and_after
    from fusion_ros.files.images import write_image
    from fusion_ros.files.writing import write_json

    if args.json is not None:
        write_json(args.json, figures)
    if args.pictures is not None:
        args.pictures.mkdir(parents=True, exist_ok=True)
        for number, (_, visible, thermal) in enumerate(pairs[:: max(1, len(pairs) // 8)]):
            overlay = before_and_after(visible, thermal, calibration)
            write_image(args.pictures / f"overlay_{number:02d}.png", overlay)
        say(f"overlays, thermal edges in orange, before (left) and after (right): {args.pictures}")
    for name, value in figures.items():
        if name not in ("verdict", "reasons"):
            say(f"{name.replace('_', ' '):34s} {value}")
    say()
    say(f"verdict: {figures['verdict']}")
    for reason in figures["reasons"]:
        say(f"  {reason}")
    if figures["verdict"] == "failed":
        say("no calibration was written; record more varied scenes, or change --scale-range")
        return FAILED
    return max(_EXIT[figures["verdict"]], _save(args.out, calibration, figures))


def _imported(args: argparse.Namespace) -> int:
    from fusion_ros.calibration.imports import import_camera_info, import_extrinsic, import_kalibr
    from fusion_ros.registration.geometry import RigCalibration

    if args.import_kalibr is not None:
        cameras = {"visible": args.kalibr_visible, "thermal": args.kalibr_thermal}
        rig = import_kalibr(args.import_kalibr, **cameras, distance_m=args.distance_m)
    else:
        if args.extrinsic is None:
            raise ValueError("--import-camera-info needs --extrinsic, a YAML file with R and T")
        visible, thermal = (import_camera_info(path) for path in args.import_camera_info)
        rig = RigCalibration(visible, thermal, *import_extrinsic(args.extrinsic), args.distance_m)
    _describe(rig)
    return _save(args.out, rig)


def _describe(calibration: Calibration) -> None:
    """Print a summary of a calibration and the parallax to expect."""
    from fusion_ros.calibration.description import expected_parallax_px, summary

    say_lines(summary(calibration))
    parallax_px = expected_parallax_px(calibration)
    if parallax_px:
        say("expected parallax at other distances:")
    for distance_m, off_px in parallax_px.items():
        say(f"  {distance_m:7.2f} m  {off_px:6.1f} px")


def _save(path: Path, calibration: Calibration, quality: dict[str, Any] | None = None) -> int:
    """Check and write a calibration, and return the exit code of its doubts."""
    from fusion_ros.calibration.description import registration_mode
    from fusion_ros.calibration.files import save_calibration
    from fusion_ros.calibration.plausibility import check_calibration

    doubts = check_calibration(calibration)
    save_calibration(path, calibration, quality=quality)
    say(f"written: {path}")
    mode, file = registration_mode(calibration), path.resolve()
    say("parameters of the node:")
    say(f"  registration_mode: {mode}")
    say(f"  registration_calibration_file: {file}")
    return _say_doubts(doubts)


def _say_doubts(doubts: tuple[str, ...]) -> int:
    """Print doubts about the geometry and return their exit code."""
    for doubt in doubts:
        say(f"doubtful: {doubt}")
    return NEGATIVE if doubts else DONE


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{printable(text)}", end="", file=sys.stderr, flush=True)
