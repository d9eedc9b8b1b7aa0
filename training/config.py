# SPDX-License-Identifier: Apache-2.0
"""The configuration of a training run: one YAML file, ``key=value`` on the command line over it.

Every key is known and checked before a pixel is read; a wrong one is named with what is allowed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fusion_ros.model.config import PRESETS
from training.losses import LossWeights
from training.pairs import DATA_SETS


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names key, value and what is allowed."""


@dataclass(frozen=True)
class DataEntry:
    """One data set of a run: its kind, root, split list, and how often it is drawn."""

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
    """Chances (0..1) and strengths of what is done to a crop; see ``training/augmentation.py``.

    ``zoom`` is the largest magnification of a crop (it meets cameras of lower resolution), drawn
    evenly from 1 for the share ``zoom_chance`` of all crops. ``stretch_chance`` is the share of
    pictures whose contrast is raised, up to ``largest_gain`` times, and cut off at black and white;
    ``sharpen`` the most that a picture is sharpened, as cameras do it; ``stranger_chance`` the
    share of visible crops that meet the thermal crop of another scene, where no edge is shared.
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
    """Everything a run depends on.

    Attributes:
        preset: network to train.
        run_folder: where checkpoints, curves and the final weights go.
        pack_folder: where decoded pixels are cached.
        train, validation: data sets.
        steps: optimiser steps in all; ``steps_per_epoch`` 0 means pairs / batch.
        schedule: "cosine" to a fiftieth, or "halve" at each epoch of ``halve_at_epochs``.
        crop: height, width of a training crop, multiples of the network's stride.
        ema: decay of the running mean of weights that is evaluated and exported; 0 is off.
        folded: run convolution + pooling of `paper` as the one strided convolution that it is,
            exactly and at half the cost (``training/folded.py``).
        thin_encoders: train `paper` with its encoders' channels divided by this, at a fraction of
            the cost; the weights file has them all (``training/thin.py``). For a first stage.
        channels_last: keep pictures and weights with the channels side by side in memory: a wide
            network such as `paper` then takes half the time on a CPU, `compact` gains nothing.
        objects: JSON of objects and scores (``training/objects.py``), for ``loss.objects``.
        objects_chance: share of crops drawn around an object of ``objects``.
        flicker_every: each n-th step takes consecutive frames and the flicker term; 0 is never.
        compile: let torch.compile fuse the step (a minute or two once, then up to twice as fast).
    """

    preset: str = "compact"
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
    folded: bool = False
    thin_encoders: int = 1
    channels_last: bool = False
    window_stride: int = 4
    objects: str | None = None
    objects_chance: float = 0.0
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
    picture_count: int = 4
    bad_batches_allowed: int = 0
    loss: LossWeights = field(default_factory=LossWeights)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _one_of("preset", self.preset, PRESETS)
        _one_of("schedule", self.schedule, ("cosine", "halve"))
        _one_of("precision", self.precision, ("32-true", "bf16-mixed", "16-mixed"))
        _one_of("accelerator", self.accelerator, ("auto", "cpu", "cuda"))
        stride = PRESETS[self.preset].stride
        if len(self.crop) != 2 or any(side <= 0 or side % stride for side in self.crop):
            raise ConfigError(f"crop is {self.crop}; allowed are two multiples of {stride}")
        for name in (
            "steps",
            "batch",
            "devices",
            "nodes",
            "validate_every",
            "window_stride",
            "thin_encoders",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is >= 1")
        network = PRESETS[self.preset]
        if self.thin_encoders > 1 and (
            network.layout != "encoder_decoder"
            or any(width % self.thin_encoders for width in network.widths)
        ):
            raise ConfigError(
                f"thin_encoders is {self.thin_encoders}; allowed is 1, or for preset 'paper' a "
                f"divisor of its narrowest level, {min(PRESETS['paper'].widths)}"
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
        if not 0 <= self.objects_chance <= 1:
            raise ConfigError(f"objects_chance is {self.objects_chance}; allowed is 0..1")
        if (self.loss.objects or self.objects_chance) and not self.objects:
            raise ConfigError("loss.objects and objects_chance need `objects`, a file of them")
        if not self.train:
            raise ConfigError("train is empty; it needs at least one data set")
        for entry in self.train:
            if DATA_SETS[entry.kind].evaluation_only:
                raise ConfigError(f"train has {entry.kind!r}, which is for evaluation only")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a YAML file holds them."""
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
    """Read a YAML file and lay ``key=value`` overrides over it (dots reach inside: ``loss.qe=2``).

    A file with ``base: OTHER.yaml`` holds only what differs from that one, as a later stage does.

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
        inner[last] = yaml.safe_load(text)
    return config_from_dict(values)


def _read_values(path: Path) -> dict[str, Any]:
    """A file's values, laid over those of the file beside it that its key ``base`` names."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"config {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"config {path} is a {type(values).__name__}; allowed is a mapping")
    base = values.pop("base", None)
    if base is None:
        return values
    below = _read_values(path.parent / str(base))
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
    try:
        values["loss"] = LossWeights.from_mapping(values.get("loss") or {})
    except (ValueError, AttributeError) as error:
        raise ConfigError(str(error)) from error
    return _build(RunConfig, values, "config")


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}; allowed is a mapping")
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where} has unknown key {key!r}; known: {', '.join(known)}")
        default = known[key].default
        if isinstance(default, bool):
            right = isinstance(value, bool)
        elif isinstance(default, int):
            right = isinstance(value, int) and not isinstance(value, bool)
        elif isinstance(default, float):
            right = isinstance(value, (int, float)) and not isinstance(value, bool)
        elif isinstance(default, str):
            right = isinstance(value, str)
        elif isinstance(default, tuple):
            right = isinstance(value, (list, tuple))
        else:
            right = True
        if not right:
            raise ConfigError(f"{where}.{key} is {value!r}; allowed is like {default!r}")
    tidy = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return kind(**tidy)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error
