# SPDX-License-Identifier: Apache-2.0
"""Runs and rows for the tests of the benchmarks' page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MACHINE = {"cpu": "Abacus", "cores": 2, "bfloat16": True, "python": "3.11.7"}
MACHINE |= {"versions": {"torch": "2.13.0"}}


def timed(median_ms: float, best_ms: float, *, runs: int = 9, **labels: Any) -> dict[str, Any]:
    return {**labels, "median_ms": median_ms, "best_ms": best_ms, "p90_ms": 99.0, "runs": runs}


def part(**changes: Any) -> dict[str, Any]:
    return {
        "command": [],
        "date": "2026-11-25 12:30 UTC",
        "seconds": 31.4,
        "result": "ok",
        "load_before": 0.1,
        "load_after": 1.9,
        "others_percent": 1.0,
        "begins_run": True,
        "is_timed": True,
        **changes,
    }


def write(folder: Path, **documents: Any) -> None:
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
