# SPDX-License-Identifier: Apache-2.0
"""Estimated times on Jetson boards from counted operations and bytes, without a measurement."""

from __future__ import annotations

import dataclasses

from benchmarks import tables
from benchmarks.bars import Row

#: Expected share of a board's limits.
SHARE = 0.5
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclasses.dataclass(frozen=True)
class Board:
    """Limits of a module at full power, from NVIDIA's data sheets.

    Attributes:
        name: name of the module.
        gb_s: memory bandwidth.
        tflops: dense float16 products of the tensor cores. The sheets state sparse int8, which is
            four times as much (sparse float4, sixteen times, for Thor).
    """

    name: str
    gb_s: float
    tflops: float


BOARDS = (
    Board("AGX Thor (T5000)", 273.0, 2070 / 8),
    Board("AGX Orin 64 GB", 204.8, 170 / 4),
    Board("Orin NX 16 GB", 102.4, 60 / 4),
    Board("Orin Nano 8 GB", 68.0, 40 / 4),
)


def expected_ms(board: Board, gflop: float, gigabytes: float) -> tuple[float, str]:
    """Return milliseconds on the device at `SHARE` of the nearer limit, and its name."""
    ways = {
        "memory": 1e3 * gigabytes / (SHARE * board.gb_s),
        "arithmetic": gflop / (SHARE * board.tflops),
    }
    limit = max(ways, key=ways.__getitem__)
    return ways[limit], limit


def expected(rows: list[Row]) -> str:
    """Return a row for each board from the rows of `benchmarks.limits`."""
    counted = {row["preset"]: row for row in rows}
    costs = {
        preset: (row["gflop"], row["gigabytes"] / _BYTES[row["precision"]] * 2)
        for preset, row in counted.items()
    }
    lines = []
    for board in BOARDS:
        line = [board.name, f"{board.gb_s:.0f} GB/s", f"{board.tflops:.0f} TFLOP/s"]
        for cost in costs.values():
            took_ms, limit = expected_ms(board, *cost)
            line.append(f"{took_ms:.2f} ms ({limit})")
        lines.append(line)
    sizes = " and ".join(dict.fromkeys(row["size"] for row in rows))
    texts = [
        f"`{preset}` {gflop:.2f} GFLOP and {gigabytes * 1e3:.0f} MB of activations"
        for preset, (gflop, gigabytes) in costs.items()
    ]
    header = ["at full power", "memory", "float16", *(f"`{preset}`" for preset in costs)]
    return (
        f"Counted at {sizes}, float16: {', '.join(texts)}. Expected at {SHARE:.0%} of the nearer "
        f"limit, on the device:\n\n{tables.table(header, lines)}"
    )
