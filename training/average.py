# SPDX-License-Identifier: Apache-2.0
"""``python -m training.average``: average weights files with a common origin.

    python -m training.average --weights 0.6=FILE 0.4=FILE ... --out FILE

Runs that started from the same weights can often be averaged weight by weight. The mean can exceed
each run on the measures that the run lost (`training/EXPERIMENTS.md`). The shares must add up to 1.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from fusion_ros.cli.exit_codes import DONE, reported
from fusion_ros.model.weights import LoadedWeights, load_weights, save_weights
from training.config_file import import_files


class AverageError(ValueError):
    """Files or shares without a mean; the message names them."""


def read(text: str) -> tuple[float, str]:
    """Parse ``SHARE=FILE`` to a number and a path."""
    share, equals, path = text.partition("=")
    try:
        number = float(share if equals else "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise AverageError(
            f"--weights has {text!r}; allowed is SHARE=FILE, such as 0.6=A.safetensors"
        )
    return number, path


def mean_of(parts: list[tuple[float, LoadedWeights]]) -> LoadedWeights:
    """Replace the first network by the mean, and return it.

    Raises:
        AverageError: the shares do not add up to 1, or the networks differ in shape.
    """
    total = sum(share for share, _ in parts)
    if not abs(total - 1) <= 1e-6:
        raise AverageError(f"the shares add up to {total:g}; allowed: 1")
    first = parts[0][1]
    for _, other in parts[1:]:
        if other.net.config != first.net.config:
            raise AverageError(f"shapes differ: {first.net.config} and {other.net.config}")
    states = [(share, loaded.net.state_dict()) for share, loaded in parts]
    mean = {name: sum(share * state[name] for share, state in states) for name in states[0][1]}
    first.net.load_state_dict(mean)
    return first


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.average",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", nargs="+", required=True, metavar="SHARE=FILE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--modules", nargs="*", default=[], help="Python files that register the layouts"
    )
    options = parser.parse_args(arguments)
    return reported("python -m training.average", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Write the mean; returns the exit code."""
    import_files(options.modules)
    named = [read(text) for text in options.weights]
    parts = [(share, load_weights(path)) for share, path in named]
    mean = mean_of(parts)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_weights(
        options.out,
        mean.net,
        training_data="; ".join(dict.fromkeys(p.metadata.training_data for _, p in parts)),
        metrics={},
        version=" + ".join(f"{share:g} x {p.metadata.version}" for share, p in parts),
    )
    return DONE


if __name__ == "__main__":
    sys.exit(main())
