# SPDX-License-Identifier: Apache-2.0
"""Atomic replacement of files: a full disk, an error or a kill leaves the earlier file.

The content is written to an unnamed file in the same folder (`O_TMPFILE`). Without support by the
file system it is a new file with an unpredictable name. It is renamed after `fsync`. A link at
the target is replaced, never followed; devices, FIFOs and folders are refused.
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
    """Error of a path that cannot hold a regular file."""


@contextlib.contextmanager
def new_file(
    path: str | os.PathLike[str], *, folder: int | None = None, mode: int | None = None
) -> Iterator[BinaryIO]:
    """Yield a binary file; it becomes `path` when the body ends without an error.

    Args:
        path: file to write; an earlier one is replaced.
        folder: descriptor of its folder if the caller has checked it; None opens the folder.
        mode: permissions; None uses those of the earlier file, or the process's default.

    Raises:
        OSError: the file cannot be written; `path` is unchanged.
    """
    path = Path(path)
    with open_folder(path.parent) if folder is None else contextlib.nullcontext(folder) as folder:
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
        except OSError as error:
            _name(error, path)
            raise
        finally:
            if named:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def new_file_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path for libraries that open files themselves; see `new_file`.

    The temporary file exists and has the suffix of `path`; the library must not replace it. If the
    process is killed, the file stays until the next process that writes `path` removes it.

    Raises:
        OSError: the file cannot be written, or the temporary file was replaced.
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
            raise UnwritableFileError(f"{unfinished} was replaced while it was written")
        if mode is not None:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        os.replace(unfinished, path)
        with open_folder(path.parent) as folder:
            os.fsync(folder)
    except OSError as error:
        _name(error, path)
        raise
    finally:
        os.close(descriptor)
        unfinished.unlink(missing_ok=True)


def _name(error: OSError, path: Path) -> None:
    """Add the file to an error that names none, such as that of a full disk."""
    if error.errno is not None and error.filename is None:
        error.filename = os.fspath(path)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Replace a file by bytes; see `new_file`."""
    with new_file(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace a file by text in UTF-8; characters without a UTF-8 form are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 2) -> None:
    """Replace a file by a value as JSON; NaN and infinity are refused.

    Raises:
        ValueError: the value contains NaN, infinity or an unsupported type.
    """
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def check_target(path: Path, folder: int | None = None) -> int | None:
    """Return the permissions of the file to be replaced; None if it does not exist.

    Raises:
        UnwritableFileError: `path` is a folder, a device, a FIFO, or write-protected.
    """
    name = path if folder is None else path.name or "."
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
    """Return an unpredictable hidden name in the folder of `path`, with the same suffix."""
    return f".{path.name[:100]}.{secrets.token_hex(8)}.part{path.suffix[:20]}"


def remove_abandoned(path: Path) -> None:
    """Remove unfinished versions of `path` that killed processes left."""
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
    """Hold the lock of an abandoned file; raise OSError where another process holds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _unnamed(folder: int) -> int | None:
    """Open an unnamed file in a folder; None where the system does not support that."""
    if not os.path.isdir("/proc/self/fd"):  # needed to name the file
        return None
    try:
        unnamed = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
        return os.open(".", unnamed, 0o666, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_UNNAMED:
            return None
        raise


@contextlib.contextmanager
def open_folder(folder: Path) -> Iterator[int]:
    """Yield a descriptor of a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
