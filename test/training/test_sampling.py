# SPDX-License-Identifier: Apache-2.0
"""Consecutive frames of a batch have the same crop and augmentation, and no added noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.config import Augmentation
from training.data.packing import Pack, PackWriter
from training.data.sampling import Batch, CropSampler
from training.run.step import images_on_device


@pytest.fixture
def pack(tmp_path) -> Pack:
    """One standing scene: its second frame is its first."""
    image = np.random.default_rng(0).integers(60, 200, (48, 64), dtype=np.uint8)
    frame = np.repeat(image[..., None], 3, axis=2), image
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
    for image in images_on_device(batch, torch.device("cpu")):
        assert torch.equal(image[:2], image[2:])
        assert not torch.equal(image[0], image[1])


def test_the_second_half_has_the_next_frames(tmp_path) -> None:
    image = np.random.default_rng(0).integers(60, 200, (48, 64), dtype=np.uint8)
    frames = [(np.repeat(grey[..., None], 3, axis=2), grey) for grey in (image, image + 10)]
    with PackWriter(tmp_path) as writer:
        writer.add("clip/0", "m3svd_video", frames)
    batch = consecutive(Pack(tmp_path), Augmentation(zoom_chance=0.0))
    for images in (batch.visible, batch.thermal):
        assert torch.equal(images[2:], images[:2] + 10)


def test_no_noise_is_added_to_clips_which_have_their_own(pack) -> None:
    noisy = Augmentation(noise_chance=1.0, gamma_spread=0.0, range_chance=0.0)
    frames, stills = consecutive(pack, noisy), sampler(pack, noisy).batch(5)
    assert all(draw.noise == (0.0, 0.0) for draw in frames.draws)
    assert all(min(draw.noise) > 0 for draw in stills.draws)


def test_a_stranger_is_the_thermal_image_of_another_place_or_scene(tmp_path) -> None:
    with PackWriter(tmp_path) as writer:
        for level in (10, 20, 30):
            grey = np.full((48, 64), level, np.uint8)
            writer.add(f"scene/{level}", "folders", [(np.repeat(grey[..., None], 3, axis=2), grey)])

    def batch(chance: float) -> Batch:
        settings = Augmentation(stranger_chance=chance, zoom=1.5)
        return CropSampler(
            Pack(tmp_path), {"folders": 1.0}, (32, 32), 1, settings, seed=0, batch=12
        ).batch(0)

    friends, strangers = batch(0.0), batch(1.0)
    assert torch.equal(friends.visible, friends.thermal)
    assert torch.equal(strangers.visible, friends.visible), "the visible crops must not change"
    assert strangers.draws == friends.draws
    met = (strangers.visible != strangers.thermal).flatten(1).any(dim=1).sum()
    assert 4 <= met <= 12, "two of three scenes are other ones"


def test_frames_of_a_clip_keep_their_own_thermal_image(pack) -> None:
    batch = consecutive(pack, Augmentation(stranger_chance=1.0, zoom_chance=0.0))
    assert torch.equal(batch.visible, batch.thermal)
