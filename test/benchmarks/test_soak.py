# SPDX-License-Identifier: Apache-2.0
"""The soak's verdict: what grows is told, what only fills its caches is not."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from benchmarks.soak import judge, judge_fates, plot


def samples(memory_mb, threads=lambda n: 20, count=60):
    return [
        {
            "seconds": 2.0 * n,
            "rss_mb": memory_mb(n),
            "threads": threads(n),
            "open_files": 30,
            "latency_ms_p50": float("nan") if n == 0 else 10.0,
            "latency_ms_p95": 15.0,
            "visible_received": 60 * n,
            "visible_fused": 60 * n,
            "visible_superseded": 0,
        }
        for n in range(count)
    ]


def test_a_node_that_fills_its_caches_and_stays_there_passes():
    assert judge(samples(lambda n: 500.0 + min(n, 15) + n % 3)) == []


def test_a_leak_of_half_a_megabyte_a_sample_fails():
    (failure,) = judge(samples(lambda n: 500.0 + 0.6 * n))
    assert failure.startswith("rss_mb grew by 12.0")


def test_one_thread_more_fails():
    (failure,) = judge(samples(lambda n: 500.0, threads=lambda n: 20 + n // 40))
    assert failure.startswith("threads grew by 1.0")


def test_a_run_too_short_to_tell_is_no_pass():
    assert judge(samples(lambda n: 500.0, count=8)) == ["only 8 samples; run for longer"]


def test_good_frames_that_are_refused_fail_and_so_does_a_node_that_fuses_nothing():
    fates = ("rejected", "late", "duplicate", "fused")
    status = {f"{stream}_{fate}": 0 for stream in ("visible", "thermal") for fate in fates}
    status["visible_fused"] = 10
    assert judge_fates(SimpleNamespace(**status)) == []
    status |= {"visible_fused": 0, "thermal_rejected": 3}
    assert judge_fates(SimpleNamespace(**status)) == [
        "3 thermal frames ended as rejected",
        "no pair was fused",
    ]


def test_the_plot_is_a_picture_with_a_line_for_each_figure_and_none_for_what_is_not_a_number():
    picture = ElementTree.fromstring(plot(samples(lambda n: 500.0)))
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.get("points").split()) for line in lines] == [60, 59, 60, 60, 60, 60]
