# SPDX-License-Identifier: Apache-2.0
"""The ledger: received frames are settled or pending, at every instant."""

from __future__ import annotations

import json
import threading

import pytest

from fusion_ros.streams.ledger import AccountingError, Fate, FrameLedger, Stream


@pytest.mark.parametrize("fate", [fate for fate in Fate if fate is not Fate.REJECTED])
def test_a_settled_frame_is_counted_under_its_fate_and_no_other(fate: Fate) -> None:
    ledger = FrameLedger()
    ledger.receive(Stream.THERMAL)
    ledger.receive(Stream.THERMAL)
    ledger.settle(Stream.THERMAL, fate)
    counts = ledger.snapshot().thermal
    assert {other: getattr(counts, other.value) for other in Fate} == {
        other: int(other is fate) for other in Fate
    }
    assert (counts.received, counts.settled, counts.pending) == (2, 1, 1)
    assert ledger.snapshot().visible.received == 0


def test_rejections_are_broken_down_by_reason() -> None:
    ledger = FrameLedger()
    for reason in ("truncated", "truncated", "engine_error"):
        ledger.receive(Stream.VISIBLE)
        ledger.settle(Stream.VISIBLE, Fate.REJECTED, reason)
    counts = ledger.snapshot().visible
    assert counts.rejected == 3
    assert counts.rejected_by_reason == {"truncated": 2, "engine_error": 1}


def test_a_pair_settles_one_frame_of_each_stream() -> None:
    ledger = FrameLedger()
    for stream in Stream:
        ledger.receive(stream)
    ledger.settle_pair(Fate.REJECTED, "engine_error")
    snapshot = ledger.snapshot()
    assert snapshot.visible == snapshot.thermal
    assert snapshot.visible.rejected_by_reason == {"engine_error": 1}


def test_a_pair_with_a_held_thermal_frame_settles_its_visible_frame_only() -> None:
    ledger = FrameLedger()
    for _ in range(3):
        ledger.receive(Stream.VISIBLE)
    ledger.settle_pair(Fate.FUSED, is_held=True)
    ledger.settle_pair(Fate.SUPERSEDED, is_held=True)
    ledger.settle_pair(Fate.REJECTED, "engine_error", is_held=True)
    visible = ledger.snapshot().visible
    assert (visible.held, visible.fused, visible.superseded, visible.rejected) == (1, 0, 1, 1)
    assert ledger.snapshot().thermal.settled == 0


def test_a_frame_cannot_be_settled_twice() -> None:
    ledger = FrameLedger()
    ledger.receive(Stream.VISIBLE)
    ledger.settle(Stream.VISIBLE, Fate.LATE)
    with pytest.raises(AccountingError, match=r"visible.*'fused'.*1 received"):
        ledger.settle(Stream.VISIBLE, Fate.FUSED)
    assert ledger.snapshot().visible.settled == 1


def test_half_a_pair_is_never_settled() -> None:
    ledger = FrameLedger()
    ledger.receive(Stream.VISIBLE)
    with pytest.raises(AccountingError, match="thermal"):
        ledger.settle_pair(Fate.FUSED)
    assert ledger.snapshot().visible.pending == 1


@pytest.mark.parametrize(("fate", "reason"), [(Fate.REJECTED, ""), (Fate.FUSED, "truncated")])
def test_a_reason_belongs_to_rejected_only(fate: Fate, reason: str) -> None:
    ledger = FrameLedger()
    ledger.receive(Stream.VISIBLE)
    with pytest.raises(AccountingError, match="reason"):
        ledger.settle(Stream.VISIBLE, fate, reason)


def test_a_snapshot_does_not_change_afterwards() -> None:
    ledger = FrameLedger()
    ledger.receive(Stream.VISIBLE)
    ledger.settle(Stream.VISIBLE, Fate.REJECTED, "truncated")
    before = ledger.snapshot()
    ledger.receive(Stream.VISIBLE)
    ledger.settle(Stream.VISIBLE, Fate.REJECTED, "truncated")
    assert before.visible.received == 1
    assert before.visible.rejected_by_reason == {"truncated": 1}


def test_the_json_form_adds_up() -> None:
    ledger = FrameLedger()
    for fate in (Fate.FUSED, Fate.LATE):
        ledger.receive(Stream.VISIBLE)
        ledger.settle(Stream.VISIBLE, fate)
    ledger.receive(Stream.VISIBLE)
    plain = json.loads(json.dumps(ledger.snapshot().as_dict()))["visible"]
    assert plain == {
        "received": 3,
        "fused": 1,
        "held": 0,
        "superseded": 0,
        "unpaired": 0,
        "late": 1,
        "duplicate": 0,
        "rejected": 0,
        "pending": 1,
        "rejected_by_reason": {},
    }


def test_snapshots_taken_during_counting_add_up() -> None:
    ledger = FrameLedger()
    frames_per_thread = 2000
    done = threading.Event()
    torn: list[object] = []

    def book_pairs() -> None:
        for _ in range(frames_per_thread):
            ledger.receive(Stream.VISIBLE)
            ledger.receive(Stream.THERMAL)
            ledger.settle_pair(Fate.FUSED)

    def watch() -> None:
        while not done.is_set():
            snapshot = ledger.snapshot()
            counts = (snapshot.visible, snapshot.thermal)
            if any(c.pending < 0 for c in counts) or counts[0].fused != counts[1].fused:
                torn.append(snapshot)

    watcher = threading.Thread(target=watch)
    bookers = [threading.Thread(target=book_pairs) for _ in range(3)]
    watcher.start()
    for thread in bookers:
        thread.start()
    for thread in bookers:
        thread.join()
    done.set()
    watcher.join()
    assert not torn
    assert ledger.snapshot().thermal.fused == 3 * frames_per_thread
