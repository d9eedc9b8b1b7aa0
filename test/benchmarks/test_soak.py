# SPDX-License-Identifier: Apache-2.0
"""The soak's checks of resources, and the counts of the field's statuses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from benchmarks.field.cameras import drawn
from benchmarks.field.listening import FATES, counts
from benchmarks.soak import judge


def samples(memory_mb, threads=lambda n: 20, count=60):
    return [{"rss_mb": memory_mb(n), "threads": threads(n), "open_files": 30} for n in range(count)]


def test_a_filled_cache_is_not_growth():
    assert judge(samples(lambda n: 500.0 + min(n, 15) + n % 3)) == []


def test_a_leak_of_half_a_megabyte_per_sample_fails():
    (failure,) = judge(samples(lambda n: 500.0 + 0.6 * n))
    assert failure.startswith("rss_mb grew by 12.0")


def test_an_additional_thread_fails():
    (failure,) = judge(samples(lambda n: 500.0, threads=lambda n: 20 + n // 40))
    assert failure.startswith("threads grew by 1.0")


def test_threads_that_reloads_use_for_a_while_are_not_growth():
    assert judge(samples(lambda n: 500.0, threads=lambda n: 20 + 6 * (n > 40 and n % 4 > 0))) == []


def test_a_run_with_too_few_samples_fails():
    assert judge(samples(lambda n: 500.0, count=8)) == ["only 8 samples; run for longer"]


def test_frames_without_a_fate_are_counted():
    status = SimpleNamespace(visible_received=12, **{f"visible_{fate}": 1 for fate in FATES})
    assert counts(status, "visible")["without a fate"] == 12 - len(FATES)


def test_each_frame_has_its_own_header():
    frames = [message for pair in drawn(64, 640) for message in pair]
    assert len({id(message.header) for message in frames}) == len(frames)
