# SPDX-License-Identifier: Apache-2.0
"""The soak's checks of resources, counts and partners."""

from __future__ import annotations

import array
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="rclpy is not installed")

from benchmarks.field.cameras import drawn
from benchmarks.field.listening import FATES, counts
from soak import strip
from soak.__main__ import Partners, judge
from soak.cameras import number_pair
from soak.lossy import Lossy


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


@given(st.integers(0, 2**strip.BITS - 1), st.integers(0, 2**strip.BITS - 1))
def test_both_numbers_are_read_from_the_mean_of_two_images(visible, thermal):
    pictures = np.zeros((2, 96, strip.WIDTH), np.uint8)
    strip.write(pictures[0], visible, strip.VISIBLE_ROW, dark=20, bright=235)
    strip.write(pictures[1], thermal, strip.THERMAL_ROW, dark=60, bright=190)
    fused = pictures.mean(axis=0)
    assert strip.read(fused, strip.VISIBLE_ROW) == visible
    assert strip.read(fused, strip.THERMAL_ROW) == thermal


def test_no_number_is_read_from_a_uniform_or_small_image():
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


def test_wrong_partners_wrong_stamps_and_duplicates_are_found():
    stamps = [100, 200, 300]
    partners = Partners()
    for number in range(3):
        partners.look(fused_image(number, number, stamps[number]))
    assert partners.judge(stamps) == []
    partners.look(fused_image(1, 2, 200))
    partners.look(fused_image(1, 1, 300))
    assert len(partners.judge(stamps)) == 3  # two pairs, another stamp, duplicate


def test_a_lossy_link_loses_delays_and_duplicates_frames():
    link = Lossy(1)
    arrived = [n for sent in range(5000) for n in link.arrivals(sent)]
    assert set(arrived) <= set(range(5000))
    assert 0.93 < len(set(arrived)) / 5000 < 0.98
    assert len(arrived) > len(set(arrived))
    assert any(later < earlier for earlier, later in itertools.pairwise(arrived))
    assert arrived == [
        n for link in [Lossy(1)] for sent in range(5000) for n in link.arrivals(sent)
    ]


def test_both_cameras_draw_the_number_into_their_own_messages():
    visible, thermal = drawn(96, strip.WIDTH)[0]
    number_pair(visible, thermal, 77)
    shown = np.frombuffer(visible.data, np.uint8).reshape(96, strip.WIDTH, 3)
    counts = np.frombuffer(thermal.data, np.uint16).reshape(96, strip.WIDTH)
    assert strip.read(shown, strip.VISIBLE_ROW) == strip.read(counts, strip.THERMAL_ROW) == 77
