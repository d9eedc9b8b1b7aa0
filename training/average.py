# SPDX-License-Identifier: Apache-2.0
"""``python -m training.average``: the weighted mean of weights files of one lineage.

    python -m training.average --weights 0.6=FILE 0.4=FILE ... --out FILE

Runs that began from the same weights can often be averaged weight by weight, and the mean lies
above either on what each gave up (`training/EXPERIMENTS.md`). The shares must add up to 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fusion_ros.model.weights import LoadedWeights, WeightsError, load_weights, save_weights


class AverageError(ValueError):
    """Files or shares that have no mean; the message names them."""


def read(text: str) -> tuple[float, str]:
    """``SHARE=FILE`` as a number and a path."""
    share, equals, path = text.partition("=")
    try:
        return float(share if equals else ""), path
    except ValueError:
        raise AverageError(f"--weights has {text!r}; allowed is SHARE=FILE, as 0.6=a.st") from None


def mean_of(parts: list[tuple[float, LoadedWeights]]) -> LoadedWeights:
    """The mean network, in the first one's place; all must have the first one's shape."""
    total = sum(share for share, _ in parts)
    if abs(total - 1) > 1e-6:
        raise AverageError(f"the shares add up to {total:g}; they must add up to 1")
    first = parts[0][1]
    for _, other in parts[1:]:
        if other.net.config != first.net.config:
            raise AverageError(f"shapes differ: {first.net.config} and {other.net.config}")
    states = [(share, loaded.net.state_dict()) for share, loaded in parts]
    mean = {name: sum(share * state[name] for share, state in states) for name in states[0][1]}
    first.net.load_state_dict(mean)
    return first


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.average",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", nargs="+", required=True, metavar="SHARE=FILE")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        named = [read(text) for text in options.weights]
        parts = [(share, load_weights(path)) for share, path in named]
        mean = mean_of(parts)
        save_weights(
            options.out,
            mean.net,
            training_data="; ".join(dict.fromkeys(p.metadata.training_data for _, p in parts)),
            metrics={},
            version=" + ".join(f"{share:g} x {p.metadata.version}" for share, p in parts),
        )
    except (AverageError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
