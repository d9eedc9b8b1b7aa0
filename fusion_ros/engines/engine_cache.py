# SPDX-License-Identifier: Apache-2.0
"""Built engines on disk, found only if everything that they depend on is unchanged.

A JSON file (the card) beside each engine holds its full key and the hash of its bytes. Engines are
code: one without a card, with another key or hash, or of another user is never loaded. Folder and
files are opened without following links, and the checks use the open files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fusion_ros.files.reading import parse_json
from fusion_ros.files.writing import new_file

_log = logging.getLogger(__name__)

_MOST_ENGINE_BYTES, _MOST_CARD_BYTES = 4 << 30, 1 << 20


@dataclasses.dataclass(frozen=True)
class EngineKey:
    """Everything that a built engine depends on."""

    label: str
    """Start of the file name, such as "640x480-float16"."""
    facts: dict[str, Any]
    """JSON values by name: hashes, versions, options, properties of the device."""

    @property
    def name(self) -> str:
        """File name without suffix: the label, followed by a hash of the key."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return f"{self.label}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


@dataclasses.dataclass(frozen=True)
class CachedEngine:
    """Result of a lookup: file and verified bytes of an engine, or why there is none."""

    path: Path | None
    why: str = ""
    is_refused: bool = False
    """Whether a file exists but is not trusted."""
    data: bytes = b""


class ForeignCacheError(PermissionError):
    """A cache folder or file that other users can change; the message names the remedy."""


def default_folder() -> Path:
    """Return $FUSION_ROS_CACHE, or `fusion_ros` in the user's cache folder."""
    if folder := os.environ.get("FUSION_ROS_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fusion_ros" / "engines"


class EngineCache:
    """Engines in one folder, `default_folder` if not given; of more than `most` the newest stay."""

    def __init__(self, folder: Path | None = None, *, most: int = 0) -> None:
        self.folder = folder or default_folder()
        self._most = most

    def within(self, name: str) -> EngineCache:
        """Return a cache in a folder of this one, with the same limit."""
        return EngineCache(self.folder / name, most=self._most)

    def find(self, key: EngineKey) -> CachedEngine:
        """Return the trusted engine for this key, or the reason why there is none."""
        path = self.folder / f"{key.name}.engine"
        try:
            with self._opened() as folder:
                engine = _read(folder, path, _MOST_ENGINE_BYTES)
                return self._verified(key, path, engine, folder)
        except FileNotFoundError:
            return CachedEngine(None, f"none was built for this key ({path})")
        except ForeignCacheError as error:
            return _refused(str(error))
        except OSError as error:
            return _refused(f"{path} cannot be read ({error.strerror or error})")

    def _verified(self, key: EngineKey, path: Path, engine: bytes, folder: int) -> CachedEngine:
        try:
            card = parse_json(_read(folder, path.with_suffix(".json"), _MOST_CARD_BYTES))
            recorded_key, recorded_hash = card["key"], card["sha256"]
        except ForeignCacheError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            return _refused(f"the card beside {path} cannot be read ({error})")
        if recorded_key != dataclasses.asdict(key):
            return _refused(f"the card beside {path} belongs to another engine")
        if hashlib.sha256(engine).hexdigest() != recorded_hash:
            return _refused(f"{path} is damaged: its hash differs from that of the built engine")
        return CachedEngine(path, data=engine)

    def store(self, key: EngineKey, engine: bytes) -> Path:
        """Store an engine; it is found only if both files are complete.

        Raises:
            OSError: the folder is not writable, or other users can change it.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{key.name}.engine"
        card = {"key": dataclasses.asdict(key), "sha256": hashlib.sha256(engine).hexdigest()}
        with self._opened() as folder:
            # The card is written last: a new engine does not match an old card.
            for file, data in (
                (path, engine),
                (path.with_suffix(".json"), json.dumps(card, indent=1, sort_keys=True).encode()),
            ):
                with new_file(file, folder=folder, mode=0o600) as writer:
                    writer.write(data)
            if self._most:
                self._drop_oldest(folder)
        return path

    def store_if_possible(self, key: EngineKey, data: bytes) -> None:
        """Store, or log a warning: a full or read-only disk only delays the next start."""
        try:
            self.store(key, data)
        except OSError as error:
            _log.warning("a converted network cannot be stored on disk: %s", error)

    def _drop_oldest(self, folder: int) -> None:
        # Another process may remove the same files at the same time.
        ages = {}
        for name in os.listdir(folder):
            if name.endswith(".engine"):
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    ages[name] = status.st_mtime_ns
        for name in sorted(ages, key=ages.__getitem__, reverse=True)[self._most :]:
            for file in (name, name.removesuffix(".engine") + ".json"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file, dir_fd=folder)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Open a descriptor of the folder.

        Raises:
            ForeignCacheError: it is a link, belongs to another user, or others may write to it.
            FileNotFoundError: it does not exist.
        """
        if self.folder.is_symlink():
            raise ForeignCacheError(f"{self.folder} is a symbolic link; give the folder itself")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.folder, flags)
        try:
            if reason := _foreign_reason(os.fstat(descriptor)):
                raise ForeignCacheError(f"{self.folder} {reason}")
            yield descriptor
        finally:
            os.close(descriptor)


def _refused(why: str) -> CachedEngine:
    return CachedEngine(None, why, is_refused=True)


def _foreign_reason(status: os.stat_result) -> str:
    if status.st_uid != os.getuid():
        return f"belongs to user {status.st_uid} instead of {os.getuid()}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "is writable by other users; run chmod go-w"
    return ""


def _read(folder: int, path: Path, most_bytes: int) -> bytes:
    """Read a file of this user in an open folder; links, FIFOs and devices are refused."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path.name, flags, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
            raise ForeignCacheError(f"{path} is not a regular file of at most {most_bytes} bytes")
        if reason := _foreign_reason(status):
            raise ForeignCacheError(f"{path} {reason}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most_bytes)
    finally:
        os.close(descriptor)
