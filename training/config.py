# SPDX-License-Identifier: Apache-2.0
"""Settings of a training run, with their ranges.

Values are checked before data are read; errors name the key and the allowed values.
``training/config_file.py`` reads them from a YAML file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusion_ros.model.config import PRESETS, FusionNetConfig
from fusion_ros.model.config import ConfigError as NetworkConfigError
from fusion_ros.model.network import check_layout
from fusion_ros.outside_text import LINE_LIMIT, printable
from training.data.pairs import DATA_SETS

LOGGERS = ("tensorboard", "csv", "wandb")


class ConfigError(ValueError):
    """An invalid configuration; the message names key, value and allowed values."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, LINE_LIMIT))


#: Least values of settings of a run.
_LEAST = {
    **dict.fromkeys(("steps", "batch", "devices", "nodes", "validate_every", "window_stride"), 1),
    **dict.fromkeys(("seed", "steps_per_epoch", "weight_decay", "warm_up_steps", "threads"), 0),
    **dict.fromkeys(("flicker_every", "checkpoint_every_s", "patience", "image_count"), 0),
    "bad_batches_allowed": 0,
}
_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class DataEntry:
    """One data set of a run.

    Attributes:
        kind: a key of ``training.data.pairs.DATA_SETS``.
        root: folder of the data set.
        split: file that lists the pairs to use; None uses all.
        weight: relative chance of each pair to be drawn for a crop.
        homography: 3x3, thermal to visible pixels, for images that are not aligned.
    """

    kind: str
    root: str
    split: str | None = None
    weight: float = 1.0
    homography: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        _one_of("data.kind", self.kind, DATA_SETS)
        if not self.weight > 0:
            raise ConfigError(f"data.weight of {self.kind} is {self.weight!r}; allowed is > 0")
        if self.homography is not None and not _is_matrix(self.homography):
            raise ConfigError(
                f"data.homography of {self.kind} is {self.homography!r}; allowed are 3x3 numbers"
            )


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
        for name, value in dataclasses.asdict(self).items():
            if name.startswith("flip") or name.endswith("_chance"):
                if not 0 <= value <= 1:
                    raise ConfigError(f"augmentation.{name} is {value}; allowed is 0..1")
            elif not value >= 0:
                raise ConfigError(f"augmentation.{name} is {value}; allowed is >= 0")
        if not 0 < self.smallest_gain <= 1:
            raise ConfigError(
                f"augmentation.smallest_gain is {self.smallest_gain}; allowed is > 0 and <= 1"
            )
        if not self.largest_gain >= 1:
            raise ConfigError(f"augmentation.largest_gain is {self.largest_gain}; allowed: >= 1")
        if not 1 <= self.zoom <= 4:
            raise ConfigError(f"augmentation.zoom is {self.zoom}; allowed is 1..4")


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run.

    Attributes:
        preset: network to train, `compact` or `paper`.
        network: fields of `FusionNetConfig` that differ from the preset, such as ``widths``.
        modules: Python files that register layouts (`register_layout`) or loss terms (`loss_term`).
        run_folder: folder for checkpoints, curves and the final weights.
        pack_folder: folder for the cache of decoded pixels.
        train: data sets for training.
        validation: data sets for validation.
        seed: seed of all random numbers.
        steps: number of optimiser steps.
        steps_per_epoch: steps that ``halve_at_epochs`` counts as an epoch; 0: pairs / batch.
        batch: crops of a step, on all processes together.
        crop: height, width of a training crop, multiples of the network's stride.
        learning_rate, weight_decay: of the optimiser, AdamW.
        schedule: "cosine" to a fiftieth, or "halve" at each epoch of ``halve_at_epochs``.
        warm_up_steps: steps in which the learning rate rises from 0.
        clip_gradient: largest norm of the gradient; a longer one is shortened to it.
        ema: decay of the mean of weights that is evaluated and exported; 0 disables it.
        channels_last: use the channels-last layout: a wide network such as `paper` takes half the
            time on a CPU, `compact` does not change.
        window_stride: step between the 8x8 windows of the terms qw and qe, in pixels.
        flicker_every: every n-th step uses consecutive frames and the temporal terms (``flicker``,
            ``restlessness``, ``static``); 0: none.
        compile: compile the step. It takes minutes once, and a step is up to twice as fast.
        initial_weights: weights file of the same network from which the run starts.
        precision, accelerator, devices, nodes: as in Lightning Fabric.
        threads: threads of PyTorch; 0: its default.
        checkpoint_every_s: seconds between two checkpoints.
        validate_every: steps between two validations; the last step is always validated.
        patience: validations without a better score (qw + qe) that end the run; 0: never.
        image_count: validation pairs whose images are logged.
        bad_batches_allowed: batches with a loss or gradient that is not finite, to be left out
            before the run stops.
        loggers: of ``tensorboard``, ``csv`` and ``wandb`` (Weights & Biases).
        loss: weight of each term of ``training/losses.py`` by its name.
        augmentation: see `Augmentation`.
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
        self._check_numbers()
        if self.patience and not self.validation:
            raise ConfigError(f"patience is {self.patience}; > 0 needs data in `validation`")
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

    def _check_numbers(self) -> None:
        for name, low in _LEAST.items():
            if not getattr(self, name) >= low:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is >= {low}")
        for name in ("learning_rate", "clip_gradient"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is > 0")
        if self.seed > _LARGEST_SEED:
            raise ConfigError(f"seed is {self.seed}; allowed is 0..{_LARGEST_SEED}")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema is {self.ema}; allowed is 0 <= ema < 1")

    def _check_data(self) -> None:
        if not self.train:
            raise ConfigError("train is empty; it needs at least one data set")
        for entry in self.train:
            if DATA_SETS[entry.kind].evaluation_only:
                raise ConfigError(f"train has {entry.kind!r}, which is for evaluation only")
        weights = {entry.kind: entry.weight for entry in self.train}
        for entry in self.train:
            if entry.weight != weights[entry.kind]:
                raise ConfigError(
                    f"train has {entry.kind!r} with the weights {entry.weight:g} and "
                    f"{weights[entry.kind]:g}; allowed is one weight for each kind"
                )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a YAML file."""
        return _plain(dataclasses.asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _is_matrix(value: object) -> bool:
    """Return whether a value is a 3x3 matrix of finite numbers."""
    try:
        matrix = np.array(value, np.float64)
    except (TypeError, ValueError):
        return False
    return matrix.shape == (3, 3) and bool(np.isfinite(matrix).all())


def _one_of(key: str, value: object, allowed: Any) -> None:
    if value not in allowed:
        raise ConfigError(f"{key} is {value!r}; allowed: {', '.join(map(str, allowed))}")
