# SPDX-License-Identifier: Apache-2.0
"""Result folders: the files of a run are prepared beside the earlier ones and published together.

A run that fails leaves the files of the run before, and no mixture of both.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

_UNFINISHED = ".unfinished-"
_EARLIER = ".earlier"


class FolderInUseError(OSError):
    """Another process writes its results to the folder; the text names it."""


@contextlib.contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Make a folder where it is missing, and keep other runs from writing there meanwhile.

    A folder that is made here and stays empty is removed again.

    Raises:
        FolderInUseError: another run writes there.
    """
    missing = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUseError(
                f"{folder}: another run writes its results there; wait for it, or name another "
                "folder"
            ) from error
        except OSError:
            pass  # some network file systems have no locks
        yield
    finally:
        os.close(descriptor)
        if missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def stage(folder: Path) -> Path:
    """Make a hidden folder in `folder` to prepare results in; removes those of killed runs."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    staging = folder / f"{_UNFINISHED}{secrets.token_hex(8)}"
    staging.mkdir()
    return staging


def remove_abandoned(folder: Path) -> None:
    """Remove what killed runs were preparing in a folder that this run has reserved."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_UNFINISHED}*"):
            if re.fullmatch(r"[0-9a-f]{16}", path.name.removeprefix(_UNFINISHED)):
                discard(path)


def discard(staging: Path) -> None:
    """Remove prepared results; the published ones stay."""
    shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, names: Collection[str]) -> None:
    """Move prepared results to the folder around them.

    Args:
        staging: from `stage`; it is gone afterwards.
        names: all results that such a run may have. Earlier ones that it has not made are removed.

    Raises:
        OSError: a result cannot be moved; the earlier ones are as they were.
    """
    folder, earlier = staging.parent, staging / _EARLIER
    made = sorted(path.name for path in staging.iterdir())
    earlier.mkdir()
    moved: list[str] = []
    try:
        for name in [*made, *sorted(set(names) - set(made))]:
            _put_aside(folder / name, earlier / name, is_replaced=name in made)
            if name in made:
                os.replace(staging / name, folder / name)
                moved.append(name)
    except BaseException:
        for name in moved:
            os.rename(folder / name, staging / name)
        for path in earlier.iterdir():
            os.replace(path, folder / path.name)
        raise
    discard(staging)
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_aside(path: Path, aside: Path, *, is_replaced: bool) -> None:
    if not os.path.lexists(path):
        return
    if is_replaced and (path.is_symlink() or not path.is_dir()):
        # A second name: the file is there until the new one takes its place.
        with contextlib.suppress(OSError):
            os.link(path, aside, follow_symlinks=False)
            return
    os.rename(path, aside)
