# SPDX-License-Identifier: Apache-2.0
"""Augmentation of crops on the training device.

Every sample has its own generator, seeded by (run seed, step, place in the batch). A resumed run or
one on several processes therefore uses the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.config import Augmentation


@dataclass(frozen=True)
class Draw:
    """Random values of one sample; ranges are image values in [0, 1], the shift is in pixels."""

    flip: bool
    flip_vertical: bool
    gamma: tuple[float, float]
    low: tuple[float, float]
    gain: tuple[float, float]
    invert_thermal: bool
    blur: tuple[bool, bool]
    noise: tuple[float, float]
    shift: tuple[float, float]
    noise_seed: int
    sharpen: tuple[float, float]


def draw(rng: np.random.Generator, a: Augmentation) -> Draw:
    """Draw the augmentation of a sample. The number of draws does not depend on the settings."""
    chance = rng.random(10)
    gamma = np.exp(rng.normal(0, 1, 2) * a.gamma_spread)
    # Contrast from full range down to `smallest_gain`, uniform on a logarithmic scale.
    gain = a.smallest_gain ** (rng.random(2) * (chance[2:4] < a.range_chance))
    low = rng.random(2) * (1 - gain)
    noise = rng.uniform(0, 1, 2) * a.noise_deviation
    shift = rng.uniform(-1, 1, 2) * a.shift_pixels
    noise_seed = int(rng.integers(2**31))
    # Later additions are drawn last, so that the other draws of a seed stay the same.
    stretched = rng.random(2) < a.stretch_chance
    raised = a.largest_gain ** rng.random(2)
    gain = np.where(stretched, raised, gain)
    low = np.where(stretched, rng.random(2) * (1 - raised), low)
    sharpen = (rng.random(2) < a.sharpen_chance) * rng.random(2) * a.sharpen
    return Draw(
        flip=bool(chance[0] < a.flip),
        flip_vertical=bool(chance[1] < a.flip_vertical),
        gamma=(float(gamma[0]), float(gamma[1])),
        low=(float(low[0]), float(low[1])),
        gain=(float(gain[0]), float(gain[1])),
        invert_thermal=bool(chance[6] < a.polarity_chance),
        blur=(bool(chance[7] < a.blur_chance), bool(chance[8] < a.blur_chance)),
        noise=(float(noise[0]), float(noise[1])) if chance[9] < a.noise_chance else (0.0, 0.0),
        shift=(float(shift[0]), float(shift[1])),
        noise_seed=noise_seed,
        sharpen=(float(sharpen[0]), float(sharpen[1])),
    )


def augment(visible: Tensor, thermal: Tensor, draws: list[Draw]) -> tuple[Tensor, Tensor]:
    """Apply one draw to each sample.

    Args:
        visible: N, C, H, W in [0, 1].
        thermal: N, 1, H, W in [0, 1].
        draws: N draws.

    Returns:
        The two tensors, still in [0, 1].
    """
    device = visible.device

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=visible.dtype, device=device)[:, None, None, None]

    result = []
    for camera, x in enumerate((visible, thermal)):
        x = torch.stack(
            [
                sample.flip([axis for axis, on in ((2, d.flip), (1, d.flip_vertical)) if on])
                for sample, d in zip(x, draws, strict=True)
            ]
        )
        x = x ** column([d.gamma[camera] for d in draws])
        low = column([d.low[camera] for d in draws])
        x = (low + column([d.gain[camera] for d in draws]) * x).clamp(0, 1)
        if any(d.sharpen[camera] for d in draws):
            x = (x + column([d.sharpen[camera] for d in draws]) * (x - _blur(x))).clamp(0, 1)
        if camera == 1:
            inverted = column([float(d.invert_thermal) for d in draws])
            x = x + inverted * (1 - 2 * x)
            if any(d.shift != (0.0, 0.0) for d in draws):
                x = _shift(x, draws)
        if any(d.blur[camera] for d in draws):
            chosen = column([float(d.blur[camera]) for d in draws])
            x = x + chosen * (_blur(x) - x)
        if any(d.noise[camera] for d in draws):
            x = (x + _noise(x, draws, camera)).clamp(0, 1)
        result.append(x)
    return result[0], result[1]


def _blur(x: Tensor) -> Tensor:
    """Apply the 1-2-1 kernel in both directions, a Gaussian of about 0.85 pixels."""
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = (p[:, :, :-2] + 2 * p[:, :, 1:-1] + p[:, :, 2:]) / 4
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4


def _noise(x: Tensor, draws: list[Draw], camera: int) -> Tensor:
    planes = []
    for sample, d in zip(x, draws, strict=True):
        generator = torch.Generator(device=x.device).manual_seed(d.noise_seed + camera)
        noise = torch.randn(sample.shape, generator=generator, device=x.device, dtype=x.dtype)
        planes.append(d.noise[camera] * noise)
    return torch.stack(planes)


def _shift(x: Tensor, draws: list[Draw]) -> Tensor:
    """Shift the thermal image by up to a few pixels, as by imperfect registration."""
    height, width = x.shape[-2:]
    theta = x.new_zeros(len(draws), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    theta[:, 0, 2] = x.new_tensor([2 * d.shift[0] / width for d in draws])
    theta[:, 1, 2] = x.new_tensor([2 * d.shift[1] / height for d in draws])
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
