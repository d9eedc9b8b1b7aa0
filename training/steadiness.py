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
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from fusion_ros.files.writing import write_text
from fusion_ros.metrics.baselines import BASELINES
from fusion_ros.metrics.flicker import change_ratio, excess_flicker, flicker_index, static_change
from fusion_ros.model.weights import WeightsError
from training.config import ConfigError
from training.config_file import import_files
from training.data.pairs import DataSetError, PairFiles, find_named_pairs
from training.data.reading import read_pair
from training.evaluate import Fuser, baseline_fuser, grey, named_networks


def clips(pairs: list[PairFiles]) -> dict[str, list[PairFiles]]:
    """Return the pairs of each clip in frame order.

    Raises:
        DataSetError: a clip has one frame, or the pairs are distant frames of a video.
    """
    result: dict[str, list[PairFiles]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda p: p.name):
        if pair.frame is not None:
            raise DataSetError(
                f"{pair.visible} is a video, of which every 15th frame is a pair; allowed are "
                "folders of consecutive frames, such as those of the kinds m3svd and folders"
            )
        result[pair.name.rpartition("/")[0]].append(pair)
    for name, frames in result.items():
        if len(frames) < 2:
            raise DataSetError(f"clip {name or frames[0].visible} has 1 frame; allowed: at least 2")
    return dict(result)


def _stack(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images).astype(np.float32) / 255)[:, None]


def flicker_table(methods: Mapping[str, Fuser], data: dict[str, list[PairFiles]]) -> str:
    """Return Markdown with a row for each method and a column for each clip.

    Raises:
        DataSetError: the frames of a clip differ in size.
    """
    rows: dict[str, list[str]] = {name: [] for name in methods}
    for frames in data.values():
        sources = [read_pair(pair)[0] for pair in frames]
        sizes = {thermal.shape for _, thermal in sources}
        if len(sizes) > 1:
            raise DataSetError(
                f"the frames of {frames[0].visible.parent} have the sizes "
                f"{', '.join(f'{w}x{h}' for h, w in sorted(sizes))}; allowed: one size for a clip"
            )
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
    lines += ["| method | " + " | ".join(data) + " |", "|" + "---|" * (len(data) + 1)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    return "\n".join(lines) + "\n"


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
    try:
        import_files(options.modules)
        data = clips(find_named_pairs("--data", options.data).pairs)
        methods = named_networks(options.weights)
        methods |= {name: baseline_fuser(method) for name, method in BASELINES.items()}
        table = flicker_table(methods, data)
    except (ConfigError, DataSetError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.out, table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
