# SPDX-License-Identifier: Apache-2.0
"""Interpretation of figures: bars that are met or missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_figures import MACHINE, part, timed, write

from benchmarks.summary import sections
from benchmarks.tables import rivals


def rivals_rows(ours_ms: float) -> list[dict[str, Any]]:
    size = {"size": "100x10"}
    return [
        timed(800.0, 750.0, name="slow", weights_m=15.77, gflop=101.1, **size),
        timed(2.5, 2.2, name="Laplacian pyramid, colour", weights_m=None, gflop=None, **size),
        timed(12.0, 9.0, name="guided filter, colour", weights_m=None, gflop=None, **size),
        timed(ours_ms, 3.0, name="compact, ours, bfloat16", weights_m=0.3, gflop=2e-3, **size),
        timed(99.0, 98.0, name="compact, ours, float32", weights_m=0.3, gflop=2e-3, **size),
        {"paper_in": "bfloat16", "times_alone": 6.04, "times_taking_turns": 5.9, "max_error": 3.0},
    ]


def test_methods_are_sorted_by_time() -> None:
    lines = rivals(rivals_rows(5.0)).split("\n")
    assert lines[2] == "| Laplacian pyramid, colour | 2.50 (2.20) |  |  |"
    assert lines[-1] == "| slow | 800 (750) | 15.77 | 101.10 |"


class TestBars:
    @staticmethod
    def of(folder: Path, **documents: Any) -> list[str]:
        run = {"machine": MACHINE, "parts": {name: part() for name in documents}}
        write(folder, run=run, **documents)
        return sections(folder)["bars"].split("\n")[2:]

    @pytest.mark.parametrize(("ours_ms", "verdict"), [(2.4, "met"), (2.6, "**missed**")])
    def test_compact_is_compared_with_the_pyramid(
        self, ours_ms: float, verdict: str, tmp_path: Path
    ) -> None:
        line = self.of(tmp_path, rivals={"rows": rivals_rows(ours_ms)})[0]
        assert line.endswith(f"| {ours_ms:.1f} ms, the pyramid 2.5 ms | {verdict} |")

    def test_each_bar_of_paper_is_judged_by_itself(self, tmp_path: Path) -> None:
        lines = self.of(tmp_path, rivals={"rows": rivals_rows(2.4)})
        assert [line.split(" | ")[1:] for line in lines[1:]] == [
            ["6.0 times", "met |"],
            ["5.9 times", "**missed** |"],
            ["3", "**missed** |"],
        ]

    def test_bars_of_the_whole_path_apply_to_8_bits_without_warping(self, tmp_path: Path) -> None:
        labels = {"preset": "compact", "engine": "openvino", "precision": "bfloat16"}
        labels |= {"size": "640x480", "registration": "resize"}
        share = {"stage": "outside the network, memory", "outside_bar_percent": 15.0}
        share |= {"outside_ms": 1.0, "page_faults": 0.0, "heap_bytes": 2048}
        rows = [
            row
            for thermal, percent in (("uint8", 14.9), ("uint16", 25.0))
            for row in (
                timed(30.0, 29.0, stage="infer", thermal=thermal, **labels),
                timed(33.4, 29.0, stage="whole", thermal=thermal, **labels),
                {**share, "thermal": thermal, "outside_percent": percent, **labels},
            )
        ]
        slow, share_line = self.of(tmp_path, whole_path={"rows": rows})
        assert "at most 33 ms | 33.4 ms, 30 images a second | **missed** |" in slow
        assert "at most 15 % of it outside the network | 14.9 % | met |" in share_line

    def test_bars_of_the_node_come_from_its_own_benchmark(self, tmp_path: Path) -> None:
        run = {"options": {"rate": 30.0, "overload": False, "size": "8x8", "seconds": 1}}
        run |= {"stages_ms": {"end to end without engine": {"p50": 4.4, "p95": 6.0}}}
        run |= {"engine": "torch", "counts": {}, "failures": ["p50 is 4.40 ms, the bar 4.0 ms"]}
        (line,) = self.of(tmp_path, node_latency=run)
        assert line.endswith(
            "| without the engine p50 4.4 ms; p50 is 4.40 ms, the bar 4.0 ms | **missed** |"
        )
