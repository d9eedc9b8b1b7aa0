# SPDX-License-Identifier: Apache-2.0
"""Result folders: the files of a run are prepared in a hidden folder and published together.

A failed run leaves the files of the previous run unchanged, and never a mixture of both.
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

from fusion_ros.files.writing import open_folder

_UNFINISHED = ".unfinished-"
_EARLIER = ".earlier"


class FolderInUseError(OSError):
    """Error of a folder to which another process writes its results."""


@contextlib.contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Create a folder if it is missing, and lock it against other runs.

    A folder that was created here and stays empty is removed at the end.

    Raises:
        FolderInUseError: another run has locked the folder.
    """
    missing = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open_folder(folder) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderInUseError(
                    f"{folder}: another run writes its results there; wait for it, or name "
                    "another folder"
                ) from error
            except OSError:
                pass  # some network file systems have no locks
            yield
    finally:
        if missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def stage(folder: Path) -> Path:
    """Create a hidden folder in `folder` for new results; remove those of killed runs."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    staging = folder / f"{_UNFINISHED}{secrets.token_hex(8)}"
    staging.mkdir()
    return staging


def remove_abandoned(folder: Path) -> None:
    """Remove unfinished results of killed runs from a folder that this run has reserved."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_UNFINISHED}*"):
            if re.fullmatch(r"[0-9a-f]{16}", path.name.removeprefix(_UNFINISHED)):
                discard(path)


def discard(staging: Path) -> None:
    """Remove prepared results; published ones stay."""
    shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, names: Collection[str]) -> None:
    """Move prepared results to the parent of their hidden folder.

    Args:
        staging: folder from `stage`; it is removed.
        names: all results that such a run can produce. Earlier results that this run did not
            produce are removed.

    Raises:
        OSError: a result cannot be moved; the earlier results are unchanged.
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
    with contextlib.suppress(OSError), open_folder(folder) as descriptor:
        os.fsync(descriptor)


def _put_aside(path: Path, aside: Path, *, is_replaced: bool) -> None:
    if not os.path.lexists(path):
        return
    if is_replaced and (path.is_symlink() or not path.is_dir()):
        # A hard link: the file exists until the new one replaces it.
        with contextlib.suppress(OSError):
            os.link(path, aside, follow_symlinks=False)
            return
    os.rename(path, aside)
