# SPDX-License-Identifier: Apache-2.0
"""Progress of a run: the line with step, loss terms, speed and time left, and loggers by name."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.utilities.rank_zero import rank_zero_only
from tqdm import tqdm

from training.config import ConfigError, RunConfig

#: Seconds between two lines in a log file.
LOG_EVERY_S = 30.0
_FORMAT = "step {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left{postfix}"


class ProgressLine:
    """One live line on a terminal; elsewhere a line at the start and then every `LOG_EVERY_S`."""

    def __init__(self, step: int, steps: int, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._sink = None if self._live else open(os.devnull, "w")  # noqa: SIM115 -- see close()
        self._bar = tqdm(
            total=steps,
            initial=step,
            unit="step",
            file=self._sink,
            bar_format=_FORMAT,
            dynamic_ncols=True,
            leave=False,
        )
        self._next = time.monotonic()

    def update(self, terms: Mapping[str, float]) -> None:
        """Count a step; ``terms`` are shown until others arrive."""
        if terms:
            shown = (f"{k}={v:.2g}" if k == "lr" else f"{k}={v:.3f}" for k, v in terms.items())
            self._bar.set_postfix_str(" ".join(shown), refresh=False)
        self._bar.update()
        if not self._live and time.monotonic() >= self._next:
            self.say(str(self._bar))
            self._next = time.monotonic() + LOG_EVERY_S

    def say(self, line: str) -> None:
        """Print a line above the live one."""
        if not self._quiet:
            tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        """Remove the live line."""
        self._bar.close()
        if self._sink is not None:
            self._sink.close()


def shown(scores: Mapping[str, float]) -> str:
    """Return validation scores for a line of text."""
    return ", ".join(f"{k.removeprefix('validation_')} {v:.4f}" for k, v in scores.items())


class WandbLogger(Logger):
    """Logger for Weights & Biases, which reads its own variables, such as WANDB_MODE.

    wandb's logger for Fabric needs the whole package `lightning`.
    """

    def __init__(self, config: RunConfig) -> None:
        import wandb

        self._wandb = wandb
        self._config = config
        self._run: Any = None

    @property
    def name(self) -> str:
        """Name of the run: that of its folder."""
        return Path(self._config.run_folder).name

    @property
    def version(self) -> str:
        """Identifier of the run on the server; empty before the first point."""
        return self._run.id if self._run else ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a point to each curve."""
        if self._run is None:
            values = self._config.as_dict()
            folder = self._config.run_folder
            self._run = self._wandb.init(
                project="fusion_ros", name=self.name, dir=folder, config=values
            )
        self._run.log(dict(metrics), step=step)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Do nothing: the run starts with its config."""

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Any], step: int) -> None:
        """Add images (float tensors 1xHxW in [0, 1])."""
        self.log_metrics({key: [self._wandb.Image(image) for image in images]}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None


def make_loggers(config: RunConfig) -> list[Logger]:
    """Make the loggers of a config, which write to the run's folder.

    Raises:
        ConfigError: the package of a logger is not installed.
    """
    folder = Path(config.run_folder)
    made = []
    for name in config.loggers:
        try:
            if name == "tensorboard":
                logger: Logger = TensorBoardLogger(folder, name, version="", flush_secs=10)
            elif name == "csv":  # a resumed run gets a new version_N
                logger = CSVLogger(folder, name, flush_logs_every_n_steps=1)
            else:
                logger = WandbLogger(config)
        except ImportError as error:
            raise ConfigError(
                f"loggers has {name!r}, which needs a package that is not installed "
                f"({error}); pip install {name}, or remove it from loggers"
            ) from error
        made.append(logger)
    return made


def log_images(loggers: Sequence[Logger], key: str, images: Sequence[Any], step: int) -> None:
    """Log images (float tensors 1xHxW in [0, 1]) where a logger takes them."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            for number, image in enumerate(images):
                logger.experiment.add_image(f"{key}/{number}", image, step)
        elif isinstance(logger, WandbLogger):
            logger.log_image(key, images, step)
