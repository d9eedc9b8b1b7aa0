# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced whole: a full disk, an error or a kill leaves the earlier file.

The new content goes to a file without a name in the same folder (`O_TMPFILE`), or, where the file
system has none, to an unpredictable name that must not exist. It is renamed after `fsync`. A link
at the target is replaced, never followed; devices, FIFOs and folders are refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fusion_ros.files.reading import other_kind

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class UnwritableFileError(OSError):
    """A path that is no place for a regular file; the text names it."""


@contextlib.contextmanager
def new_file(
    path: str | os.PathLike[str], *, folder: int | None = None, mode: int | None = None
) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the body ends without an error.

    Args:
        path: the file to write; an earlier one is replaced.
        folder: descriptor of its folder, where the caller has checked that; None opens it.
        mode: permissions; None takes those of the earlier file or of the process.

    Raises:
        OSError: nothing can be written there; `path` is as it was.
    """
    path = Path(path)
    with _folder(path) if folder is None else contextlib.nullcontext(folder) as folder:
        mode = check_target(path, folder) if mode is None else mode
        name = temporary_name(path)
        named = False
        descriptor = _unnamed(folder)
        if descriptor is None:
            remove_abandoned(path)
            descriptor = os.open(name, _NEW, 0o666, dir_fd=folder)
            named = True
        try:
            with open(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file
                file.flush()
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
                if not named:
                    os.link(f"/proc/self/fd/{file.fileno()}", name, dst_dir_fd=folder)
                    named = True
                os.replace(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                named = False
            os.fsync(folder)
        finally:
            if named:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def new_file_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path for libraries that open files themselves; see `new_file`.

    The temporary file exists already, has the ending of `path` and must be kept, not replaced. A
    process that is killed leaves it; the next one that writes the same file removes it.

    Raises:
        OSError: nothing can be written there, or the temporary file was exchanged.
    """
    path = Path(path)
    mode = check_target(path)
    remove_abandoned(path)
    unfinished = path.with_name(temporary_name(path))
    descriptor = os.open(unfinished, _NEW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield unfinished
        ours, there = os.fstat(descriptor), os.lstat(unfinished)
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise UnwritableFileError(f"{unfinished} was exchanged while it was written")
        if mode is not None:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        os.replace(unfinished, path)
        with _folder(path) as folder:
            os.fsync(folder)
    finally:
        os.close(descriptor)
        unfinished.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Replace a file by these bytes; see `new_file`."""
    with new_file(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace a file by this text in UTF-8; characters without a UTF-8 form are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 2) -> None:
    """Replace a file by a value as JSON; NaN and infinity are refused.

    Raises:
        ValueError: the value holds something that JSON has no form for.
    """
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def check_target(path: Path, folder: int | None = None) -> int | None:
    """Return the permissions of the file to be replaced, None where there is none.

    Raises:
        UnwritableFileError: `path` is a folder, a device, a FIFO, or write-protected.
    """
    name = path if folder is None else path.name
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        return None
    if kind := other_kind(mode):
        raise UnwritableFileError(f"{path} is {kind}; allowed is a file to write")
    if not os.access(name, os.W_OK, dir_fd=folder):
        raise UnwritableFileError(f"{path} is write-protected; allowed is a file to write")
    return stat.S_IMODE(mode) & 0o777


def temporary_name(path: Path) -> str:
    """Return an unpredictable hidden name beside `path`, with its ending."""
    return f".{path.name[:100]}.{secrets.token_hex(8)}.part{path.suffix[:20]}"


def remove_abandoned(path: Path) -> None:
    """Remove what killed processes left of unfinished versions of `path`."""
    begin, end = f".{path.name[:100]}.", f".part{path.suffix[:20]}"
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            middle = entry.name[len(begin) : -len(end)]
            if not (entry.name == f"{begin}{middle}{end}" and _is_token(middle)):
                continue
            with contextlib.suppress(OSError), _locked(entry.path):
                os.unlink(entry.path)


def _is_token(text: str) -> bool:
    return len(text) == 16 and all(letter in "0123456789abcdef" for letter in text)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock of a file that nobody writes any more; OSError where somebody does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _unnamed(folder: int) -> int | None:
    """Open a file without a name in a folder; None where the system has no such files."""
    if not os.path.isdir("/proc/self/fd"):  # the way by which the file gets its name
        return None
    try:
        unnamed = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
        return os.open(".", unnamed, 0o666, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_UNNAMED:
            return None
        raise


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
