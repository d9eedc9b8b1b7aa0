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
from pathlib import Path

import numpy as np
import torch

from fusion_ros.files.writing import write_text
from fusion_ros.metrics.baselines import BASELINES
from fusion_ros.metrics.flicker import change_ratio, excess_flicker, flicker_index, static_change
from fusion_ros.model.weights import WeightsError
from training.data.pairs import DataSetError, PairFiles, find_pairs
from training.data.reading import read_pair
from training.evaluate import baseline_fuser, grey, named_networks


def clips(pairs: list[PairFiles]) -> dict[str, list[PairFiles]]:
    """Return the pairs of each clip in frame order."""
    result: dict[str, list[PairFiles]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda p: p.name):
        result[pair.name.rpartition("/")[0]].append(pair)
    return dict(result)


def _stack(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images).astype(np.float32) / 255)[:, None]


def flicker_table(methods: dict, data: dict[str, list[PairFiles]]) -> str:
    """Return Markdown with a row for each method and a column for each clip."""
    rows: dict[str, list[str]] = {name: [] for name in methods}
    for frames in data.values():
        sources = [read_pair(pair)[0] for pair in frames]
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
    options = parser.parse_args(arguments)
    try:
        kind, equals, root = options.data.partition("=")
        if not equals:
            raise DataSetError(f"--data is {options.data!r}; allowed is KIND=FOLDER")
        data = clips(find_pairs(kind, Path(root)).pairs)
        if any(len(frames) < 2 for frames in data.values()):
            raise DataSetError(f"{root}: a clip needs at least 2 frames")
        methods = named_networks(options.weights)
        methods |= {name: baseline_fuser(method) for name, method in BASELINES.items()}
        table = flicker_table(methods, data)
    except (DataSetError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.out, table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
