# SPDX-License-Identifier: Apache-2.0
"""Augmented crops stay pictures, stay aligned, and depend on seed, step and place alone."""

from __future__ import annotations

import numpy as np
import torch

from training.augmentation import augment, draw
from training.config import Augmentation

EVERYTHING = Augmentation(
    flip=1.0,
    flip_vertical=1.0,
    range_chance=1.0,
    polarity_chance=1.0,
    blur_chance=1.0,
    noise_chance=1.0,
    shift_pixels=2.0,
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


def test_the_same_draws_give_the_same_pictures_and_others_others():
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


def test_polarity_turns_the_thermal_picture_only():
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
