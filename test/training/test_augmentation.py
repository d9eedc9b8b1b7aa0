# SPDX-License-Identifier: Apache-2.0
"""Augmented crops stay pictures, stay aligned, and depend on seed, step and place alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from training.config import Augmentation
from training.data.augmentation import augment, draw

EVERYTHING = Augmentation(
    flip=1.0,
    flip_vertical=1.0,
    range_chance=1.0,
    polarity_chance=1.0,
    blur_chance=1.0,
    noise_chance=1.0,
    shift_pixels=2.0,
    stretch_chance=0.5,
    sharpen_chance=1.0,
)
NOTHING = Augmentation(
    flip=0.0,
    flip_vertical=0.0,
    gamma_spread=0.0,
    range_chance=0.0,
    polarity_chance=0.0,
)


def crops() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 3, 16, 24, generator=generator), torch.rand(
        3, 1, 16, 24, generator=generator
    )


def draws(settings: Augmentation, seed: int = 0) -> list:
    return [draw(np.random.default_rng((seed, place)), settings) for place in range(3)]


def test_without_settings_nothing_changes():
    visible, thermal = crops()
    a, b = augment(visible, thermal, draws(NOTHING))
    torch.testing.assert_close(a, visible)
    torch.testing.assert_close(b, thermal)


def test_all_at_once_stays_between_black_and_white():
    for seed in range(5):
        for x in augment(*crops(), draws(EVERYTHING, seed)):
            assert x.min() >= 0
            assert x.max() <= 1
            assert torch.isfinite(x).all()


def test_equal_draws_give_equal_images():
    first, again = (augment(*crops(), draws(EVERYTHING)) for _ in range(2))
    other = augment(*crops(), draws(EVERYTHING, seed=1))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_both_cameras_flip_together():
    settings = Augmentation(
        flip=1.0, flip_vertical=0.0, gamma_spread=0.0, range_chance=0.0, polarity_chance=0.0
    )
    visible, thermal = crops()
    a, b = augment(visible, thermal, draws(settings))
    torch.testing.assert_close(a, visible.flip(3))
    torch.testing.assert_close(b, thermal.flip(3))


def test_polarity_turns_the_thermal_image_only():
    settings = Augmentation(
        flip=0.0, flip_vertical=0.0, gamma_spread=0.0, range_chance=0.0, polarity_chance=1.0
    )
    visible, thermal = crops()
    a, b = augment(visible, thermal, draws(settings))
    torch.testing.assert_close(a, visible)
    torch.testing.assert_close(b, 1 - thermal)


def test_a_sample_does_not_depend_on_its_neighbours_in_the_batch():
    visible, thermal = crops()
    chosen = draws(EVERYTHING)
    together = augment(visible, thermal, chosen)
    alone = augment(visible[1:2], thermal[1:2], chosen[1:2])
    torch.testing.assert_close(together[0][1:2], alone[0])
    torch.testing.assert_close(together[1][1:2], alone[1])


def test_a_stretched_image_fills_the_range_and_is_cut_off_at_its_ends():
    settings = dataclasses.replace(
        NOTHING, range_chance=1.0, stretch_chance=1.0, largest_gain=100.0
    )
    ramp = torch.linspace(0.0, 1.0, 101).expand(3, 1, 4, 101)
    for seed in range(3):
        for x in augment(ramp, ramp, draws(settings, seed)):
            assert x[..., 0].max() == 0.0
            assert x[..., -1].min() == 1.0
            assert (x.diff(dim=-1) >= 0).all()
            # Steeper than the ramp, and flat where it has been cut off.
            assert x.diff(dim=-1).amax(dim=(1, 2, 3)).min() > 0.0105


def test_sharpening_overshoots_at_a_step_and_leaves_flat_parts():
    settings = dataclasses.replace(NOTHING, sharpen_chance=1.0, sharpen=1.0)
    step = torch.full((3, 1, 6, 12), 0.4)
    step[..., 6:] = 0.6
    for x in augment(step, step, draws(settings)):
        # A 1-2-1 filter takes a quarter of the step (.2) from the pixel before it.
        assert (x[..., 5] < 0.4).all()
        assert x[..., 5].min() >= 0.4 - 0.05 - 1e-6
        torch.testing.assert_close(x[..., :4], step[..., :4])
        torch.testing.assert_close(x[..., 8:], step[..., 8:])
