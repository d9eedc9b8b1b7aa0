# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros fuse`: files in, fused files out."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros.cli.argument_types import result_folder

if TYPE_CHECKING:
    import numpy as np

    from fusion_ros.cli.pictures import FilePair, Found
    from fusion_ros.pipeline import FusionPipeline

_EXAMPLES = """\
examples:
  fusion-ros fuse --visible rgb.png --thermal ir.tiff --out fused/
  fusion-ros fuse --visible tno/vis --thermal tno/ir --out fused/ --triptych
  fusion-ros fuse --visible rgb/ --thermal counts16/ --out fused/ --set tone_mode=percentile
  fusion-ros fuse --visible day_vis.mp4 --thermal day_ir.mp4 --out fused/ --engine openvino

Folders: files of one name (but for the ending) belong together; those without a partner are
listed. Pictures: PNG, JPEG, TIFF, BMP; thermal ones may have 8 or 16 bits or float values, and
another size. Videos: frame n is fused with frame n. Results carry the visible file's name, as
.png or .mp4; an older result of that name is replaced.
Exit codes: 0 all fused, 1 some failed, 2 could not begin, 130 stopped by Ctrl-C.
"""


def add_parser(subparsers: Any) -> None:
    """Add `fuse` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "fuse",
        help="fuse a pair of files, or two folders of them",
        description="Fuses visible and thermal pictures or videos that show the same view.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--visible", type=Path, required=True, metavar="PATH", help="file, folder")
    parser.add_argument("--thermal", type=Path, required=True, metavar="PATH", help="its partner")
    parser.add_argument(
        "--out", type=result_folder, required=True, metavar="DIR", help="the results"
    )
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", metavar="NAME", help="compact (default) or paper")
    network.add_argument("--weights", type=Path, metavar="FILE", help="safetensors of your own")
    parser.add_argument("--engine", metavar="NAME", help="auto (default), torch, openvino, ...")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda")
    parser.add_argument(
        "--params",
        type=Path,
        metavar="FILE",
        help="parameter file of the fuse node: its tone_*, registration_* and colour_* hold too",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one parameter of the fuse node; repeatable, wins over --params (docs/parameters.md)",
    )
    parser.add_argument(
        "--triptych", action="store_true", help="write visible, thermal and fused side by side"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fuse what the arguments name; see the module's exit codes."""
    from fusion_ros.cli.pictures import find_pairs

    try:
        found = find_pairs(args.visible, args.thermal)
        _check_out(args.out, found)
        if not found.pairs:
            _list_unpaired(found)
            raise ValueError(
                f"{args.visible} and {args.thermal} have no file name in common; pairs need equal "
                "names but for the ending"
            )
        pipeline = _make_pipeline(args)
        args.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"fusion-ros fuse: {error}", file=sys.stderr)
        return 2
    job = _Job(pipeline, args.out, args.triptych)
    try:
        job.fuse_all(found.pairs)
    except KeyboardInterrupt:
        print(f"stopped; {job.fused} whole results are in {args.out}", file=sys.stderr)
        return 130
    finally:
        pipeline.close()
    _list_unpaired(found)
    job.report()
    return 1 if job.failures else 0


def _make_pipeline(args: argparse.Namespace) -> FusionPipeline:
    """The same pipeline as the node's, from the same parameters."""
    from fusion_ros.parameter_files import read_parameters
    from fusion_ros.parameters import FuseParameters
    from fusion_ros.pipeline_making import make_pipeline

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
                f"--out {out}: the result {pair.result_name} would replace a source; "
                "name another folder"
            )


def _list_unpaired(found: Found) -> None:
    if found.unpaired:
        print(f"without a partner of the same name ({len(found.unpaired)}):")
        for path in found.unpaired:
            print(f"  {path}")


class _Job:
    """Fuses pairs one by one; what fails costs itself alone."""

    def __init__(self, pipeline: FusionPipeline, out: Path, triptych: bool) -> None:
        self._pipeline, self._out, self._triptych = pipeline, out, triptych
        self.fused = 0
        self.failures: list[str] = []
        self._times_ms: list[float] = []

    def fuse_all(self, pairs: list[FilePair]) -> None:
        import cv2
        from tqdm import tqdm

        from fusion_ros.cli.videos import frame_count

        total = sum(max(frame_count(pair), 1) if pair.is_video else 1 for pair in pairs)
        # Quiet where nobody watches (a pipe, a log).
        with tqdm(total=total, unit="frame", disable=None) as bar:
            for pair in pairs:
                bar.set_postfix_str(pair.visible.name)
                # Files have nothing to do with each other: forget the last one's temperatures.
                self._pipeline.reset()
                try:
                    if pair.is_video:
                        self._fuse_video(pair, bar.update)
                    else:
                        self._fuse_picture(pair)
                        bar.update()
                    self.fused += 1
                except (ValueError, RuntimeError, OSError, cv2.error) as error:
                    self.failures.append(f"{pair.visible.name}: {error}")
                    tqdm.write(f"failed: {self.failures[-1]}", file=sys.stderr)

    def report(self) -> None:
        engine = self._pipeline.engine.describe()
        print(
            f"fused {self.fused}, failed {len(self.failures)}: {engine.preset} (weights "
            f"{engine.weights_sha256[:12]}) on {engine.name}, {engine.device}, {engine.precision}"
        )
        if self._times_ms:
            print(f"median {statistics.median(self._times_ms):.1f} ms a frame, reading not counted")
        print(f"results: {self._out.resolve()}")

    def _fuse_picture(self, pair: FilePair) -> None:
        from fusion_ros.cli.pictures import read_thermal, read_visible, write_picture

        picture = self._fuse(read_visible(pair.visible), read_thermal(pair.thermal), None)
        write_picture(self._out / pair.result_name, picture)

    def _fuse_video(self, pair: FilePair, progress: Callable[[], object]) -> None:
        from fusion_ros.cli.videos import fuse_video

        count, extra = fuse_video(pair, self._out / pair.result_name, self._fuse, progress)
        if extra:
            print(f"{pair.visible.name}: one video is longer; {count} frames have a partner")

    def _fuse(self, visible: np.ndarray, thermal: np.ndarray, stamp_ns: int | None) -> np.ndarray:
        from fusion_ros.cli.pictures import side_by_side

        begun_ns = time.perf_counter_ns()
        frame = self._pipeline.fuse(
            visible, thermal, order="bgr", thermal_order="bgr", stamp_ns=stamp_ns
        )
        self._times_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
        if self._triptych:
            return side_by_side(visible, frame.thermal, frame.image)
        return frame.image
