# SPDX-License-Identifier: Apache-2.0
"""The soak's verdict: what grows is told, what only fills its caches is not."""

from __future__ import annotations

import array
import itertools
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="rclpy is not installed")

from benchmarks.field import strip
from benchmarks.field.lossy import Lossy
from benchmarks.soak import Partners, judge, judge_fates, plot


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


def test_good_frames_that_are_rejected_fail_and_so_does_a_node_that_fuses_nothing():
    fates = ("rejected", "late", "duplicate", "fused")
    status = {f"{stream}_{fate}": 0 for stream in ("visible", "thermal") for fate in fates}
    status |= {"visible_fused": 10, "thermal_late": 2, "visible_duplicate": 1}
    assert judge_fates(SimpleNamespace(**status)) == []
    status |= {"visible_fused": 0, "thermal_rejected": 3}
    assert judge_fates(SimpleNamespace(**status)) == [
        "3 thermal frames were rejected",
        "no pair was fused",
    ]


@given(st.integers(0, 2**strip.BITS - 1), st.integers(0, 2**strip.BITS - 1))
def test_both_numbers_are_read_from_the_mean_of_two_pictures(visible, thermal):
    pictures = np.zeros((2, 96, strip.WIDTH), np.uint8)
    strip.write(pictures[0], visible, strip.VISIBLE_ROW, dark=20, bright=235)
    strip.write(pictures[1], thermal, strip.THERMAL_ROW, dark=60, bright=190)
    fused = pictures.mean(axis=0)
    assert strip.read(fused, strip.VISIBLE_ROW) == visible
    assert strip.read(fused, strip.THERMAL_ROW) == thermal


def test_no_number_is_read_from_a_plain_or_small_picture():
    assert strip.read(np.full((96, strip.WIDTH), 100, np.uint8), strip.VISIBLE_ROW) is None
    assert strip.read(np.zeros((20, 64, 3), np.uint8), strip.VISIBLE_ROW) is None


def fused_image(visible: int, thermal: int, stamp_ns: int) -> SimpleNamespace:
    pixels = np.full((96, strip.WIDTH, 3), 128, np.uint8)
    strip.write(pixels, visible, strip.VISIBLE_ROW, dark=20, bright=235)
    row = slice(strip.THERMAL_ROW, strip.HEIGHT)
    own = pixels.copy()
    strip.write(own, thermal, strip.THERMAL_ROW, dark=20, bright=235)
    pixels[row] = own[row]
    stamp = SimpleNamespace(sec=0, nanosec=stamp_ns)
    return SimpleNamespace(
        step=3 * strip.WIDTH,
        width=strip.WIDTH,
        data=array.array("B", pixels.tobytes()),
        header=SimpleNamespace(stamp=stamp),
    )


def test_wrong_partners_wrong_stamps_and_doubles_are_found():
    stamps = [100, 200, 300]
    partners = Partners()
    for number in range(3):
        partners.look(fused_image(number, number, stamps[number]))
    assert partners.judge(stamps) == []
    partners.look(fused_image(1, 2, 200))
    partners.look(fused_image(1, 1, 300))
    assert len(partners.judge(stamps)) == 3  # two moments, another's stamp, twice


def test_a_lossy_link_loses_delays_and_doubles_and_invents_nothing():
    link = Lossy(1)
    arrived = [n for sent in range(5000) for n in link.arrivals(sent)]
    assert link.passed == len(arrived)
    assert set(arrived) <= set(range(5000))
    assert 0.93 < len(set(arrived)) / 5000 < 0.98
    assert len(arrived) > len(set(arrived))
    assert any(later < earlier for earlier, later in itertools.pairwise(arrived))
    assert arrived == [
        n for link in [Lossy(1)] for sent in range(5000) for n in link.arrivals(sent)
    ]


def test_the_plot_is_a_picture_with_a_line_for_each_figure_and_none_for_what_is_not_a_number():
    picture = ElementTree.fromstring(plot(samples(lambda n: 500.0)))
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.get("points").split()) for line in lines] == [60, 59, 60, 60, 60, 60]
