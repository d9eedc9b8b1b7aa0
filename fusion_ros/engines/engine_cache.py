# SPDX-License-Identifier: Apache-2.0
"""Built engines on disk: found again only where everything they depend on is the same.

Beside each engine lies a JSON file with its key in full, the hash of the engine's bytes and how
long the build took. An engine without it, with another key or hash, or of another user is never
loaded: engines are code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any


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
        why: there is none.
        key: of the engine.
        is_refused: there is a file, but it is not to be trusted.
    """

    path: Path | None
    why: str = ""
    key: EngineKey | None = None
    is_refused: bool = False


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
        if not path.is_file():
            return CachedEngine(None, f"none was built for this key ({path})")
        for file in (self.folder, path):
            if reason := _not_ours(file):
                return _refused(f"{file} {reason}")
        try:
            card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            recorded_key, recorded_hash = card["key"], card["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            return _refused(f"the card beside {path} cannot be read ({error})")
        if recorded_key != key.as_dict():
            return _refused(f"the card beside {path} is of another engine")
        if hashlib.sha256(path.read_bytes()).hexdigest() != recorded_hash:
            return _refused(f"{path} is damaged: its bytes are not those that were built")
        return CachedEngine(path, key=key)

    def find_calibrated(self, key: EngineKey) -> CachedEngine:
        """The engine for this key that was built last, whatever it was calibrated with.

        Who runs an engine has not the pictures that another program built it with.
        """
        built = []
        for card in self.folder.glob(f"{key.width}x{key.height}-{key.precision}-*.json"):
            # Cards that cannot be read, or vanish meanwhile, are of no engine that we could load.
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                known = EngineKey(**json.loads(card.read_text(encoding="utf-8"))["key"])
                if dataclasses.replace(known, calibration=key.calibration) == key:
                    built.append((card.stat().st_mtime_ns, known))
        newest = max(built, key=lambda entry: entry[0], default=(0, key))[1]
        return self.find(newest)

    def store(self, key: EngineKey, engine: bytes, *, about: dict[str, Any]) -> Path:
        """Keep an engine; it is found only when both files are whole.

        Args:
            engine: the serialized engine.
            about: plain values for the card, such as {"build_s": 41.0}.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{key.name}.engine"
        card = {**about, "key": key.as_dict(), "sha256": hashlib.sha256(engine).hexdigest()}
        # The card last: with an old card a new engine does not match.
        _write(path, engine)
        _write(path.with_suffix(".json"), json.dumps(card, indent=1, sort_keys=True).encode())
        if self._most:
            self._drop_oldest()
        return path

    def _drop_oldest(self) -> None:
        # Another process may drop the same ones: what is gone already has no age.
        ages = {}
        for path in self.folder.glob("*.engine"):
            with contextlib.suppress(FileNotFoundError):
                ages[path] = path.stat().st_mtime_ns
        for path in sorted(ages, key=ages.__getitem__, reverse=True)[self._most :]:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)

    def expected_build_s(self, precision: str) -> float | None:
        """How long the slowest build in this precision took on this machine, if any is known."""
        known = []
        for card in self.folder.glob(f"*-{precision}-*.json"):
            try:
                known.append(float(json.loads(card.read_text(encoding="utf-8"))["build_s"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return max(known, default=None)


def _refused(why: str) -> CachedEngine:
    return CachedEngine(None, why, is_refused=True)


def _not_ours(path: Path) -> str:
    status = path.stat()
    if status.st_uid != os.getuid():
        return f"belongs to user {status.st_uid}, not to us ({os.getuid()})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "may be written by others; chmod go-w"
    return ""


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
