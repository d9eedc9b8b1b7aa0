# SPDX-License-Identifier: Apache-2.0
"""Objects of the training pairs: preferences by hand, crops around them, and the loss on them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import write_config

from training.config import Augmentation, ConfigError, load_config
from training.losses import objects_loss
from training.objects import (
    CELL,
    ObjectsError,
    preference_planes,
    preferences,
    read_objects,
)
from training.packing import Pack, PackWriter
from training.sampling import CropSampler
from training.train import main

SCORE = st.floats(0, 1)


def test_a_camera_is_preferred_by_what_it_has_over_the_other_and_over_the_fused_picture():
    fused_visible_thermal = np.array([[0.5, 0.2, 0.8], [0.9, 0.7, 0.4], [0.3, 0.3, 0.3]])
    expected = [[0.0, 0.6 + 0.3], [0.3, 0.0], [0.0, 0.0]]
    np.testing.assert_allclose(preferences(fused_visible_thermal), expected)


@given(st.lists(st.tuples(SCORE, SCORE, SCORE), min_size=1, max_size=8))
def test_at_most_one_camera_is_preferred(scores):
    values = preferences(np.array(scores))
    assert (values >= 0).all()
    assert ((values > 0).sum(axis=1) <= 1).all()


def test_planes_cover_the_box_and_its_margin_in_the_crops_own_pixels():
    # In the pair's pixels; the crop begins at (100, 50) and doubles: 40..72 x 20..60 there.
    boxes = np.array([[120.0, 60.0, 136.0, 80.0, 0.5, 0.9, 0.1]])
    planes = preference_planes(boxes, (50.0, 100.0), 2.0, (96, 128))
    assert planes.shape == (2, 96 // CELL, 128 // CELL)
    y, x = np.nonzero(planes[0])
    # A margin of 10 pixels, a quarter of the height of 40: 30..82 x 10..70; cell middles at 4, 12..
    assert (x.min(), x.max()) == (4, 9)
    assert (y.min(), y.max()) == (1, 8)
    assert planes[0].max() == pytest.approx(0.8 + 0.4)
    assert not planes[1].any()


@pytest.fixture
def pack(tmp_path) -> Pack:
    """A flat pair with one bright square, at 16..32 x 64..80."""
    thermal = np.full((96, 128), 90, np.uint8)
    thermal[64:80, 16:32] = 250
    with PackWriter(tmp_path / "pack") as writer:
        writer.add("a", "folders", [(np.full((96, 128, 3), 90, np.uint8), thermal)])
    return Pack(tmp_path / "pack")


def sampler(pack: Pack, chance: float, **changes) -> CropSampler:
    plain = {"gamma_spread": 0.0, "range_chance": 0.0, "polarity_chance": 0.0, **changes}
    return CropSampler(
        pack,
        {"folders": 1.0},
        (32, 32),
        1,
        Augmentation(**plain),
        seed=0,
        batch=16,
        objects={"a": np.array([[16, 64, 32, 80, 0.1, 0.1, 0.9]])},
        objects_chance=chance,
    )


def test_crops_are_drawn_around_objects_and_preferences_turn_with_the_picture(pack):
    batch = sampler(pack, 1.0, flip=0.5, flip_vertical=0.5).batch(0)
    assert batch.preferences.shape == (16, 2, 4, 4)
    assert (batch.preferences[:, 1].amax(dim=(1, 2)) > 0).all()
    for sample, draw, wanted in zip(batch.thermal, batch.draws, batch.preferences, strict=True):
        axes = [axis for axis, on in ((1, draw.flip), (2, draw.flip_vertical)) if on]
        axes = [{1: 2, 2: 1}[axis] for axis in axes]
        bright = (sample.flip(axes) > 200).float()[None]
        cells = torch.nn.functional.max_pool2d(bright, CELL)[0, 0]
        # Every cell with a pixel of the object lies in the object's region.
        assert (wanted[1][cells > 0] > 0).all()


def test_without_objects_crops_are_those_of_a_run_without(pack):
    kept, free = sampler(pack, 0.0), sampler(pack, 0.0)
    free._objects = None
    for name in ("visible", "thermal"):
        assert torch.equal(getattr(kept.batch(3), name), getattr(free.batch(3), name))
    assert free.batch(3).preferences is None


def test_an_inverted_thermal_picture_has_no_preferences(pack):
    assert not sampler(pack, 1.0, polarity_chance=1.0).batch(0).preferences.any()


def test_the_loss_is_zero_where_fused_has_the_preferred_cameras_contrast():
    generator = torch.Generator().manual_seed(0)
    visible, thermal = torch.rand(2, 1, 1, 64, 64, generator=generator)
    wanted = torch.zeros(1, 2, 8, 8)
    wanted[:, 1, 2:6, 2:6] = 0.8
    # Another brightness is left to the other terms.
    assert objects_loss(visible, thermal, thermal + 0.1, wanted).item() == pytest.approx(
        0, abs=1e-6
    )
    mixed = objects_loss(visible, thermal, 0.5 * (visible + thermal), wanted)
    lost = objects_loss(visible, thermal, visible, wanted)
    assert 0 < mixed.item() < lost.item()
    # Off the object nothing is charged for.
    patched = thermal.clone()
    patched[..., :8] = 0
    assert objects_loss(visible, thermal, patched, wanted).item() == pytest.approx(0, abs=1e-6)
    assert objects_loss(visible, thermal, visible, torch.zeros(1, 2, 8, 8)).item() == 0


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"a": [[1, 2, 3]]}', '{"a": [[1, 2, 3, 4, "x", 0, 0]]}']
)
def test_a_file_of_another_form_is_refused(tmp_path, text):
    path = tmp_path / "objects.json"
    path.write_text(text)
    with pytest.raises(ObjectsError, match=r"objects\.json"):
        read_objects(path)


def test_the_term_needs_a_file(tmp_path):
    with pytest.raises(ConfigError, match="objects"):
        load_config(write_config(tmp_path), ["loss.objects=1"])


def test_a_run_learns_from_objects(tmp_path):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"folders/0000": [[20, 20, 40, 50, 0.2, 0.1, 0.9]]}))
    config = write_config(tmp_path, steps=2, objects=str(path), objects_chance=1.0)
    assert main([str(config), "loss.objects=1", "validate_every=2"]) == 0
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    path.write_text("[]")
    assert main([str(config), "run_folder=" + str(tmp_path / "other")]) == 2
