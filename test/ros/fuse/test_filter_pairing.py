# SPDX-License-Identifier: Apache-2.0
"""Pairing through real message_filters: same interface, same accounting; and how ours compares."""

from __future__ import annotations

import importlib.util
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.nodes.fuse.filter_pairing import FilterPairer
from fusion_ros.streams.ledger import FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer

pytestmark = pytest.mark.ros
HAS_FILTERS = importlib.util.find_spec("message_filters") is not None
needs_filters = pytest.mark.skipif(not HAS_FILTERS, reason="message_filters is not installed")
MS = 1_000_000


def make(policy: str, ledger: FrameLedger, tolerance_ms: float = 20) -> FilterPairer:
    return FilterPairer(policy=policy, tolerance_ns=round(tolerance_ms * MS), ledger=ledger)


def feed(pairer, frames):
    pairs = []
    for stream, stamp_ns in frames:
        pairs += pairer.add(stream, stamp_ns, stamp_ns)
    return pairs


def cameras(*, seconds=20, jitter_ms=3.0, offset_ms=0.0, loss=0.0, seed=0):
    """Both at 30 Hz, in order of their stamps."""
    rng = random.Random(seed)
    frames = []
    for n in range(seconds * 30):
        for stream, shift_ms in ((Stream.VISIBLE, 0.0), (Stream.THERMAL, offset_ms)):
            if rng.random() >= loss:
                stamp_ms = 1000 + n * 1000 / 30 + shift_ms + rng.gauss(0, jitter_ms)
                frames.append((stream, round(stamp_ms * MS)))
    return sorted(frames, key=lambda frame: frame[1])


@pytest.mark.skipif(HAS_FILTERS, reason="message_filters is installed")
def test_without_message_filters_the_error_has_the_remedy():
    with pytest.raises(ModuleNotFoundError, match="message-filters"):
        make("approximate", FrameLedger())


@needs_filters
def test_exact_pairs_only_equal_stamps():
    ledger = FrameLedger()
    pairs = feed(
        make("exact", ledger),
        [(Stream.VISIBLE, 1), (Stream.THERMAL, 2), (Stream.VISIBLE, 3), (Stream.THERMAL, 3)],
    )
    assert [(pair.visible, pair.thermal) for pair in pairs] == [(3, 3)]


@needs_filters
def test_the_tolerance_is_inclusive():
    pairs = feed(
        make("approximate", FrameLedger(), tolerance_ms=5),
        [(Stream.VISIBLE, 100 * MS), (Stream.THERMAL, 105 * MS)],
    )
    assert len(pairs) == 1
    assert pairs[0].skew_ns == 5 * MS


@needs_filters
@pytest.mark.parametrize("policy", ["exact", "approximate"])
@given(
    st.lists(
        st.tuples(st.sampled_from(list(Stream)), st.integers(0, 3000).map(lambda ms: ms * MS)),
        max_size=100,
    )
)
def test_every_frame_has_one_fate(policy, frames):
    ledger = FrameLedger()
    pairer = make(policy, ledger)
    pairs = feed(pairer, frames)
    pairer.flush()
    counts = ledger.snapshot()
    for stream in Stream:
        of_stream = getattr(counts, stream.value)
        assert of_stream.received == sum(1 for s, _ in frames if s is stream)
        assert of_stream.pending == len(pairs)  # paired frames are the caller's to settle


@needs_filters
def test_a_looped_bag_pairs_again():
    frames = cameras(seconds=3)
    once = len(feed(make("approximate", FrameLedger()), frames))
    twice = len(feed(make("approximate", FrameLedger()), frames + frames))
    assert twice >= 2 * once - 2


@needs_filters
@pytest.mark.parametrize(
    "schedule",
    [
        {"jitter_ms": 0.5},
        {"jitter_ms": 4.0},
        {"jitter_ms": 2.0, "offset_ms": 10.0},
        {"jitter_ms": 3.0, "loss": 0.1},
    ],
    ids=str,
)
def test_nearest_pairs_as_many_frames_with_no_more_skew(schedule):
    frames = cameras(**schedule)
    theirs = feed(make("approximate", FrameLedger()), frames)
    pairer: FramePairer = FramePairer(tolerance_ns=20 * MS, ledger=FrameLedger())
    ours = feed(pairer, frames) + pairer.flush()

    def mean_skew_ms(pairs):
        return sum(abs(pair.skew_ns) for pair in pairs) / len(pairs) / MS

    assert len(ours) >= 0.99 * len(theirs)
    assert mean_skew_ms(ours) <= mean_skew_ms(theirs) + 0.01
