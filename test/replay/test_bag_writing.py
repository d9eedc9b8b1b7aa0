# SPDX-License-Identifier: Apache-2.0
"""A bag that is being written can be read as far as it was written a moment ago."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from planted_faults import shots

from fusion_ros.recordings.bags import writer as bag_writing


def messages_on_disk(bag: Path) -> int:
    (file,) = bag.glob("*.db3")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        return int(database.execute("SELECT count(*) FROM messages").fetchone()[0])


@pytest.mark.parametrize("compression", ["none", "message"])
def test_an_sqlite3_bag_that_is_never_closed_holds_its_messages(
    compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_writing, "COMMIT_EVERY_S", 0.0)
    bag = tmp_path / "bag"
    with bag_writing.BagWriter(bag, storage="sqlite3", compression=compression) as writer:
        for number, shot in enumerate(shots(3), 1):
            writer.image(shot.topic, shot.frame, stamp_ns=shot.stamp_ns)
            assert messages_on_disk(bag) == number
    assert messages_on_disk(bag) == 6
