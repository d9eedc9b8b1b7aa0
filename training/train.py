# SPDX-License-Identifier: Apache-2.0
"""``fusion-ros train CONFIG.yaml [key=value ...]``: train, validate, checkpoint, resume.

The same command resumes a run after a stop or a kill. On a CPU the result equals that of an
uninterrupted run bit by bit. On several GPUs or machines start it by ``torchrun``; Lightning Fabric
handles processes, precision and devices.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from fusion_ros.files.writing import new_file, write_text
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import load_weights, save_weights
from fusion_ros.outside_text import printable
from training.config import ConfigError, RunConfig
from training.config_file import load_config
from training.data.packing import Pack
from training.data.pairs import DATA_SETS
from training.data.sampling import Batch, CropSampler, prefetch, prepare_pack
from training.run.compiling import compiled_step
from training.run.progress import ProgressLine, make_loggers, shown
from training.run.run_folder import BEST, CHECKPOINT, WEIGHTS, append_metrics, open_run_folder
from training.run.step import TrainingStep, images_on_device
from training.run.validation import Validator

INTERRUPTED = 130
#: Steps between two points of a curve.
CURVE_STEPS = 20


class TrainingError(RuntimeError):
    """Training cannot go on; the message names step, batch and what was found."""


def learning_rate(config: RunConfig, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step, warm-up included."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warm_up_steps))
    if config.schedule == "halve":
        epoch = step // steps_per_epoch
        return rate * 0.5 ** sum(epoch >= at for at in config.halve_at_epochs)
    share = min(1.0, step / config.steps)
    return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


@dataclass
class Best:
    """Best validation score of a run, its step, and the number of validations since."""

    score: float = -math.inf
    step: int = 0
    waited: int = 0

    def improved(self, score: float, step: int) -> bool:
        """Record a score and return whether it is the best."""
        if score > self.score:
            self.score, self.step, self.waited = score, step, 0
            return True
        self.waited += 1
        return False


class Trainer:
    """One run: built from a config, ``run()`` goes from the last checkpoint to the last step."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        if config.threads:
            torch.set_num_threads(config.threads)
        launched = "LOCAL_WORLD_SIZE" in os.environ
        self.fabric = Fabric(
            accelerator=config.accelerator,
            devices=int(os.environ.get("LOCAL_WORLD_SIZE", config.devices)),
            num_nodes=config.nodes,
            precision=cast(Any, config.precision),
            strategy="ddp" if launched or config.devices * config.nodes > 1 else "auto",
            loggers=make_loggers(config),
        )
        self.fabric.launch()
        world = self.fabric.world_size
        if config.batch % (2 * world if config.flicker_every else world):
            raise ConfigError(
                f"batch is {config.batch}; allowed are multiples of the {world} processes"
                + (" times two, for pairs of frames" if config.flicker_every else "")
            )
        torch.manual_seed(config.seed)
        self.folder = Path(config.run_folder)
        if self.fabric.is_global_zero:
            open_run_folder(config)
            self._packs = self._open_packs()
        self.fabric.barrier()
        if not self.fabric.is_global_zero:
            self._packs = self._open_packs()
        shape = config.shape
        train_pack = self._packs[0]
        assert train_pack is not None, "RunConfig requires data sets in `train`"
        self.sampler = CropSampler(
            train_pack,
            {entry.kind: entry.weight for entry in config.train},
            config.crop,
            shape.visible_channels,
            config.augmentation,
            seed=config.seed,
            batch=config.batch,
            rank=self.fabric.global_rank,
            world=world,
        )
        if config.flicker_every and not self.sampler.has_motion:
            raise ConfigError("flicker_every is set, but no data set of `train` has moving frames")
        self.steps_per_epoch = config.steps_per_epoch or max(1, len(train_pack) // config.batch)
        net = FusionNet(shape)
        if config.initial_weights:
            _start_from(net, config.initial_weights)
        self.running_mean = copy.deepcopy(net).requires_grad_(False)
        step = TrainingStep(net, config.loss, config.window_stride)
        self._memory = torch.channels_last if config.channels_last else torch.contiguous_format
        step.to(memory_format=self._memory)  # type: ignore[call-overload] # its stub lacks this
        optimizer = torch.optim.AdamW(
            net.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            eps=1e-8,
            weight_decay=config.weight_decay,
        )
        self.module, self.optimizer = self.fabric.setup(step, optimizer)
        self.net = net
        self.running_mean.to(self.fabric.device)
        self._compute: Callable[..., tuple[Tensor, Mapping[str, Tensor]]] = self.module
        self.step = 0
        self.bad_batches = 0
        self.best = Best()
        self._stop = False

    def _open_packs(self) -> list[Pack | None]:
        packs: list[Pack | None] = []
        for entries in (self.config.train, self.config.validation):
            if not entries:
                packs.append(None)
                continue
            pack, problems = prepare_pack(entries, Path(self.config.pack_folder))
            packs.append(pack)
            for problem in problems[:20] if self.fabric.is_global_zero else []:
                print(f"skipped: {problem}", file=sys.stderr)
        return packs

    def run(self) -> int:
        """Train to the last step and return 0, or 130 after Ctrl-C, which leaves a checkpoint."""
        self._resume()
        if self._is_complete():
            if self.fabric.is_global_zero:
                key = "patience" if self._is_patience_exhausted() else "steps"
                text = f"{self.folder} is complete at step {self.step}; increase {key} to continue"
                print(text, file=sys.stderr)
            return 0
        validator = Validator(self._packs[1], self.config, self.fabric)
        handlers = {
            number: signal.signal(number, self._ask_to_stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        progress = ProgressLine(self.step, self.config.steps, quiet=not self.fabric.is_global_zero)
        pairs = " and ".join(
            f"{len(pack)} {part}"
            for part, pack in zip(("training", "validation"), self._packs, strict=True)
            if pack is not None
        )
        start = f"resumes at step {self.step}" if self.step else "starts"
        progress.say(f"{self.folder} {start}: {pairs} pairs, on {self.fabric.device}")
        self.module.train()
        try:
            if self.config.compile and self.step < self.config.steps:
                self._compile(progress)
            self._train(validator, progress)
        finally:
            progress.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            for logger in self.fabric.loggers:
                logger.finalize("success")
        self._save()
        if self._stop:
            progress.say(f"stopped at step {self.step}; the same command resumes")
            return INTERRUPTED
        if self.fabric.is_global_zero:
            self._write_weights(self.folder / WEIGHTS, validator.last_scores)
            scores = validator.last_scores
            described = f", {shown(scores)}" if scores else ""
            progress.say(f"{self.folder / WEIGHTS}: step {self.step}{described}")
            if self.best.step:
                progress.say(f"{self.folder / BEST}: step {self.best.step}, best validation score")
        return 0

    def _train(self, validator: Validator, progress: ProgressLine) -> None:
        """Train from the present step until the last, a stop signal, or no more improvement."""
        steps = range(self.step, self.config.steps)
        last_save = time.monotonic()
        for batch in prefetch(self.sampler, steps, self.config.flicker_every):
            terms = self._train_on(batch)
            self.step += 1
            progress.update(terms)
            if terms:
                self.fabric.log_dict({f"train/{k}": v for k, v in terms.items()}, self.step)
            due = self.step % self.config.validate_every == 0 or self.step == self.config.steps
            if due and self._validate(validator, terms, progress):
                return
            if time.monotonic() - last_save > self.config.checkpoint_every_s:
                self._save()
                last_save = time.monotonic()
            if self._stop:
                return

    def _validate(
        self, validator: Validator, terms: dict[str, float], progress: ProgressLine
    ) -> bool:
        """Validate, keep the best weights, and return whether the patience is exhausted."""
        scores = validator.validate(self._exported(), self.step)
        if scores:
            append_metrics(self.folder, self.step, {**terms, **scores})
            is_best = self.best.improved(sum(scores.values()), self.step)
            progress.say(f"step {self.step}: {shown(scores)}{', the best yet' if is_best else ''}")
            if is_best:
                self._write_weights(self.folder / BEST, scores)
        exhausted = bool(scores) and self._is_patience_exhausted()
        exhausted = self.fabric.broadcast(exhausted)  # the first process alone validates
        if exhausted:
            progress.say(f"no better score in {self.best.waited} validations: stopped early")
        return exhausted

    def _compile(self, progress: ProgressLine) -> None:
        progress.say("compiling the step; this takes minutes once")
        self._compute = compiled_step(
            self.module,
            *images_on_device(self.sampler.batch(self.step), self.fabric.device),
            moving=self.config.flicker_every > 0,
            backward=self.fabric.backward,
        )

    def _train_on(self, batch: Batch) -> dict[str, float]:
        """Train on a batch; return loss, terms and rate if a point of the curves is due."""
        rate = learning_rate(self.config, self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        visible, thermal = (
            x.contiguous(memory_format=self._memory)
            for x in images_on_device(batch, self.fabric.device)
        )
        loss, terms = self._compute(visible, thermal, batch.consecutive)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip_gradient)
        # The gradients are means over all processes here, so all take the same branch.
        if not torch.isfinite(norm):
            self.bad_batches += 1
            message = (
                f"step {self.step}: loss {loss.item()}, gradient norm {norm.item()}, terms "
                f"{ {k: v.item() for k, v in terms.items()} }, batch: {', '.join(batch.names)}"
            )
            if self.bad_batches > self.config.bad_batches_allowed:
                self._save_bad(message)
                raise TrainingError(message)
            print(f"skipped a bad batch: {message}", file=sys.stderr)
            return {}
        self.optimizer.step()
        self._update_mean()
        values = {"loss": loss.detach(), **terms, "lr": torch.tensor(rate)}
        is_due = self.step == 0 or (self.step + 1) % CURVE_STEPS == 0
        return {k: float(v) for k, v in values.items()} if is_due else {}

    def _update_mean(self) -> None:
        """Move the mean of weights towards the present ones."""
        decay = min(self.config.ema, (self.step + 1) / (self.step + 11)) if self.config.ema else 0.0
        with torch.no_grad():
            for mean, now in zip(
                self.running_mean.parameters(), self.net.parameters(), strict=True
            ):
                mean.lerp_(now, 1 - decay)

    def _exported(self) -> FusionNet:
        """Return a copy of the network with the averaged weights, on this device."""
        return copy.deepcopy(self.running_mean).eval()

    def _ask_to_stop(self, *_: object) -> None:
        self._stop = True

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location=self.fabric.device, weights_only=True)
        except Exception as error:  # of zip, pickle or torch
            raise TrainingError(
                f"{path} cannot be read ({printable(error)}); remove it to start again, or use "
                "another run_folder"
            ) from error
        self.net.load_state_dict(state["net"])
        self.running_mean.load_state_dict(state["running_mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.bad_batches = state["step"], state["bad_batches"]
        self.best = Best(**state["best"])

    def _is_complete(self) -> bool:
        """Return whether an earlier call trained to the end and wrote the weights."""
        is_at_end = self.step >= self.config.steps or self._is_patience_exhausted()
        if not is_at_end or not (self.folder / WEIGHTS).is_file():
            return False
        return load_weights(self.folder / WEIGHTS).metadata.version == f"step-{self.step}"

    def _is_patience_exhausted(self) -> bool:
        return 0 < self.config.patience <= self.best.waited

    def _save(self) -> None:
        """Write the checkpoint whole or not at all: a kill while writing leaves the old one."""
        if self.fabric.is_global_zero:
            state = {
                "net": self.net.state_dict(),
                "running_mean": self.running_mean.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "bad_batches": self.bad_batches,
                "best": dataclasses.asdict(self.best),
            }
            with new_file(self.folder / CHECKPOINT) as file:
                torch.save(state, file)
        self.fabric.barrier()

    def _save_bad(self, message: str) -> None:
        write_text(self.folder / "bad_batch.txt", message + "\n")

    def _write_weights(self, path: Path, scores: dict[str, float]) -> None:
        kinds = sorted({entry.kind for entry in self.config.train})
        save_weights(
            path,
            self._exported().cpu(),
            training_data="; ".join(f"{kind} ({DATA_SETS[kind].terms})" for kind in kinds),
            metrics=scores,
            version=f"step-{self.step}",
        )


def _start_from(net: FusionNet, path: str) -> None:
    try:
        net.load_state_dict(load_weights(path).net.state_dict())
    except RuntimeError as error:
        raise ConfigError(f"initial_weights {path} do not fit the network: {error}") from error


def run(options: argparse.Namespace) -> int:
    """Run `fusion-ros train`; returns the exit code."""
    config = load_config(options.config, options.overrides)
    if options.prepare:
        report_data(config)
        return 0
    return Trainer(config).run()


def report_data(config: RunConfig) -> None:
    """Decode the data sets of a config and print what was found."""
    for part, entries in (("train", config.train), ("validation", config.validation)):
        if not entries:
            print(f"{part}: none")
            continue
        pack, problems = prepare_pack(entries, Path(config.pack_folder))
        for kind in dict.fromkeys(entry.kind for entry in entries):
            own = [pair for pair in pack.pairs if pair.source == kind]
            sizes = Counter(f"{pair.width}x{pair.height}" for pair in own)
            common = [f"{size} ({n})" for size, n in sizes.most_common(3)]
            if len(sizes) > 3:
                common.append(f"{len(sizes) - 3} others")
            fit = sum(p.height >= config.crop[0] and p.width >= config.crop[1] for p in own)
            print(
                f"{part}: {kind}: {len(own)} pairs, {sum(p.frames > 1 for p in own)} with a second "
                f"frame; sizes {', '.join(common)}"
                + (f"; {fit} hold a crop of {config.crop}" if part == "train" else "")
            )
        print(f"{part}: {len(problems)} files skipped")
        for problem in problems:
            print(f"  {problem}")
