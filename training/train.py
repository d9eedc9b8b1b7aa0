# SPDX-License-Identifier: Apache-2.0
"""``python -m training.train CONFIG.yaml [key=value ...]``: train, validate, checkpoint, resume.

Run the same command again to go on after a stop or a kill: the result is the same, bit by bit on
a CPU, as that of a run that was never stopped. On several GPUs or machines start it by
``torchrun``; Lightning Fabric carries processes, precision and placement.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import signal
import sys
import time
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm import tqdm

from fusion_ros.files.writing import new_file, write_text
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import WeightsError, load_weights, save_weights
from training.compiling import CompileError, compiled_step
from training.config import ConfigError, RunConfig, load_config
from training.folded import fold_for_training
from training.objects import ObjectsError, read_objects
from training.pairs import DATA_SETS, DataSetError
from training.run_folder import CHECKPOINT, WEIGHTS, append_metrics, open_run_folder
from training.sampling import Batch, CropSampler, prefetch, prepare_pack
from training.step import TrainingStep, pictures
from training.thin import thin_encoders
from training.validation import Validator
from training.widening import WideningError, start_from

INTERRUPTED = 130


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
            precision=config.precision,
            strategy="ddp" if launched or config.devices * config.nodes > 1 else "auto",
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
        shape = PRESETS[config.preset]
        self.sampler = CropSampler(
            self._packs[0],
            {entry.kind: entry.weight for entry in config.train},
            config.crop,
            shape.visible_channels,
            config.augmentation,
            seed=config.seed,
            batch=config.batch,
            rank=self.fabric.global_rank,
            world=world,
            objects=read_objects(Path(config.objects)) if config.objects else None,
            objects_chance=config.objects_chance,
        )
        if config.flicker_every and not self.sampler.has_motion:
            raise ConfigError("flicker_every is set, but no data set of `train` has moving frames")
        self.steps_per_epoch = config.steps_per_epoch or max(1, len(self._packs[0]) // config.batch)
        net = FusionNet(shape)
        if config.initial_weights:
            start_from(net, load_weights(config.initial_weights).net)
        thin_encoders(net, config.thin_encoders, keep=bool(config.initial_weights))
        if config.folded:
            fold_for_training(net)
        self.running_mean = copy.deepcopy(net).requires_grad_(False)
        step = TrainingStep(net, config.loss, config.window_stride)
        self._memory = torch.channels_last if config.channels_last else torch.contiguous_format
        step.to(memory_format=self._memory)
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
        self._compute = self.module
        self.step = 0
        self.bad_batches = 0
        self._stop = False

    def _open_packs(self) -> list:
        packs = []
        for entries in (self.config.train, self.config.validation):
            if not entries:
                packs.append(None)
                continue
            pack, problems = prepare_pack(entries, Path(self.config.pack_folder))
            packs.append(pack)
            for problem in problems[:20] if self.fabric.is_global_zero else []:
                print(f"skipped: {problem}", file=sys.stderr)
        return packs

    def run(self) -> int:  # noqa: C901 -- the training loop
        """Train to the end; returns 0, or 130 after Ctrl-C with a checkpoint left behind."""
        self._resume()
        validator = Validator(self._packs[1], self.folder, self.config, self.fabric)
        handlers = {
            number: signal.signal(number, self._ask_to_stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        steps = range(self.step, self.config.steps)
        progress = tqdm(
            total=self.config.steps,
            initial=self.step,
            disable=not self.fabric.is_global_zero or None,
            unit="step",
        )
        last_save = time.monotonic()
        self.module.train()
        if self.config.compile and self.step < self.config.steps:
            batch = self.sampler.batch(self.step)
            self._compute = compiled_step(
                self.module,
                *pictures(batch, self.fabric.device),
                preferences=self._on_device(batch.preferences),
                moving=self.config.flicker_every > 0,
                backward=self.fabric.backward,
            )
        try:
            for batch in prefetch(self.sampler, steps, self.config.flicker_every):
                terms = self._train_on(batch)
                self.step += 1
                progress.update()
                if self.step % 20 == 0 and terms:
                    progress.set_postfix({k: f"{v:.4f}" for k, v in terms.items()})
                    validator.curve(self.step, terms)
                if self.step % self.config.validate_every == 0 or self.step == self.config.steps:
                    scores = validator.validate(self._exported(), self.step)
                    if scores and self.fabric.is_global_zero:
                        append_metrics(self.folder, self.step, {**terms, **scores})
                        progress.write(f"step {self.step}: {scores}")
                if self._stop or time.monotonic() - last_save > self.config.checkpoint_every_s:
                    self._save()
                    last_save = time.monotonic()
                if self._stop:
                    if self.fabric.is_global_zero:
                        progress.write(f"stopped at step {self.step}; the same command resumes")
                    return INTERRUPTED
        finally:
            progress.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            validator.close()
        self._save()
        if self.fabric.is_global_zero:
            self._write_weights(validator.last_scores)
        return 0

    def _train_on(self, batch: Batch) -> dict[str, float]:
        rate = learning_rate(self.config, self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        visible, thermal = (
            x.contiguous(memory_format=self._memory) for x in pictures(batch, self.fabric.device)
        )
        preferences = self._on_device(batch.preferences)
        loss, terms = self._compute(visible, thermal, batch.consecutive, preferences)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip_gradient)
        # After the gradients' mean over all processes, so that all decide alike.
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
        self._follow()
        values = {"loss": loss.detach(), **terms, "lr": torch.tensor(rate)}
        return {k: float(v) for k, v in values.items()} if (self.step + 1) % 20 == 0 else {}

    def _on_device(self, x: torch.Tensor | None) -> torch.Tensor | None:
        return None if x is None else x.to(self.fabric.device, non_blocking=True)

    def _follow(self) -> None:
        decay = min(self.config.ema, (self.step + 1) / (self.step + 11)) if self.config.ema else 0.0
        with torch.no_grad():
            for mean, now in zip(
                self.running_mean.parameters(), self.net.parameters(), strict=True
            ):
                mean.lerp_(now, 1 - decay)

    def _exported(self) -> FusionNet:
        """The published form of the averaged weights, on this device."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            net = FusionNet(PRESETS[self.config.preset])
        start_from(net.to(self.fabric.device), self.running_mean)
        return net.eval()

    def _ask_to_stop(self, *_: object) -> None:
        self._stop = True

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.fabric.device, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.running_mean.load_state_dict(state["running_mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.bad_batches = state["step"], state["bad_batches"]

    def _save(self) -> None:
        """Write the checkpoint whole or not at all: a kill while writing leaves the old one."""
        if self.fabric.is_global_zero:
            state = {
                "net": self.net.state_dict(),
                "running_mean": self.running_mean.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "bad_batches": self.bad_batches,
            }
            with new_file(self.folder / CHECKPOINT) as file:
                torch.save(state, file)
        self.fabric.barrier()

    def _save_bad(self, message: str) -> None:
        write_text(self.folder / "bad_batch.txt", message + "\n")

    def _write_weights(self, scores: dict[str, float]) -> None:
        kinds = sorted({entry.kind for entry in self.config.train})
        save_weights(
            self.folder / WEIGHTS,
            self._exported().cpu(),
            training_data="; ".join(f"{kind} ({DATA_SETS[kind].terms})" for kind in kinds),
            metrics=scores,
            version=f"step-{self.step}",
        )


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("config", help="YAML file, for instance training/configs/compact.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="laid over the file")
    options = parser.parse_args(arguments)
    try:
        return Trainer(load_config(options.config, options.overrides)).run()
    except (
        CompileError,
        ConfigError,
        DataSetError,
        ObjectsError,
        TrainingError,
        WeightsError,
        WideningError,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
