# SPDX-License-Identifier: Apache-2.0
"""Fast DDS's files in /dev/shm: removal of those of killed processes, and a check of the space.

Fast DDS creates a segment `fastdds_<16 hex digits>` for each participant and a lock file `..._el`,
which the owner keeps locked (`flock`) as long as it lives. A lock that is free belongs to a dead
process; `fastdds shm clean` applies the same rule. Fast DDS 2 names its files `fastrtps_...`.
Ports (`fastdds_port<number>`, 62 KB each) stay: Fast DDS replaces a dead one when it opens it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- the kernel's place for shared memory
NEEDED_BYTES = 256 << 20
"""Size of the shipped profile's segments of two cameras, the node and a subscriber."""
OWN_BYTES = 72 << 20
"""Size of the segments of one process."""
FIX_TOO_SMALL = "docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm"

_LOCK = re.compile(r"(fast(?:dds|rtps)_[0-9a-f]{16})_el")


@dataclasses.dataclass(frozen=True)
class Leftovers:
    """Files of dead processes.

    Attributes:
        removed: names of the segments that were removed.
        removed_bytes: memory that this freed.
        kept: names of those that belong to another user and could not be removed.
        kept_bytes: memory that these occupy.
    """

    removed: tuple[str, ...] = ()
    removed_bytes: int = 0
    kept: tuple[str, ...] = ()
    kept_bytes: int = 0

    def __str__(self) -> str:
        parts = []
        if self.removed:
            parts.append(
                f"removed {len(self.removed)} segments of dead processes "
                f"({self.removed_bytes >> 20} MB)"
            )
        if self.kept:
            parts.append(
                f"{len(self.kept)} of dead processes of other users are left "
                f"({self.kept_bytes >> 20} MB); remove them as that user with `fastdds shm clean`"
            )
        return "; ".join(parts)


def clean(folder: Path = SHARED_MEMORY, *, minimum_age_s: float = 2.0) -> Leftovers:
    """Remove the segments of this user's dead processes.

    Args:
        folder: of the segments.
        minimum_age_s: younger lock files stay, because their owner may be about to lock them.
    """
    removed, kept = [], []
    freed = kept_bytes = 0
    for lock, name in _locks(folder):
        if _age_s(lock) < minimum_age_s:
            continue
        size = _allocated(folder / name)
        with _held(lock) as is_dead:
            if not is_dead:
                continue
            if not _are_ours(lock, folder / name) or not _remove_files(folder, name, lock):
                kept.append(name)
                kept_bytes += size
                continue
        removed.append(name)
        freed += size
    return Leftovers(tuple(removed), freed, tuple(kept), kept_bytes)


def shortage(folder: Path = SHARED_MEMORY) -> str:
    """Return a line about shared memory that is too small for camera images, or an empty text.

    Required are `NEEDED_BYTES` in total, and `OWN_BYTES` free for the process that starts.
    """
    if not folder.is_dir():
        return ""
    usage = shutil.disk_usage(folder)
    if usage.total >= NEEDED_BYTES and usage.free >= OWN_BYTES:
        return ""
    return (
        f"{folder} has {usage.free >> 20} of {usage.total >> 20} MB free; cameras, node and a "
        f"subscriber take {NEEDED_BYTES >> 20} MB, and images are lost without it ({FIX_TOO_SMALL})"
    )


def _locks(folder: Path) -> Iterator[tuple[Path, str]]:
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            match = _LOCK.fullmatch(path.name)
            if match:
                yield path, match[1]


def _are_ours(*paths: Path) -> bool:
    """Whether all of these that exist belong to this user."""
    for path in paths:
        try:
            owner = path.stat(follow_symlinks=False).st_uid
        except OSError:
            continue
        if owner != os.geteuid():
            return False
    return True


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0


def _allocated(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0


@contextlib.contextmanager
def _held(lock: Path) -> Iterator[bool]:
    """Hold a lock file's lock in this block; yield False where its owner is alive."""
    try:
        number = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have removed the file, and a third one created it again.
            same = os.fstat(number).st_ino == lock.stat(follow_symlinks=False).st_ino
        except OSError:
            same = False
        yield same
    finally:
        os.close(number)


def _remove_files(folder: Path, name: str, lock: Path) -> bool:
    """Remove the segment or port, then the lock; return False where one cannot be removed."""
    for path in (folder / name, lock):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
