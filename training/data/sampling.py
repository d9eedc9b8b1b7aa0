# SPDX-License-Identifier: Apache-2.0
"""Stateless sampling of batches: step k of a run always has the same crops."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Full, Queue

import cv2
import numpy as np
import torch
from torch import Tensor

from fusion_ros.files.writing import write_json
from training.config import Augmentation, ConfigError, DataEntry
from training.data.augmentation import Draw, draw
from training.data.packing import INDEX_NAME, Pack, PackWriter
from training.data.pairs import DataSetError, Pairs, find_pairs
from training.data.reading import read_pair


def prepare_pack(entries: tuple[DataEntry, ...], folder: Path) -> tuple[Pack, list[str]]:
    """Open the pack of these data sets; decode it first if it does not exist.

    Returns:
        The pack, and a line for each file that was skipped.

    Raises:
        DataSetError: no pair could be read.
    """
    listed = [
        (
            entry,
            find_pairs(entry.kind, Path(entry.root), Path(entry.split) if entry.split else None),
        )
        for entry in entries
    ]
    digest = hashlib.sha256()
    for entry, pairs in listed:
        digest.update(repr((entry.kind, entry.homography)).encode())
        for pair in pairs:
            for path in (pair.visible, pair.thermal):
                stat = path.stat()
                key = (pair.name, str(path), pair.frame, stat.st_size, stat.st_mtime_ns)
                digest.update(repr(key).encode())
    target = folder / digest.hexdigest()[:16]
    problems_file = target / "problems.json"
    if not ((target / INDEX_NAME).is_file() and problems_file.is_file()):
        problems = _write_pack(listed, target)
        write_json(problems_file, problems)
    return Pack(target), json.loads(problems_file.read_text())


def _write_pack(listed: list[tuple[DataEntry, Pairs]], target: Path) -> list[str]:
    problems: list[str] = []
    written = 0
    with PackWriter(target) as writer:
        for entry, pairs in listed:
            problems += pairs.problems
            homography = (
                None if entry.homography is None else np.array(entry.homography, np.float64)
            )
            for pair in pairs:
                try:  # a broken file does not affect the others
                    writer.add(f"{entry.kind}/{pair.name}", entry.kind, read_pair(pair, homography))
                    written += 1
                except DataSetError as error:
                    problems.append(str(error))
        if not written:
            raise DataSetError(f"none of the listed pairs could be read; first: {problems[:3]}")
    return problems


_Sample = tuple[Tensor, Tensor, Draw, str]
"""Visible C, H, W, thermal 1, H, W, augmentation and name."""


@dataclass(frozen=True)
class Batch:
    """uint8 crops, their random augmentations, and their names for errors.

    visible is N, C, H, W and thermal N, 1, H, W. With ``consecutive``, the second half of the
    batch holds the frames after those of the first half.
    """

    visible: Tensor
    thermal: Tensor
    draws: list[Draw]
    names: list[str]
    consecutive: bool


class CropSampler:
    """Sampler of crops; ``batch(step)`` is a pure function of its arguments.

    Args:
        pack: decoded pairs.
        weights: relative chance of each pair, by the kind of its data set.
        crop: height, width; smaller pairs are excluded.
        channels: 1 for luma, 3 for RGB.
        augmentation: settings of the augmentation.
        seed: seed of the run.
        batch: samples of a batch on all processes together.
        rank: number of this process; it uses samples rank, rank + world, ... of each batch.
        world: number of processes.
    """

    def __init__(
        self,
        pack: Pack,
        weights: dict[str, float],
        crop: tuple[int, int],
        channels: int,
        augmentation: Augmentation,
        *,
        seed: int,
        batch: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        fits = [p.height >= crop[0] and p.width >= crop[1] for p in pack.pairs]
        if not any(fits):
            largest = max((p.height, p.width) for p in pack.pairs)
            raise ConfigError(f"crop is {crop}; the largest pair has {largest} pixels")
        chance = np.array([weights[p.source] * f for p, f in zip(pack.pairs, fits, strict=True)])
        self._chance = chance / chance.sum()
        moving = np.array([p.frames > 1 for p in pack.pairs]) * chance
        self._moving = moving / moving.sum() if moving.sum() else None
        self._pack, self._crop, self._channels = pack, tuple(crop), channels
        self._augmentation, self._seed, self._batch = augmentation, seed, batch
        self._rank, self._world = rank, world

    @property
    def has_motion(self) -> bool:
        """Return whether any pair has a second frame."""
        return self._moving is not None

    def batch(self, step: int, *, consecutive: bool = False) -> Batch:
        """Return the part of a step's batch for this process."""
        count = self._batch // 2 if consecutive else self._batch
        first, second = [], []
        for place in range(self._rank, max(count, self._world), self._world):
            sample = self._sample(step, place, consecutive)
            first.append(sample[0])
            second += sample[1:]
        chosen = first + second
        return Batch(
            visible=torch.stack([c[0] for c in chosen]),
            thermal=torch.stack([c[1] for c in chosen]),
            draws=[c[2] for c in chosen],
            names=[c[3] for c in chosen],
            consecutive=consecutive,
        )

    def _sample(self, step: int, place: int, consecutive: bool) -> list[_Sample]:
        """Return one crop, or those of two consecutive frames."""
        rng = np.random.default_rng((self._seed, step, place))
        index = int(rng.choice(len(self._pack), p=self._moving if consecutive else self._chance))
        pair = self._pack.pairs[index]
        magnified = rng.random() < self._augmentation.zoom_chance
        zoom = float(rng.uniform(1, self._augmentation.zoom)) if magnified else 1.0
        size = round(self._crop[0] / zoom), round(self._crop[1] / zoom)
        box = self._box(rng, index, size)
        drawn = draw(rng, self._augmentation)
        # After all other draws, so that a probability of zero does not change the samples.
        other, other_box = index, box
        if rng.random() < self._augmentation.stranger_chance and not consecutive:
            other = int(rng.choice(len(self._pack), p=self._chance))
            other_box = self._box(rng, other, size)
        if consecutive:
            # A clip has independent camera noise in each frame. Additional noise would train the
            # network to blur, and equal noise in both frames would train it to expect static noise.
            drawn = replace(drawn, noise=(0.0, 0.0))
        crops = []
        for frame in range(2 if consecutive else 1):
            visible, thermal = self._pack.frame(index, frame)
            if other != index:
                thermal = self._pack.frame(other, frame)[1]
            planes = [self._to_crop(visible[box]), self._to_crop(thermal[other_box])]
            if self._channels == 1:
                planes[0] = cv2.cvtColor(planes[0], cv2.COLOR_RGB2GRAY)[None]
            else:
                planes[0] = np.ascontiguousarray(planes[0].transpose(2, 0, 1))
            tensors = torch.from_numpy(planes[0]), torch.from_numpy(planes[1][None])
            name = f"{pair.name}@{box[0].start},{box[1].start}"
            crops.append((*tensors, drawn, name))
        return crops

    def _box(
        self, rng: np.random.Generator, index: int, size: tuple[int, int]
    ) -> tuple[slice, slice]:
        """Return a random crop of this height and width, as slices."""
        pair, (height, width) = self._pack.pairs[index], size
        top = int(rng.integers(0, pair.height - height + 1))
        left = int(rng.integers(0, pair.width - width + 1))
        return slice(top, top + height), slice(left, left + width)

    def _to_crop(self, pixels: np.ndarray) -> np.ndarray:
        """Return a copy at the crop's size, magnified from a smaller box."""
        if pixels.shape[:2] == self._crop:
            return pixels.copy()
        return cv2.resize(np.ascontiguousarray(pixels), self._crop[::-1])


def prefetch(sampler: CropSampler, steps: range, flicker_every: int) -> Iterator[Batch]:
    """Yield the batches of these steps, prepared in a thread parallel to training."""
    queue: Queue = Queue(maxsize=2)
    stop = threading.Event()

    def work() -> None:
        try:
            for step in steps:
                moving = bool(flicker_every) and step % flicker_every == flicker_every - 1
                batch = sampler.batch(step, consecutive=moving)
                while not stop.is_set():
                    try:
                        queue.put(batch, timeout=0.2)
                        break
                    except Full:  # check `stop` again
                        continue
                if stop.is_set():
                    return
            queue.put(None)
        except Exception as error:  # raised in the consumer
            queue.put(error)

    thread = threading.Thread(target=work, name="crops", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
