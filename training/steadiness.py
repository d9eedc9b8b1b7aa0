# SPDX-License-Identifier: Apache-2.0
"""``python -m training.steadiness``: flicker of each method on clips of consecutive frames.

    python -m training.steadiness --weights FILE|PRESET ... --data m3svd=DIR --out FILE.md

A pair's name up to its last slash is its clip. For each clip the table has the flicker index (1
equals the mean of the sources), the ratio of change to the sources' change, the change that neither
source has, in grey levels, and the change of static pixels relative to the average image's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from fusion_ros.cli.exit_codes import COULD_NOT_RUN, DONE, reported
from fusion_ros.files.writing import check_target, write_text
from fusion_ros.metrics.flicker import change_ratio, excess_flicker, flicker_index, static_change
from training.config_file import import_files
from training.data.pairs import DataSetError, PairFiles, find_named_pairs
from training.data.reading import read_pair
from training.evaluate import Fuser, all_methods, baselines, grey, named_networks


def clips(pairs: Iterable[PairFiles]) -> dict[str, list[PairFiles]]:
    """Return the pairs of each clip in frame order, which is the order of ``pairs``.

    Raises:
        DataSetError: a clip has one frame, or the pairs are distant frames of a video.
    """
    result: dict[str, list[PairFiles]] = {}
    for pair in pairs:
        if pair.frame is not None:
            raise DataSetError(
                f"{pair.visible} is a video, of which every 15th frame is a pair; allowed are "
                "folders of consecutive frames, such as those of the kinds m3svd and folders"
            )
        result.setdefault(pair.name.rpartition("/")[0] or "all", []).append(pair)
    for clip, frames in result.items():
        if len(frames) < 2:
            raise DataSetError(f"clip {clip} has 1 frame; allowed: at least 2")
    return result


def read_clip(frames: Sequence[PairFiles]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the images of a clip.

    Raises:
        DataSetError: a file cannot be used, or the sizes differ.
    """
    images = [read_pair(pair)[0] for pair in frames]
    for pair, (_, thermal) in zip(frames, images, strict=True):
        if thermal.shape != images[0][1].shape:
            raise DataSetError(
                f"{pair.thermal} is {thermal.shape[1]}x{thermal.shape[0]}, the first frame of its "
                f"clip {images[0][1].shape[1]}x{images[0][1].shape[0]}; allowed: one size"
            )
    return images


def _stack(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images).astype(np.float32) / 255)[:, None]


def flicker_table(
    methods: Mapping[str, Fuser], data: Mapping[str, list[PairFiles]]
) -> tuple[str, list[str]]:
    """Return Markdown with a row for each method and a column for each clip, and skipped clips.

    Raises:
        DataSetError: no clip can be used.
    """
    rows: dict[str, list[str]] = {name: [] for name in methods}
    measured, skipped = [], []
    for clip, frames in data.items():
        try:
            sources = read_clip(frames)
        except DataSetError as error:
            skipped.append(f"clip {clip}: {error}")
            continue
        measured.append(clip)
        visible = _stack([grey(v) for v, _ in sources])
        thermal = _stack([t for _, t in sources])
        for name, method in methods.items():
            fused = _stack(
                [
                    grey(method(pair.name, *source))
                    for pair, source in zip(frames, sources, strict=True)
                ]
            )
            values = [
                measure(visible, thermal, fused).item()
                for measure in (flicker_index, change_ratio, excess_flicker, static_change)
            ]
            rows[name].append("{:.3f} / {:.2f} / {:.2f} / {:.2f}".format(*values))
    lines = ["Index / change ratio / excess in grey levels / change of static pixels.", ""]
    if not measured:
        raise DataSetError(f"no clip can be used; first: {skipped[0]}")
    lines += ["| method | " + " | ".join(measured) + " |", "|" + "---|" * (len(measured) + 1)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    return "\n".join(lines) + "\n", skipped


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.steadiness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--data", required=True, help="KIND=FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--modules", nargs="*", default=[], help="Python files that register the layouts"
    )
    options = parser.parse_args(arguments)
    return reported("python -m training.steadiness", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Write and print the table; returns the exit code."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    check_target(options.out)
    import_files(options.modules)
    found = find_named_pairs("--data", options.data)
    methods = all_methods(named_networks(options.weights), baselines())
    table, skipped = flicker_table(methods, clips(found))
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    write_text(options.out, table)
    print(table)
    return COULD_NOT_RUN if skipped else DONE


if __name__ == "__main__":
    sys.exit(main())
