# SPDX-License-Identifier: Apache-2.0
"""Fast DDS's files in /dev/shm: what killed processes left there, and whether enough is free.

Fast DDS makes a segment `fastdds_<16 hex digits>` for each participant, and a lock file beside it
(`..._el`), which the owner keeps locked (`flock`) until it ends, however it ends. A lock that can
be taken belongs to a dead process; `fastdds shm clean` decides by the same rule. Readers' ports
(`fastdds_port<number>`) have such locks, too. Fast DDS 2 names its files `fastrtps_...`. Nothing
here needs ROS.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
NEEDED_BYTES = 256 << 20
"""What the shipped profile's segments of two cameras, the node and a subscriber take."""
OWN_BYTES = 72 << 20
"""What those of one process take."""
FIX_TOO_SMALL = "docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm"

_LOCK = re.compile(r"(fast(?:dds|rtps)_(?:[0-9a-f]{16}|port\d{1,5}))_[es]l")


@dataclasses.dataclass(frozen=True)
class Leftovers:
    """What dead processes left.

    Attributes:
        removed: names of segments and ports that were removed.
        removed_bytes: memory that this gave back.
        kept: names of those that may not be removed here: they belong to another user.
        kept_bytes: memory that those take.
    """

    removed: tuple[str, ...] = ()
    removed_bytes: int = 0
    kept: tuple[str, ...] = ()
    kept_bytes: int = 0

    def __str__(self) -> str:
        parts = []
        if self.removed:
            parts.append(
                f"removed {len(self.removed)} segments and ports of dead processes "
                f"({self.removed_bytes >> 20} MB)"
            )
        if self.kept:
            parts.append(
                f"{len(self.kept)} of dead processes of other users are left "
                f"({self.kept_bytes >> 20} MB); remove them as that user with `fastdds shm clean`"
            )
        return "; ".join(parts)


def clean(folder: Path = SHARED_MEMORY) -> Leftovers:
    """Remove the files of dead processes of this user; those of live ones are not touched.

    A lock is held while the files go, so that no process can begin to use them meanwhile.
    """
    removed, kept = [], []
    freed = kept_bytes = 0
    for lock, name in _locks(folder):
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
    """Return a line about shared memory that is too small for camera images, or nothing.

    The whole must hold what cameras, node and a subscriber take; what is free now, the segments of
    the process that starts.
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


def _allocated(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0


@contextlib.contextmanager
def _held(lock: Path) -> Iterator[bool]:
    """Hold a lock file's lock in this block; gives False where its owner lives."""
    try:
        number = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have removed the file, and a third made it anew.
            same = os.fstat(number).st_ino == lock.stat(follow_symlinks=False).st_ino
        except OSError:
            same = False
        yield same
    finally:
        os.close(number)


def _remove_files(folder: Path, name: str, lock: Path) -> bool:
    """Remove the segment or port, and last the lock; False where one may not be removed here."""
    for path in (folder / name, lock):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
