# SPDX-License-Identifier: Apache-2.0
"""Fast DDS's files in /dev/shm: removal of those of killed processes, and a check of the space.

Fast DDS creates a segment `fastdds_<16 hex digits>` for each participant and a lock file `..._el`.
The owner keeps the file locked (`flock`) as long as it lives. A lock that is free belongs to a dead
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
NEEDED_BYTES = 192 << 20
"""Size of the shipped profile's segments of two cameras, the node and a subscriber."""
OWN_BYTES = 56 << 20
"""Size of the segments of one process."""
FIX_TOO_SMALL = "docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm"

_LOCK = re.compile(r"(fast(?:dds|rtps)_[0-9a-f]{16})_el")


@dataclasses.dataclass(frozen=True)
class Leftovers:
    """Segments of dead processes.

    Attributes:
        removed: names of the segments that were removed.
        removed_bytes: memory that this freed.
        kept: names of those that belong to another user and could not be removed.
    """

    removed: tuple[str, ...] = ()
    removed_bytes: int = 0
    kept: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = []
        if self.removed:
            parts.append(
                f"removed {len(self.removed)} segments of dead processes "
                f"({self.removed_bytes >> 20} MB)"
            )
        if self.kept:
            parts.append(
                f"{len(self.kept)} segments of dead processes of other users are left; "
                "remove them as that user with `fastdds shm clean`"
            )
        return "; ".join(parts)


def clean(folder: Path = SHARED_MEMORY, *, minimum_age_s: float = 2.0) -> Leftovers:
    """Remove the segments of this user's dead processes.

    Args:
        folder: of the segments.
        minimum_age_s: younger lock files stay, because their owner may be about to lock them.
    """
    removed, kept, freed = [], [], 0
    for lock in sorted(folder.glob("*_el")):
        match = _LOCK.fullmatch(lock.name)
        if not match:
            continue
        segment = folder / match[1]
        with _held(lock, minimum_age_s) as is_dead:
            if not is_dead:
                continue
            size = _allocated_bytes(segment)
            try:
                _remove(segment)
                _remove(lock)
            except OSError:
                kept.append(segment.name)
            else:
                removed.append(segment.name)
                freed += size
    return Leftovers(tuple(removed), freed, tuple(kept))


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


def _allocated_bytes(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.lstat().st_blocks * 512
    return 0


def _remove(path: Path) -> None:
    """Remove a file of this user, if it exists.

    Raises:
        OSError: it belongs to another user, or cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to another user")
        path.unlink()


@contextlib.contextmanager
def _held(lock: Path, minimum_age_s: float) -> Iterator[bool]:
    """Hold a lock file's lock in this block; yield False where its owner is or may be alive."""
    try:
        number = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        opened = os.fstat(number)
        is_dead = time.time() - opened.st_mtime >= minimum_age_s
        if is_dead:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another process may have removed the file, and a third one created it again.
                is_dead = opened.st_ino == lock.lstat().st_ino
            except OSError:
                is_dead = False
        yield is_dead
    finally:
        os.close(number)
