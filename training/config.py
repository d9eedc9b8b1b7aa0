# SPDX-License-Identifier: Apache-2.0
"""Configuration of a training run: a YAML file with ``key=value`` overrides of the command line.

Every key is checked before data are read; errors name the key and the allowed values.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusion_ros.files.reading import MalformedFileError, UnreadableFileError, parse_yaml, read_bytes
from fusion_ros.model.config import PRESETS, FusionNetConfig
from fusion_ros.model.config import ConfigError as NetworkConfigError
from fusion_ros.model.network import check_layout
from fusion_ros.outside_text import LINE_LIMIT, printable
from training.data.pairs import DATA_SETS
from training.losses import TERMS

LOGGERS = ("tensorboard", "csv", "wandb")


class ConfigError(ValueError):
    """An invalid configuration; the message names key, value and allowed values."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, LINE_LIMIT))


@dataclass(frozen=True)
class DataEntry:
    """One data set of a run: its kind, root, split list, and sampling weight."""

    kind: str
    root: str
    split: str | None = None
    weight: float = 1.0
    homography: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        _one_of("data.kind", self.kind, DATA_SETS)
        if not self.weight > 0:
            raise ConfigError(f"data.weight of {self.kind} is {self.weight!r}; allowed is > 0")


@dataclass(frozen=True)
class Augmentation:
    """Probabilities (0..1) and strengths of augmentations; see ``training/data/augmentation.py``.

    ``zoom`` is the largest magnification of a crop, which simulates cameras of lower resolution. It
    is drawn uniformly from 1 for the share ``zoom_chance`` of all crops. ``stretch_chance`` is the
    share of images whose contrast is raised up to ``largest_gain`` times, with clipping.
    ``sharpen`` is the largest strength of sharpening. ``stranger_chance`` is the share of visible
    crops that are paired with the thermal crop of another scene.
    """

    flip: float = 0.5
    flip_vertical: float = 0.2
    gamma_spread: float = 0.25
    range_chance: float = 0.5
    smallest_gain: float = 0.15
    polarity_chance: float = 0.1
    blur_chance: float = 0.0
    noise_chance: float = 0.0
    noise_deviation: float = 0.03
    shift_pixels: float = 0.0
    zoom: float = 1.0
    zoom_chance: float = 0.5
    stretch_chance: float = 0.0
    largest_gain: float = 2.5
    sharpen_chance: float = 0.0
    sharpen: float = 1.0
    stranger_chance: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            "flip",
            "flip_vertical",
            "range_chance",
            "polarity_chance",
            "blur_chance",
            "noise_chance",
            "zoom_chance",
            "stretch_chance",
            "sharpen_chance",
            "stranger_chance",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"augmentation.{name} is {getattr(self, name)}; allowed is 0..1")
        if not 0 < self.smallest_gain <= 1:
            raise ConfigError(f"augmentation.smallest_gain is {self.smallest_gain}; allowed: 0..1")
        if not self.largest_gain >= 1:
            raise ConfigError(f"augmentation.largest_gain is {self.largest_gain}; allowed: >= 1")
        if not self.sharpen >= 0:
            raise ConfigError(f"augmentation.sharpen is {self.sharpen}; allowed: >= 0")
        if not 1 <= self.zoom <= 4:
            raise ConfigError(f"augmentation.zoom is {self.zoom}; allowed is 1..4")


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run.

    Attributes:
        preset: network to train.
        network: fields of `FusionNetConfig` that differ from the preset, such as ``widths``.
        modules: Python files that register layouts (`register_layout`) or loss terms (`loss_term`).
        run_folder: folder for checkpoints, curves and the final weights.
        pack_folder: folder for the cache of decoded pixels.
        train: data sets for training.
        validation: data sets for validation.
        steps: number of optimiser steps; ``steps_per_epoch`` 0 means pairs / batch.
        schedule: "cosine" to a fiftieth, or "halve" at each epoch of ``halve_at_epochs``.
        crop: height, width of a training crop, multiples of the network's stride.
        patience: validations without a better score after which the run ends; 0: never.
        ema: decay of the mean of weights that is evaluated and exported; 0 disables it.
        channels_last: use the channels-last layout: a wide network such as `paper` takes half the
            time on a CPU, `compact` does not change.
        flicker_every: every n-th step uses consecutive frames and the flicker term; 0: none.
        compile: compile the step. It takes minutes once, and a step is up to twice as fast.
        loggers: of ``tensorboard``, ``csv`` and ``wandb`` (Weights & Biases).
        loss: weight of each term of ``training/losses.py`` by its name.
    """

    preset: str = "compact"
    network: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    run_folder: str = "runs/compact"
    pack_folder: str = "runs/packs"
    train: tuple[DataEntry, ...] = ()
    validation: tuple[DataEntry, ...] = ()
    seed: int = 0
    steps: int = 10000
    steps_per_epoch: int = 0
    batch: int = 6
    crop: tuple[int, int] = (160, 256)
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warm_up_steps: int = 200
    halve_at_epochs: tuple[int, ...] = (10, 20, 30)
    clip_gradient: float = 1.0
    ema: float = 0.998
    channels_last: bool = False
    window_stride: int = 4
    flicker_every: int = 0
    compile: bool = False
    initial_weights: str | None = None
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    threads: int = 0
    checkpoint_every_s: float = 120.0
    validate_every: int = 1000
    patience: int = 0
    image_count: int = 4
    bad_batches_allowed: int = 0
    loggers: tuple[str, ...] = ("tensorboard",)
    loss: Mapping[str, float] = field(default_factory=lambda: {"qw": 1.0, "qe": 1.0})
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _one_of("preset", self.preset, PRESETS)
        _one_of("schedule", self.schedule, ("cosine", "halve"))
        _one_of("precision", self.precision, ("32-true", "bf16-mixed", "16-mixed"))
        _one_of("accelerator", self.accelerator, ("auto", "cpu", "cuda"))
        for name in self.loggers:
            _one_of("loggers", name, LOGGERS)
        stride = self.shape.stride
        if len(self.crop) != 2 or any(side <= 0 or side % stride for side in self.crop):
            raise ConfigError(f"crop is {self.crop}; allowed are two multiples of {stride}")
        for name in (
            "steps",
            "batch",
            "devices",
            "nodes",
            "validate_every",
            "window_stride",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is >= 1")
        if self.patience < 0 or (self.patience and not self.validation):
            raise ConfigError(
                f"patience is {self.patience}; allowed is >= 0, and > 0 needs data in `validation`"
            )
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}; allowed is > 0")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema is {self.ema}; allowed is 0 <= ema < 1")
        if self.batch % (self.devices * self.nodes):
            raise ConfigError(
                f"batch is {self.batch}; allowed are multiples of devices x nodes "
                f"= {self.devices * self.nodes}"
            )
        self._check_data()

    @property
    def shape(self) -> FusionNetConfig:
        """Config of the network: the preset with the changes of `network`."""
        try:
            values = {**PRESETS[self.preset].as_dict(), **self.network}
            shape = FusionNetConfig.from_dict(values)
            check_layout(shape.layout)
            return shape
        except NetworkConfigError as error:
            raise ConfigError(f"network: {error}") from error

    def _check_data(self) -> None:
        if not self.train:
            raise ConfigError("train is empty; it needs at least one data set")
        for entry in self.train:
            if DATA_SETS[entry.kind].evaluation_only:
                raise ConfigError(f"train has {entry.kind!r}, which is for evaluation only")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a YAML file."""
        return _plain(dataclasses.asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _one_of(key: str, value: object, allowed: Any) -> None:
    if value not in allowed:
        raise ConfigError(f"{key} is {value!r}; allowed: {', '.join(map(str, allowed))}")


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
    if path in above:
        raise ConfigError(f"config {path} is a base of itself")
    try:
        values = parse_yaml(read_bytes(path))
    except (UnreadableFileError, MalformedFileError) as error:
        raise ConfigError(f"config {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"config {path} is a {type(values).__name__}; allowed is a mapping")
    base = values.pop("base", None)
    if base is None:
        return values
    below = _read_values(path.parent / str(base), (*above, path))
    for key, value in values.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = {**below[key], **value} if both else value
    return below


def config_from_dict(values: Mapping[str, Any]) -> RunConfig:
    """Build a checked config from plain values."""
    values = dict(values)
    for key in ("train", "validation"):
        entries = values.get(key) or []
        if not isinstance(entries, (list, tuple)):
            raise ConfigError(f"{key} is {entries!r}; allowed is a list of data sets")
        values[key] = tuple(_build(DataEntry, entry, f"{key}[]") for entry in entries)
    values["augmentation"] = _build(Augmentation, values.get("augmentation") or {}, "augmentation")
    import_files(values.get("modules") or ())
    values["loss"] = _loss_weights(values.get("loss") or {})
    return _build(RunConfig, values, "config")


def import_files(paths: Iterable[str | Path]) -> None:
    """Run Python files that register layouts or loss terms, each once in a process.

    Raises:
        ConfigError: a file is missing or raises an error.
    """
    for path in paths:
        _import_file(Path(path))


def _import_file(path: Path) -> None:
    name = f"training_module_{path.stem}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"modules has {str(path)!r}; allowed are existing Python files")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file is the user's
        raise ConfigError(f"modules: {path} cannot be imported: {error!r}") from error
    sys.modules[name] = module


def _loss_weights(values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"loss is {values!r}; allowed is a mapping")
    for name, value in values.items():
        if name not in TERMS:
            raise ConfigError(_unknown("loss", name, TERMS))
        if not _is_like(value, 0.0) or not value >= 0:
            raise ConfigError(f"loss.{name} is {value!r}; allowed is a number >= 0")
    return {"qw": 1.0, "qe": 1.0, **values}


def _unknown(where: str, key: str, known: Iterable[str]) -> str:
    """Return an error with the nearest known key, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(key), names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return f"{where} has unknown key {key!r}; {hint}"


#: Types that are accepted for a default of each type.
_LIKE: dict[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    tuple: (list, tuple),
}


def _is_like(value: object, default: object) -> bool:
    """Return whether a value has the type of a default; True is not a number."""
    if type(default) not in _LIKE:
        return True
    return isinstance(value, _LIKE[type(default)]) and (
        isinstance(default, bool) or not isinstance(value, bool)
    )


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}; allowed is a mapping")
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(_unknown(where, key, known))
        default = known[key].default
        if not _is_like(value, default):
            raise ConfigError(f"{where}.{key} is {value!r}; allowed is like {default!r}")
    tidy = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return kind(**tidy)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error
