# SPDX-License-Identifier: Apache-2.0
"""A bag that is being written can be read as far as it was written a moment ago."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_faults import shots

from fusion_ros.recordings.bags import writer as bag_writing
from fusion_ros.recordings.opening import open_recording


def frames_on_disk(bag: Path) -> int:
    recording = open_recording(bag)
    try:
        return len(list(recording.frames()))
    finally:
        recording.close()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compression", ["none", "message"])
def test_a_bag_that_is_never_closed_holds_its_messages(
    storage: str, compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_writing, "COMMIT_EVERY_S", 0.0)
    bag = tmp_path / "bag"
    with bag_writing.BagWriter(bag, storage=storage, compression=compression) as writer:
        for number, shot in enumerate(shots(3), 1):
            writer.image(shot.topic, shot.frame, stamp_ns=shot.stamp_ns)
            if number > 1:  # a recording has two cameras
                assert frames_on_disk(bag) == number
    assert frames_on_disk(bag) == 6
