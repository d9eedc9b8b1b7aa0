# SPDX-License-Identifier: Apache-2.0
"""Consecutive frames of a batch: the same place and treatment, and no made-up noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.config import Augmentation
from training.packing import Pack, PackWriter
from training.sampling import Batch, CropSampler
from training.step import pictures


@pytest.fixture
def pack(tmp_path) -> Pack:
    """One standing scene: its second frame is its first."""
    picture = np.random.default_rng(0).integers(60, 200, (48, 64), dtype=np.uint8)
    frame = np.repeat(picture[..., None], 3, axis=2), picture
    with PackWriter(tmp_path) as writer:
        writer.add("clip/0", "m3svd_video", [frame, frame])
    return Pack(tmp_path)


def sampler(pack: Pack, augmentation: Augmentation) -> CropSampler:
    return CropSampler(pack, {"m3svd_video": 1.0}, (32, 32), 1, augmentation, seed=0, batch=4)


def consecutive(pack: Pack, augmentation: Augmentation) -> Batch:
    return sampler(pack, augmentation).batch(5, consecutive=True)


def test_frames_that_follow_lie_in_the_second_half_and_are_treated_alike(pack) -> None:
    batch = consecutive(pack, Augmentation(noise_chance=1.0, range_chance=1.0))
    assert batch.consecutive
    for picture in pictures(batch, torch.device("cpu")):
        assert torch.equal(picture[:2], picture[2:])
        assert not torch.equal(picture[0], picture[1])


def test_no_noise_is_added_to_clips_which_have_their_own(pack) -> None:
    noisy = Augmentation(noise_chance=1.0, gamma_spread=0.0, range_chance=0.0)
    frames, stills = consecutive(pack, noisy), sampler(pack, noisy).batch(5)
    assert all(draw.noise == (0.0, 0.0) for draw in frames.draws)
    assert all(min(draw.noise) > 0 for draw in stills.draws)
