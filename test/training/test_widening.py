# SPDX-License-Identifier: Apache-2.0
"""A wider network starts as the narrower one it is made from, and its new channels can learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_run import write_config

from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import save_weights
from training.train import main
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
        (replace(NARROW, widths=(8, 8, 8)), r"blend.stem.weight of shape \(8, 2, 4, 4\), larger"),
    ],
)
def test_weights_that_do_not_fit_are_refused(trained, message) -> None:
    with pytest.raises(WideningError, match=message):
        start_from(FusionNet(WIDE), FusionNet(trained))


def test_the_papers_layout_is_taken_only_as_it_is() -> None:
    small = replace(PRESETS["paper"], widths=(4, 8), decoder_groups=4, head_channels=4)
    larger = FusionNet(replace(small, widths=(8, 8)))
    with pytest.raises(WideningError, match="only layout 'blend' can be widened"):
        start_from(larger, FusionNet(small))
    again, trained = FusionNet(small), FusionNet(small)
    start_from(again, trained)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_a_run_starts_from_the_weights_that_its_config_names(tmp_path, capsys) -> None:
    start = tmp_path / "start.safetensors"
    save_weights(start, FusionNet(NARROW), training_data="none", metrics={}, version="0")
    assert main([str(write_config(tmp_path)), f"initial_weights={start}"]) == 2
    assert "initial_weights have layout 'blend', (4, 6, 8)" in capsys.readouterr().err
    assert main([str(write_config(tmp_path)), "initial_weights=absent.safetensors"]) == 2
    assert "absent.safetensors does not exist" in capsys.readouterr().err
