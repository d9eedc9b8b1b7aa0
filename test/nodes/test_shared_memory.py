# SPDX-License-Identifier: Apache-2.0
"""Shared memory of dead processes is removed, that of live ones never."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_ros.nodes.runtime import shared_memory

PATIENCE_S = 20.0
SEGMENT = "fastdds_0123456789abcdef"
# As Fast DDS has it: the lock first, then the memory; killed, both stay.
OWNER = """
import fcntl, os, sys
lock = os.open(sys.argv[1] + sys.argv[2], os.O_CREAT | os.O_RDONLY, 0o644)
fcntl.flock(lock, fcntl.LOCK_SH if sys.argv[2] == "_sl" else fcntl.LOCK_EX)
with open(sys.argv[1], "wb") as file:
    file.write(bytes(1 << 20))
print("ready", flush=True)
sys.stdin.read()
"""


class Owner:
    """A process that owns a segment."""

    def __init__(self, path: Path, suffix: str = "_el") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(path), suffix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def owners() -> Iterator[list[Owner]]:
    started: list[Owner] = []
    yield started
    for owner in started:
        owner.kill()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        (SEGMENT, "_el"),
        ("fastrtps_0123456789abcdef", "_el"),  # Fast DDS 2
    ],
)
def test_segments_of_a_killed_process_are_removed(
    name: str, suffix: str, tmp_path: Path, owners: list[Owner]
) -> None:
    owners.append(Owner(tmp_path / name, suffix))
    assert shared_memory.clean(tmp_path, minimum_age_s=0) == shared_memory.Leftovers()
    assert (tmp_path / name).exists()

    owners[0].kill()
    left = shared_memory.clean(tmp_path, minimum_age_s=0)

    assert left.removed == (name,)
    assert left.removed_bytes >= 1 << 20
    assert list(tmp_path.iterdir()) == []
    assert shared_memory.clean(tmp_path, minimum_age_s=0) == shared_memory.Leftovers()


def test_segment_of_a_live_process_stays(tmp_path: Path, owners: list[Owner]) -> None:
    names = [f"fastdds_{n:016x}" for n in range(4)]
    owners += [Owner(tmp_path / name) for name in names]
    for owner in owners[1:]:
        owner.kill()

    assert shared_memory.clean(tmp_path, minimum_age_s=0).removed == tuple(names[1:])
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[0], f"{names[0]}_el"]


def test_young_lock_stays(tmp_path: Path, owners: list[Owner]) -> None:
    owners.append(Owner(tmp_path / SEGMENT))
    owners[0].kill()
    assert shared_memory.clean(tmp_path, minimum_age_s=3600) == shared_memory.Leftovers()
    assert shared_memory.clean(tmp_path, minimum_age_s=0).removed == (SEGMENT,)


@pytest.mark.parametrize(
    "name",
    [
        SEGMENT,
        "fastdds_port7410",
        "fastdds_port7410_el",
        f"my_{SEGMENT}_el",
        f"{SEGMENT}_el.bak",
        "sem.x_el",
        "psm_1_el",
    ],
)
def test_other_files_are_not_touched(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"theirs")
    assert shared_memory.clean(tmp_path, minimum_age_s=0) == shared_memory.Leftovers()
    assert (tmp_path / name).read_bytes() == b"theirs"


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"theirs")
    folder = tmp_path / "shm"
    folder.mkdir()
    (folder / f"{SEGMENT}_el").symlink_to(precious)
    (folder / SEGMENT).symlink_to(precious)

    assert shared_memory.clean(folder, minimum_age_s=0) == shared_memory.Leftovers()
    assert precious.read_bytes() == b"theirs"


def test_files_of_another_user_are_reported_and_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owners: list[Owner]
) -> None:
    owners.append(Owner(tmp_path / SEGMENT))
    owners[0].kill()
    mine = shared_memory.os.geteuid()
    monkeypatch.setattr(shared_memory.os, "geteuid", lambda: mine + 1)

    left = shared_memory.clean(tmp_path, minimum_age_s=0)

    assert (left.removed, left.kept) == ((), (SEGMENT,))
    assert (tmp_path / SEGMENT).exists()


@pytest.mark.parametrize(
    ("total_mb", "free_mb", "is_short"),
    [(64, 64, True), (1024, 1024, False), (1024, 50, True), (191, 191, True), (192, 60, False)],
)
def test_folder_that_is_too_small_is_reported(
    total_mb: int, free_mb: int, is_short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shared_memory.shutil._ntuple_diskusage(total_mb << 20, 0, free_mb << 20)
    monkeypatch.setattr(shared_memory.shutil, "disk_usage", lambda folder: usage)
    assert bool(shared_memory.shortage(tmp_path)) == is_short


def test_missing_folder_is_not_reported(tmp_path: Path) -> None:
    assert shared_memory.shortage(tmp_path / "none") == ""
    assert shared_memory.clean(tmp_path / "none") == shared_memory.Leftovers()
