# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros fuse`: fuse image and video files."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import result_folder
from fusion_ros.cli.exit_codes import DONE, NEGATIVE, STOPPED
from fusion_ros.cli.shared_options import (
    add_by_order,
    add_engine,
    add_parameters,
    add_tolerance,
    add_video_rate,
    add_weights,
    matching_of,
)
from fusion_ros.streams.outside_text import error_line, printable, say

if TYPE_CHECKING:
    import numpy as np

    from fusion_ros.imaging.encodings import PixelFrame
    from fusion_ros.imaging.pair_check import PairDoubt
    from fusion_ros.pipeline import FusionPipeline
    from fusion_ros.recordings.file_pairs import FilePair, Found

_EXAMPLES = """\
examples:
  fusion-ros fuse --visible rgb.png --thermal ir.tiff --out fused/
  fusion-ros fuse --visible tno/vis --thermal tno/ir --out fused/ --triptych
  fusion-ros fuse --visible rgb/ --thermal counts16/ --out fused/ --set tone_mode=percentile
  fusion-ros fuse --visible day_vis.mp4 --thermal day_ir.mp4 --out fused/ --engine openvino

Files of two folders are paired by equal names (without the ending), or by the numbers or time
stamps in their names. The rule and the files without a partner are printed. Images: PNG, JPEG,
TIFF, BMP, PGM; thermal images may hold 8 bits, 16 bits or float values, and may differ in size.
Two videos start at the same moment and are paired by the times of their frames; the result has the
lower frame rate of the two.
A result is named after the visible file, with the ending .png or .mp4, and replaces an earlier one.
Exit codes: 0 all pairs were fused, 1 some failed or equal the visible image, 2 nothing could be
fused, 130 stopped by Ctrl-C.
"""


def add_parser(subparsers: Any) -> None:
    """Add `fuse` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "fuse",
        help="fuse two images, two videos, or two folders of them",
        description="Fuses visible and thermal images or videos that show the same view.",
        epilog=_EXAMPLES,
    )
    for stream in ("visible", "thermal"):
        parser.add_argument(
            f"--{stream}", type=Path, required=True, metavar="PATH",
            help=f"{stream} image, video, or folder of them",
        )  # fmt: skip
    parser.add_argument(
        "--out", type=result_folder, required=True, metavar="DIR",
        help="folder for the results; created if missing",
    )  # fmt: skip
    parser.add_argument(
        "--triptych", action="store_true",
        help="write visible, thermal and fused image side by side instead of the fused one alone",
    )  # fmt: skip
    add_weights(parser)
    add_engine(parser)
    add_parameters(parser.add_argument_group("parameters of the fuse node, such as tone_mode"))
    matching = parser.add_argument_group("how files are paired")
    add_by_order(matching)
    add_tolerance(matching)
    add_video_rate(matching)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fuse the files that the arguments name and return the exit code."""
    from fusion_ros.calibration.plausibility import registration_doubts
    from fusion_ros.recordings.file_pairs import find_pairs

    found = find_pairs(args.visible, args.thermal, **matching_of(args))
    _check_out(args.out, found)
    pipeline = _make_pipeline(args)
    args.out.mkdir(parents=True, exist_ok=True)
    _show_match(found)
    for doubt in registration_doubts(pipeline.registration):
        say(f"warning: calibration: {doubt}", error=True)
    job = _Job(pipeline, args.out, triptych=args.triptych, rate_hz=args.rate)
    try:
        job.fuse_all(found.pairs)
    except KeyboardInterrupt:
        say(f"stopped; {job.fused} complete results are in {args.out}", error=True)
        return STOPPED
    finally:
        pipeline.close()
    job.report()
    return NEGATIVE if job.failed or job.without_effect else DONE


def _make_pipeline(args: argparse.Namespace) -> FusionPipeline:
    """Return the pipeline that the fuse node makes of these parameters."""
    from fusion_ros.parameters import FuseParameters
    from fusion_ros.parameters.files import read_parameters
    from fusion_ros.pipeline_factory import make_pipeline

    values = read_parameters(args.params, args.set)
    for name in ("preset", "engine", "device", "weights"):
        if getattr(args, name) is not None:
            values[name] = str(getattr(args, name))
    return make_pipeline(FuseParameters.from_values(values))


def _check_out(out: Path, found: Found) -> None:
    sources = {path.resolve() for pair in found.pairs for path in (pair.visible, pair.thermal)}
    for pair in found.pairs:
        if (out / pair.result_name).resolve() in sources:
            raise ValueError(
                f"--out {out}: the result {pair.result_name} would replace an input file; "
                "name another folder"
            )


def _show_match(found: Found) -> None:
    """Print the rule that paired the files, and the files without a partner."""
    match = found.match
    if len(match.slots) > 1:
        say(f"{len(match.pairs)} pairs by {match.rule.value}")
    if match.left:
        say(f"without a partner ({len(match.left)}):")
        for left in match.left:
            say(f"  {left.path}: {left.why}")
    for doubt in match.doubts():
        say(f"warning: {doubt}", error=True)


class _Job:
    """Fuses pairs one by one and collects the figures of the report."""

    def __init__(
        self, pipeline: FusionPipeline, out: Path, *, triptych: bool, rate_hz: float | None
    ) -> None:
        self._pipeline, self._out, self._triptych = pipeline, out, triptych
        self._rate_hz = rate_hz
        self.fused = 0
        self.failed = 0
        self.without_effect = 0
        self._doubts: dict[PairDoubt, list[str]] = {}
        self._times_ms: list[float] = []

    def fuse_all(self, pairs: list[FilePair]) -> None:
        from tqdm import tqdm

        from fusion_ros.cli.videos import frame_count

        total = sum(max(frame_count(pair), 1) if pair.is_video else 1 for pair in pairs)
        # disable=None: no bar in a pipe or a log file.
        with tqdm(total=total, unit="frame", disable=None) as bar:
            for pair in pairs:
                bar.set_postfix_str(printable(pair.visible.name))
                # The tone curve of one pair of files must not depend on the one before.
                self._pipeline.reset()
                try:
                    if pair.is_video:
                        self._fuse_video(pair, bar.update)
                    else:
                        self._fuse_image(pair)
                        bar.update()
                    self.fused += 1
                except Exception as error:  # a failure affects only its own pair
                    self.failed += 1
                    name = printable(pair.visible.name)
                    tqdm.write(f"failed: {name}: {error_line(error)}", file=sys.stderr)

    def report(self) -> None:
        from fusion_ros.imaging.pair_check import DOUBT_TEXTS

        engine = self._pipeline.engine.describe()
        say(
            f"fused {self.fused}, failed {self.failed}: {engine.preset} (weights "
            f"{engine.weights_sha256[:12]}) on {engine.name}, {engine.device}, {engine.precision}"
        )
        for doubt, names in self._doubts.items():
            where = f"{len(names)} of {len(self._times_ms)}, first {names[0]!r}"
            say(f"warning: {DOUBT_TEXTS[doubt]} ({where})", error=True)
        if self._times_ms:
            say(f"median {statistics.median(self._times_ms):.1f} ms per frame, without file access")
        say(f"results: {self._out.resolve()}")

    def _fuse_image(self, pair: FilePair) -> None:
        from fusion_ros.files.images import write_image
        from fusion_ros.recordings.image_files import check_visible, orientations_differ, read_frame
        from fusion_ros.streams.ledger import Stream

        visible, thermal = (
            read_frame(path, stream)
            for path, stream in ((pair.visible, Stream.VISIBLE), (pair.thermal, Stream.THERMAL))
        )
        check_visible(visible, pair.visible.name)
        if turned := orientations_differ(pair.visible, pair.thermal):
            raise ValueError(turned)
        fused = self._fuse(visible, thermal, None, pair.visible.name)
        write_image(self._out / pair.result_name, fused)

    def _fuse_video(self, pair: FilePair, progress: Callable[[], object]) -> None:
        from fusion_ros.cli.videos import fuse_video
        from fusion_ros.recordings.video_files import as_frame

        def fuse(visible: np.ndarray, thermal: np.ndarray, stamp_ns: int) -> np.ndarray:
            frames = as_frame(visible), as_frame(thermal)
            return self._fuse(*frames, stamp_ns, pair.visible.name)

        made = fuse_video(pair, self._out / pair.result_name, fuse, progress, self._rate_hz)
        say(f"{pair.visible.name}: {made.count} frames {made.summary}")
        if any(made.left):
            say(f"  without a partner: {made.left[0]} visible, {made.left[1]} thermal frames")
        if made.doubt:
            say(f"warning: {made.doubt}", error=True)

    def _fuse(
        self, visible: PixelFrame, thermal: PixelFrame, stamp_ns: int | None, name: str
    ) -> np.ndarray:
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
            self._doubts.setdefault(doubt, []).append(name)
        if self._triptych:
            panels = {"visible": visible.pixels, "thermal": frame.thermal, "fused": frame.image}
            return side_by_side(panels, order=ChannelOrder.BGR, labelled=False)
        return frame.image
