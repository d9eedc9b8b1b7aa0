# SPDX-License-Identifier: Apache-2.0
"""Built engines on disk: found again only where everything they depend on is the same.

Beside each engine lies a JSON file with its key in full, the hash of the engine's bytes and how
long the build took. An engine without it, with another key or hash, or of another user is never
loaded: engines are code. The folder and its files are opened without following links, and are
checked by what was opened, for reading as for writing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fusion_ros.files.reading import parse_json
from fusion_ros.files.writing import new_file

_MOST_ENGINE_BYTES, _MOST_CARD_BYTES = 4 << 30, 1 << 20


@dataclasses.dataclass(frozen=True)
class EngineKey:
    """All that decides whether a built engine fits.

    Attributes:
        weights_sha256: hash of the network's tensors.
        config: shape of the network, as plain values.
        height, width: size of the pictures.
        precision: "float32", "float16" or "int8".
        versions: of the software that built it, by name.
        device: name, compute capability and number of multiprocessors of the GPU.
        calibration: hash of the pictures that "int8" was calibrated with; "" in other precisions.
    """

    weights_sha256: str
    config: dict[str, Any]
    height: int
    width: int
    precision: str
    versions: dict[str, str]
    device: dict[str, str]
    calibration: str = ""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def name(self) -> str:
        """File name without ending: readable in front, unmistakable behind."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        return f"{self.width}x{self.height}-{self.precision}-{digest}"


@dataclasses.dataclass(frozen=True)
class CachedEngine:
    """What a look into the cache found: an engine's file and its key, or why there is none.

    Attributes:
        path: of an engine that may be loaded; None where there is none.
        data: the bytes of that engine, whose hash was checked.
        why: there is none.
        key: of the engine.
        is_refused: there is a file, but it is not to be trusted.
    """

    path: Path | None
    why: str = ""
    key: EngineKey | None = None
    is_refused: bool = False
    data: bytes = b""


class ForeignCacheError(PermissionError):
    """A cache folder, or a file in it, that others can change; the text says how to mend it."""


def default_folder() -> Path:
    """$FUSION_ROS_CACHE, or `fusion_ros` in the user's cache folder."""
    if folder := os.environ.get("FUSION_ROS_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fusion_ros" / "engines"


class EngineCache:
    """Engines in one folder.

    Args:
        folder: where they lie; `default_folder` if not given.
        most: how many to keep; the one that was built longest ago goes first. 0: all.
    """

    def __init__(self, folder: Path | None = None, *, most: int = 0) -> None:
        self.folder = folder or default_folder()
        self._most = most

    def find(self, key: EngineKey) -> CachedEngine:
        """The engine for this key, if there is one that may be trusted."""
        path = self.folder / f"{key.name}.engine"
        try:
            with self._opened() as folder:
                engine = _read(folder, path, _MOST_ENGINE_BYTES)
                return self._checked(key, path, engine, folder)
        except FileNotFoundError:
            return CachedEngine(None, f"none was built for this key ({path})")
        except ForeignCacheError as error:
            return _refused(str(error))
        except OSError as error:
            return _refused(f"{path} cannot be read ({error.strerror or error})")

    def _checked(self, key: EngineKey, path: Path, engine: bytes, folder: int) -> CachedEngine:
        try:
            card = _card(folder, path.with_suffix(".json"))
            recorded_key, recorded_hash = card["key"], card["sha256"]
        except ForeignCacheError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            return _refused(f"the card beside {path} cannot be read ({error})")
        if recorded_key != key.as_dict():
            return _refused(f"the card beside {path} is of another engine")
        if hashlib.sha256(engine).hexdigest() != recorded_hash:
            return _refused(f"{path} is damaged: its bytes are not those that were built")
        return CachedEngine(path, key=key, data=engine)

    def find_calibrated(self, key: EngineKey) -> CachedEngine:
        """The engine for this key that was built last, whatever it was calibrated with.

        Who runs an engine has not the pictures that another program built it with.
        """
        built = []
        for card, changed_ns in self._cards(f"{key.width}x{key.height}-{key.precision}-"):
            with contextlib.suppress(KeyError, TypeError):
                known = EngineKey(**card["key"])
                if dataclasses.replace(known, calibration=key.calibration) == key:
                    built.append((changed_ns, known))
        newest = max(built, key=lambda entry: entry[0], default=(0, key))[1]
        return self.find(newest)

    def store(self, key: EngineKey, engine: bytes, *, about: dict[str, Any]) -> Path:
        """Keep an engine; it is found only when both files are whole.

        Args:
            engine: the serialized engine.
            about: plain values for the card, such as {"build_s": 41.0}.

        Raises:
            OSError: nothing can be written there, or the folder is not ours alone.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{key.name}.engine"
        card = {**about, "key": key.as_dict(), "sha256": hashlib.sha256(engine).hexdigest()}
        with self._opened() as folder:
            # The card last: with an old card a new engine does not match.
            for file, data in (
                (path, engine),
                (path.with_suffix(".json"), json.dumps(card, indent=1, sort_keys=True).encode()),
            ):
                with new_file(file, folder=folder, mode=0o600) as writer:
                    writer.write(data)
            if self._most:
                self._drop_oldest(folder)
        return path

    def _drop_oldest(self, folder: int) -> None:
        # Another process may drop the same ones: a file that is gone already has no age.
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

    def expected_build_s(self, precision: str) -> float | None:
        """How long the slowest build in this precision took on this machine, if any is known."""
        known = []
        for card, _ in self._cards("", f"-{precision}-"):
            with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError):
                known.append(float(card["build_s"]))
        return max(known, default=None)

    def _cards(self, begin: str, middle: str = "") -> Iterator[tuple[dict[str, Any], int]]:
        """Cards that can be read, by the begin and middle of their names, and when they changed.

        Cards that cannot be read, or vanish meanwhile, are of no engine that could be loaded.
        """
        with contextlib.suppress(OSError), self._opened() as folder:
            for name in os.listdir(folder):
                if name.startswith(begin) and middle in name and name.endswith(".json"):
                    with contextlib.suppress(OSError, ValueError):
                        card = _card(folder, self.folder / name)
                        yield card, os.stat(name, dir_fd=folder).st_mtime_ns

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """A descriptor of the folder, which belongs to us alone.

        Raises:
            ForeignCacheError: it is a link, belongs to another user, or others may write to it.
            FileNotFoundError: there is none.
        """
        if self.folder.is_symlink():
            raise ForeignCacheError(f"{self.folder} is a link; name the folder itself")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.folder, flags)
        try:
            if reason := _not_ours(os.fstat(descriptor)):
                raise ForeignCacheError(f"{self.folder} {reason}")
            yield descriptor
        finally:
            os.close(descriptor)


def _refused(why: str) -> CachedEngine:
    return CachedEngine(None, why, is_refused=True)


def _not_ours(status: os.stat_result) -> str:
    if status.st_uid != os.getuid():
        return f"belongs to user {status.st_uid}, not to us ({os.getuid()})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "may be written by others; chmod go-w"
    return ""


def _card(folder: int, path: Path) -> dict[str, Any]:
    return parse_json(_read(folder, path, _MOST_CARD_BYTES))


def _read(folder: int, path: Path, most_bytes: int) -> bytes:
    """The bytes of a file of ours in an opened folder; links, FIFOs and devices are refused."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path.name, flags, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
            raise ForeignCacheError(f"{path} is no regular file of at most {most_bytes} bytes")
        if reason := _not_ours(status):
            raise ForeignCacheError(f"{path} {reason}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most_bytes)
    finally:
        os.close(descriptor)
