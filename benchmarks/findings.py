# SPDX-License-Identifier: Apache-2.0
"""Sentences that a run's figures speak: what is faster than what, and by how much.

Engines are compared by their best times: what else a machine does can only make a call longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.bars import COMPACT, GUIDED_FILTER, PYRAMID, fastest_of_ours

Row = dict[str, Any]

ONNX_RUNTIME = "(onnxruntime cpu float32)"

#: Best times in ms by size (or by number of pairs).
Times = dict[Any, float]


def of_engines(rows: list[Row]) -> str:
    """bfloat16 for float32, OpenVINO for PyTorch, and whether ONNX Runtime beats both."""
    times: dict[str, Times] = {}
    for row in rows:
        if "best_ms" in row:
            times.setdefault(row["engine"], {})[row["size"]] = row["best_ms"]
    said = []
    for engine in dict.fromkeys(name.rpartition(" ")[0] for name in times):
        for lower in ("bfloat16", "float16"):
            slow, fast = (times.get(f"{engine} {p}", {}) for p in ("float32", lower))
            if gain := _times_faster(slow, fast):
                said.append(f"`{engine}` is {gain} as fast in {lower} as in float32")
    for precision in ("float32", "bfloat16"):
        slow, fast = (times.get(f"{e} cpu {precision}", {}) for e in ("torch", "openvino"))
        if gain := _times_faster(slow, fast):
            said.append(f"in {precision} OpenVINO is {gain} as fast as PyTorch on the CPU")
    if onnx := times.pop(ONNX_RUNTIME, {}):
        alike = {name: at for name, at in times.items() if name.endswith(" float32")}
        said.append(
            f"ONNX Runtime (float32) beats our engines in float32 {_wins(onnx, alike)}, "
            f"in any precision {_wins(onnx, times)}"
        )
    return _sentences(said)


def of_batches(rows: list[Row]) -> str:
    """What one call for all pairs takes of the time that one call a pair takes."""
    said = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        one, each = (
            {
                row["pairs"]: row["best_ms"]
                for row in rows
                if (row["engine"], row["how"]) == (engine, how) and row["pairs"] > 1
            }
            for how in ("one call", "one by one")
        )
        shares = ", ".join(f"{one[n] / each[n]:.2f} with {n} pairs" for n in one)
        said.append(f"on `{engine}` one call takes {shares} of the time one by one")
    return _sentences(said)


def of_rivals(rows: list[Row]) -> str:
    """`compact` beside the classical methods, and how much it computes."""
    named = {row["name"]: row for row in rows if "name" in row}
    ours = fastest_of_ours(rows, COMPACT)
    said = []
    for name, words in ((PYRAMID, "the Laplacian pyramid"), (GUIDED_FILTER, "the guided filter")):
        times = named[name]["median_ms"] / ours["median_ms"]
        how = f"{times:.1f} times faster" if times >= 1 else f"{1 / times:.1f} times slower"
        said.append(f"`compact` is {how} than {words} in colour")
    width, height = (int(n) for n in ours["size"].split("x"))
    said.append(f"it computes {ours['gflop'] * 1e9 / width / height:.0f} operations a pixel")
    return _sentences(said)


def _wins(one: Times, others: dict[str, Times]) -> str:
    """Where it is faster than each of the others that were timed there."""
    found = [at for at in one if all(one[at] < t[at] for t in others.values() if at in t)]
    return f"at {', '.join(found)}" if found else f"at none of {len(one)} sizes"


def _times_faster(slow: Times, fast: Times) -> str:
    """ "1.2 to 2.9 times", over what both were timed at; "" where that is nothing."""
    gains = sorted(slow[at] / fast[at] for at in fast if at in slow)
    if not gains:
        return ""
    low, high = f"{gains[0]:.1f}", f"{gains[-1]:.1f}"
    return f"{low} times" if low == high else f"{low} to {high} times"


def _sentences(parts: Iterable[str]) -> str:
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)
