# SPDX-License-Identifier: Apache-2.0
"""A widened network computes what the narrower one did, and its new channels learn."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from tiny_run import write_config

from fusion_ros.cli.main import main
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import save_weights
from training.config import ConfigError, config_from_dict
from training.thin import thin_encoders
from training.widening import WideningError, start_from

NARROW = replace(PRESETS["compact"], widths=(4, 6, 8))
WIDE = replace(PRESETS["compact"], widths=(6, 8, 8))


def test_the_wider_network_computes_what_the_narrower_one_did() -> None:
    narrow, wide = FusionNet(NARROW), FusionNet(WIDE)
    start_from(wide, narrow)
    visible, thermal = torch.rand(2, 1, 1, 32, 48) * 2 - 1
    torch.testing.assert_close(wide(visible, thermal), narrow(visible, thermal))


def test_the_new_channels_learn() -> None:
    narrow, wide = FusionNet(NARROW), FusionNet(WIDE)
    start_from(wide, narrow)
    visible, thermal = torch.rand(2, 1, 1, 32, 48) * 2 - 1
    optimizer = torch.optim.Adam(wide.parameters(), lr=1e-2)
    before = wide.blend.stem.weight[4:].clone()
    for _ in range(3):
        optimizer.zero_grad()
        (wide(visible, thermal) - visible).square().mean().backward()
        optimizer.step()
    assert (wide.blend.weight_head.weight[:, 4:] != 0).any()
    assert not torch.equal(wide.blend.stem.weight[4:], before)


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        (replace(NARROW, widths=(4, 6)), r"\(4, 6\); this network .*\(6, 8, 8\)"),
        (
            replace(NARROW, widths=(8, 8, 8)),
            r"stem.weight of shape \(8, 2, 4, 4\), .*cannot be widened",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(trained, message) -> None:
    with pytest.raises(WideningError, match=message):
        start_from(FusionNet(WIDE), FusionNet(trained))


SMALL_PAPER = replace(PRESETS["paper"], widths=(8, 16), decoder_groups=4, head_channels=4)


def test_thin_encoders_become_the_papers_own_without_a_change_of_the_picture() -> None:
    thin, whole = thin_encoders(FusionNet(SMALL_PAPER), 4), FusionNet(SMALL_PAPER)
    assert thin.visible_encoder.levels[1][0].weight.shape == (4, 2, 3, 3)
    start_from(whole, thin)
    visible, thermal = torch.rand(1, 3, 16, 24) * 2 - 1, torch.rand(1, 1, 16, 24) * 2 - 1
    torch.testing.assert_close(whole(visible, thermal), thin(visible, thermal))
    again = thin_encoders(copy.deepcopy(whole), 4, keep=True)
    torch.testing.assert_close(again(visible, thermal), thin(visible, thermal))
    whole(visible, thermal).sum().backward()
    gradient = whole.fusion[1].weight.grad
    assert gradient[:, 4:16].abs().min() > 0, "no layer reads the new visible channels"


def test_the_papers_decoder_is_taken_only_as_it_is() -> None:
    larger = FusionNet(replace(SMALL_PAPER, widths=(16, 16)))
    with pytest.raises(WideningError, match=r"decoder\..*cannot be widened"):
        start_from(larger, FusionNet(SMALL_PAPER))


def test_thin_encoders_are_for_the_paper_alone() -> None:
    entry = {"train": [{"kind": "folders", "root": "somewhere"}]}
    for values in ({"thin_encoders": 4}, {"preset": "paper", "thin_encoders": 3}):
        with pytest.raises(ConfigError, match=r"thin_encoders is [34]; allowed is 1, or"):
            config_from_dict({**entry, **values})


def test_a_run_starts_from_the_weights_that_its_config_names(tmp_path, capsys) -> None:
    start = tmp_path / "start.safetensors"
    save_weights(start, FusionNet(NARROW), training_data="none", metrics={}, version="0")
    assert main(["train", str(write_config(tmp_path)), f"initial_weights={start}"]) == 2
    assert "initial_weights have layout 'blend', (4, 6, 8)" in capsys.readouterr().err
    assert main(["train", str(write_config(tmp_path)), "initial_weights=absent.safetensors"]) == 2
    assert "absent.safetensors does not exist" in capsys.readouterr().err
