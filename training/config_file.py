# SPDX-License-Identifier: Apache-2.0
"""Reading of a run's config: a YAML file with ``key=value`` overrides of the command line.

Unknown keys and values of the wrong kind are errors that name the key.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib.util
import sys
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

from fusion_ros.files.reading import MalformedFileError, UnreadableFileError, parse_yaml, read_bytes
from training.config import Augmentation, ConfigError, DataEntry, RunConfig
from training.losses import TERMS


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file and apply ``key=value`` overrides (nested keys: ``loss.qe=2``).

    A file with ``base: OTHER.yaml`` holds only the differences from that file.

    Raises:
        ConfigError: unreadable file, unknown key, or a value of the wrong kind or range.
    """
    values = _read_values(Path(path))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"override {override!r} is not of the form key=value")
        inner = values
        *parents, last = key.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"override {override!r}: {parent} holds no keys")
        try:
            inner[last] = parse_yaml(text)
        except MalformedFileError as error:
            raise ConfigError(f"override {override!r}: {error}") from error
    return config_from_dict(values)


def _read_values(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a file's values and merge them into those of the file named by its key ``base``."""
    try:
        values = parse_yaml(read_bytes(path))
    except (UnreadableFileError, MalformedFileError) as error:
        raise ConfigError(f"config {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"config {path} is a {type(values).__name__}; allowed is a mapping")
    place = path.resolve()
    if place in above:
        raise ConfigError(f"config {path} is a base of itself")
    base = values.pop("base", None)
    if base is None:
        return values
    below = _read_values(path.parent / str(base), (*above, place))
    for key, value in values.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = {**below[key], **value} if both else value
    return below


def config_from_dict(values: Mapping[str, Any]) -> RunConfig:
    """Build a checked config from plain values."""
    values = dict(values)
    for key in ("train", "validation"):
        entries = _given(values, key, ())
        if not isinstance(entries, (list, tuple)):
            raise ConfigError(f"{key} is {entries!r}; allowed is a list of data sets")
        values[key] = tuple(_build(DataEntry, entry, f"{key}[]") for entry in entries)
    values["augmentation"] = _build(
        Augmentation, _given(values, "augmentation", {}), "augmentation"
    )
    values["modules"] = modules = _given(values, "modules", ())
    if not _fits(modules, tuple[str, ...]):
        raise ConfigError(f"modules is {modules!r}; allowed is a list of Python files")
    import_files(modules)
    values["loss"] = _loss_weights(_given(values, "loss", {}))
    return _build(RunConfig, values, "config")


def _given(values: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return the value of a key; the default for a key that is absent or empty."""
    return default if values.get(key) is None else values[key]


def import_files(paths: Iterable[str | Path]) -> None:
    """Run Python files that register layouts or loss terms, each once in a process.

    Raises:
        ConfigError: a file is missing or raises an error.
    """
    for path in paths:
        _import_file(Path(path))


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"modules has {str(path)!r}; allowed are existing Python files")
    place = hashlib.sha256(bytes(path.resolve())).hexdigest()
    name = f"training_module_{path.stem}_{place[:16]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"modules has {str(path)!r}; allowed are Python files (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file is the user's
        del sys.modules[name]
        raise ConfigError(f"modules: {path} cannot be imported: {error!r}") from error


def _loss_weights(values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"loss is {values!r}; allowed is a mapping")
    for name, value in values.items():
        if name not in TERMS:
            raise ConfigError(_unknown("loss", name, TERMS))
        if not _fits(value, float) or not value >= 0:
            raise ConfigError(f"loss.{name} is {value!r}; allowed is a number >= 0")
    weights = {"qw": 1.0, "qe": 1.0, **values}
    if not any(weights.values()):
        raise ConfigError(f"loss is {weights!r}; at least one weight must be > 0")
    return weights


def _unknown(where: str, key: str, known: Iterable[str]) -> str:
    """Return an error with the nearest known key, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(key), names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return f"{where} has unknown key {key!r}; {hint}"


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value has an annotated type; numbers are finite, and True is not one."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        return any(_fits(value, each) for each in inner)
    if origin in (tuple, Sequence):
        parts = value if isinstance(value, (list, tuple)) else [None]
        kinds = inner if Ellipsis not in inner and origin is tuple else inner[:1] * len(parts)
        return len(parts) == len(kinds) and all(map(_fits, parts, kinds))
    if origin is Mapping:
        return isinstance(value, Mapping)
    if hint in (int, float):
        is_number = isinstance(value, (int, hint)) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max
    return isinstance(value, hint)


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}; allowed is a mapping")
    known = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        if key not in known:
            raise ConfigError(_unknown(where, key, known))
        if not _fits(value, hints[key]):
            raise ConfigError(f"{where}.{key} is {value!r}; allowed is {known[key].type}")
    tidy = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return kind(**tidy)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error
