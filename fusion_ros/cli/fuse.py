# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros fuse`: fuse image and video files."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import result_file, result_folder
from fusion_ros.cli.exit_codes import COULD_NOT_RUN, DONE, NEGATIVE, STOPPED
from fusion_ros.cli.inputs import EXPLANATION, add_inputs, recording_options, show_files, source_of
from fusion_ros.cli.options import (
    ENGINE,
    PARAMETERS,
    add_options,
    add_weights,
    opt,
    parameter_values,
)
from fusion_ros.outside_text import error_line, printable, say

if TYPE_CHECKING:
    import numpy as np

    from fusion_ros.imaging.encodings import PixelFrame
    from fusion_ros.imaging.pair_check import PairDoubt
    from fusion_ros.pipeline import FusionPipeline
    from fusion_ros.recordings.match_result import FilePair

_EXAMPLES = f"""\
examples:
  fusion-ros fuse rgb.png --thermal ir.tiff --out fused/
  fusion-ros fuse tno/vis --thermal tno/ir --out fused/ --triptych
  fusion-ros fuse flight/ --out fused/ --calibration rig.yaml    a folder that holds both cameras
  fusion-ros fuse flight/ --out fused/ --align                   the geometry from these pairs
  fusion-ros fuse day_vis.mp4 --out fused/ --engine openvino     day_ir.mp4 beside it is found

{EXPLANATION}
Images: PNG, JPEG, TIFF, BMP, PGM, WebP, HEIC; thermal images may hold 8 bits, 16 bits or float
values, and may differ in size. A result is named after the visible file, with the ending .png or
.mp4 (with the lower frame rate of two videos), and replaces an earlier one.
Exit codes: 0 all pairs were fused, 1 some failed or equal the visible image, 2 nothing could be
fused, 130 stopped by Ctrl-C.
"""


def add_parser(subparsers: Any) -> None:
    """Add `fuse` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "fuse",
        help="fuse two images, two videos, or folders of them",
        description="Fuses visible and thermal images or videos that show the same view.",
        epilog=_EXAMPLES,
    )
    # fmt: off
    add_options(
        parser,
        opt("--out DIR", "folder for the results; created if missing", type=result_folder,
            required=True),
        opt("--triptych", "write visible, thermal and fused image side by side instead of the "
            "fused one alone"),
        opt("--calibration FILE", "register the thermal image onto the visible one with this file "
            "of fusion-ros calibrate"),
        opt("--align", "estimate that geometry from the pairs themselves, print its verdict, and "
            "write alignment.yaml beside the results"),
        opt("--json FILE", "file for pairs, results, errors, warnings and files without a partner "
            "as JSON", type=result_file),
    )
    # fmt: on
    add_weights(parser)
    add_options(parser, *ENGINE)
    add_inputs(parser, "folder of both cameras, or visible folder, image or video")
    group = parser.add_argument_group("parameters of the fuse node, such as tone_mode")
    add_options(group, *PARAMETERS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fuse the files that the arguments name and return the exit code."""
    from fusion_ros.calibration.plausibility import registration_doubts
    from fusion_ros.files.writing import write_json
    from fusion_ros.recordings.file_pairs import result_names

    source = source_of(args)
    match = show_files(args, source)
    if match is None:
        raise ValueError(f"{source} is a bag: use fusion-ros replay {source} --fused-video")
    if args.dry_run:
        return DONE
    results = [
        args.out / (name + (".mp4" if pair.is_video else ".png"))
        for name, pair in zip(result_names(match.pairs), match.pairs, strict=True)
    ]
    sources = {path.resolve() for pair in match.pairs for path in (pair.visible, pair.thermal)}
    if lost := [path.name for path in results if path.resolve() in sources]:
        raise ValueError(
            f"--out {args.out}: the result {lost[0]} would replace an input file; name another "
            "folder"
        )
    if args.align:
        args.calibration = _aligned(args, source)
    pipeline = _make_pipeline(args)
    job = _Job(pipeline, triptych=args.triptych, rate_hz=args.frame_rate)
    for doubt in registration_doubts(pipeline.registration):
        job.warn(f"calibration: {doubt}")
    try:
        job.fuse_all(list(zip(match.pairs, results, strict=True)))
    except KeyboardInterrupt:
        say(f"stopped; {job.fused} complete results are in {args.out}", error=True)
        return STOPPED
    finally:
        pipeline.close()
    job.report()
    say(f"results: {args.out.resolve()}")
    if args.json is not None:
        left = [{"file": str(path), "why": why} for path, why in match.left]
        counts = {"fused": job.fused, "failed": job.failed}
        write_json(args.json, counts | {"pairs": job.rows, "warnings": job.warnings, "left": left})
    if not job.fused:
        return COULD_NOT_RUN
    return NEGATIVE if job.failed or job.without_effect else DONE


def _aligned(args: argparse.Namespace, source: Path | None) -> Path:
    """Estimate the geometry from the pairs and return the file that was written.

    Raises:
        ValueError: the pairs do not determine it, or it is given, too.
    """
    from fusion_ros.calibration.files import save_calibration
    from fusion_ros.calibration.from_pairs.estimate import Trust, estimate
    from fusion_ros.recordings.sampled_pairs import read_pairs

    if args.calibration is not None:
        raise ValueError(f"--calibration is {args.calibration}, and --align estimates another one")
    say("estimating the geometry from the pairs", error=True)
    pairs = read_pairs(source, **recording_options(args))
    result = estimate([(visible, thermal) for _, visible, thermal in pairs])
    why = f" ({'; '.join(result.reasons)})" if result.reasons else ""
    text = f"geometry from {result.pairs_used} pairs: {result.verdict.value}{why}"
    if result.verdict is Trust.FAILED:
        raise ValueError(f"--align: {text}; more pairs with edges in both images may help")
    args.out.mkdir(parents=True, exist_ok=True)
    path: Path = args.out / "alignment.yaml"
    save_calibration(path, result.calibration, quality=result.figures())
    say(f"{text}; written: {path}")
    return path


def _make_pipeline(args: argparse.Namespace) -> FusionPipeline:
    """Return the pipeline that the fuse node makes of these parameters."""
    from fusion_ros.calibration.description import registration_mode
    from fusion_ros.calibration.files import load_calibration
    from fusion_ros.parameters import FuseParameters
    from fusion_ros.pipeline_factory import make_pipeline

    values = parameter_values(args)
    if args.calibration is not None:
        values["registration_mode"] = registration_mode(load_calibration(args.calibration))
        values["registration_calibration_file"] = str(args.calibration)
    return make_pipeline(FuseParameters.from_values(values))


class _Job:
    """Fuses pairs one by one and collects the figures of the report."""

    def __init__(self, pipeline: FusionPipeline, *, triptych: bool, rate_hz: float | None) -> None:
        from fusion_ros.registration.alignment import AlignmentMonitor

        self._pipeline, self._triptych, self._rate_hz = pipeline, triptych, rate_hz
        self.fused = self.failed = self.without_effect = 0
        self.rows: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self._doubts: dict[PairDoubt, list[str]] = {}
        self._times_ms: list[float] = []
        self._monitor = AlignmentMonitor()
        self._alignments: list[Any] = []

    def fuse_all(self, work: list[tuple[FilePair, Path]]) -> None:
        from tqdm import tqdm

        from fusion_ros.files.images import write_image
        from fusion_ros.recordings.image_files import read_pair

        # disable=None: no bar in a pipe or a log file.
        bar = tqdm(work, unit="file", disable=None)
        for pair, result in bar:
            name = printable(pair.visible.name)
            bar.set_postfix_str(name)
            # The tone curve of one pair of files must not depend on the one before.
            self._pipeline.reset()
            row = {"visible": str(pair.visible), "thermal": str(pair.thermal)}
            row |= {"rule": pair.rule, "result": str(result), "error": ""}
            self.rows.append(row)
            try:
                result.parent.mkdir(parents=True, exist_ok=True)
                if pair.is_video:
                    self._fuse_video(pair, result, lambda n: bar.set_postfix(frames=n))
                else:
                    write_image(result, self._fuse(*read_pair(*pair[:2]), None, pair))
                self.fused += 1
            except Exception as error:  # a failure affects only its own pair
                self.failed += 1
                row["error"] = error_line(error)
                tqdm.write(f"failed: {name}: {row['error']}", file=sys.stderr)

    def report(self) -> None:
        """Print the counts, the engine and the doubts about the inputs."""
        from fusion_ros.imaging.pair_check import DOUBT_TEXTS
        from fusion_ros.registration.alignment import lasting_shift

        engine = self._pipeline.engine.describe()
        network = f"{engine.preset} (weights {engine.weights_sha256[:12]})"
        where = f"{engine.name}, {engine.device}, {engine.precision}"
        say(f"fused {self.fused}, failed {self.failed}: {network} on {where}")
        for doubt, names in self._doubts.items():
            where = f"{len(names)} of {len(self._times_ms)}, first {names[0]!r}"
            self.warn(f"{DOUBT_TEXTS[doubt]} ({where})")
        if shift := lasting_shift(self._alignments):
            right, down = map(round, shift)
            self.warn(
                f"the thermal images are shifted by {right:+d} px to the right, {down:+d} px down; "
                "--align finds the geometry from the pairs themselves"
            )
        if len(self._times_ms) > 1:  # the first one includes the preparation of the engine
            say(f"median {statistics.median(self._times_ms):.1f} ms per frame, without file access")

    def warn(self, text: str) -> None:
        """Print a warning and keep it for `--json`."""
        self.warnings.append(text)
        say(f"warning: {text}", error=True)

    def _fuse_video(self, pair: FilePair, result: Path, progress: Callable[[int], object]) -> None:
        """Write the fused video at the lower frame rate of the two."""
        from fusion_ros.files.images import new_video
        from fusion_ros.recordings.image_recordings import VideoRecording
        from fusion_ros.recordings.sampled_pairs import paired_frames
        from fusion_ros.streams.ledger import Stream

        recording = VideoRecording(pair.visible, pair.thermal, self._rate_hz)
        match, count = recording.match, 0
        rate_hz = min(match.visible_hz, match.thermal_hz)
        with contextlib.closing(recording), new_video(result, rate_hz) as video:
            frames = paired_frames(recording.frames(), match.tolerance_ns)
            for count, at in enumerate(frames, 1):
                seen, felt = at.visible.read(), at.thermal.read()
                video.write(self._fuse(seen, felt, at.thermal_stamp_ns, pair))
                progress(count)
        say(f"{pair.visible.name}: {count} frames {match.summary()}")
        left = [max(0, recording.identity.messages(stream) - count) for stream in Stream]
        if any(left):
            say(f"  without a partner: {left[0]} visible, {left[1]} thermal frames")
        if match.doubt:
            self.warn(match.doubt)

    def _fuse(
        self, visible: PixelFrame, thermal: PixelFrame, stamp_ns: int | None, pair: FilePair
    ) -> np.ndarray:
        from fusion_ros.imaging.colour import luma
        from fusion_ros.imaging.encodings import ChannelOrder
        from fusion_ros.imaging.pair_check import PairDoubt, input_doubts, result_doubts
        from fusion_ros.imaging.side_by_side import side_by_side

        begun_ns = time.perf_counter_ns()
        frame = self._pipeline.fuse(
            visible.pixels,
            thermal.pixels,
            order="bgr",
            thermal_order=thermal.order,
            stamp_ns=stamp_ns,
        )
        self._times_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
        doubts = input_doubts(visible, thermal) + result_doubts(visible.pixels, frame.image)
        self.without_effect += PairDoubt.FUSED_IS_VISIBLE in doubts
        for doubt in doubts:
            self._doubts.setdefault(doubt, []).append(pair.visible.name)
        grey = luma(visible.pixels, order="bgr")
        self._alignments.append(self._monitor.evaluate(grey, frame.thermal))
        if self._triptych:
            panels = {"visible": visible.pixels, "thermal": frame.thermal, "fused": frame.image}
            return side_by_side(panels, order=ChannelOrder.BGR, labelled=False)
        return frame.image
