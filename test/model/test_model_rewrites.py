# SPDX-License-Identifier: Apache-2.0
"""Rewrites for inference agree with the trained network to 1e-12 in float64."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn

from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.padding import pad_to_multiple
from fusion_ros.model.rewrites import (
    by_rows,
    fold_average_pooling,
    fold_image_scale,
    merge_heads,
    optimise_for_inference,
)


@pytest.fixture(scope="module")
def paper() -> FusionNet:
    torch.manual_seed(11)
    return FusionNet(PRESETS["paper"]).double().eval()


def inputs(config_channels: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return tuple(
        torch.rand(1, channels, height, width, generator=generator, dtype=torch.float64) * 2 - 1
        for channels in (config_channels, 1)
    )


def test_the_rewritten_paper_network_computes_the_same_to_1e_12(paper: FusionNet) -> None:
    visible, thermal = inputs(3, 96, 64)
    with torch.inference_mode():
        plain = paper(visible, thermal)
        rewritten = optimise_for_inference(paper)(visible, thermal)
    # Initial weights give nearly uniform images, for which the check would be meaningless.
    assert plain.std() > 1e-3
    assert (plain - rewritten).abs().max() < 1e-12


@pytest.mark.parametrize("size", [(4, 4), (4, 12), (8, 8), (20, 36)])
def test_the_border_is_exact_down_to_the_smallest_image(size: tuple[int, int]) -> None:
    torch.manual_seed(8)
    config = dataclasses.replace(
        PRESETS["paper"], widths=(16, 32), decoder_groups=4, head_channels=8
    )
    net = FusionNet(config).double().eval()
    for fuse in net.fusion:  # a bias that would show
        torch.nn.init.normal_(fuse.bias)
    pair = inputs(3, *size)
    with torch.inference_mode():
        difference = (net(*pair) - optimise_for_inference(net)(*pair)).abs().max()
    assert difference < 1e-12


@pytest.mark.parametrize("widths", [(64, 16), (20, 16, 16)])
@pytest.mark.parametrize("downsampling", ["conv_pool", "strided_conv"])
def test_passing_pixels_instead_of_more_channels_is_exact(
    widths: tuple[int, ...], downsampling: str
) -> None:
    # 64 channels are more than 16 pixels of three planes (48); 20 only more than those of one.
    torch.manual_seed(10)
    config = dataclasses.replace(
        PRESETS["paper"],
        widths=widths,
        decoder_groups=4,
        head_channels=8,
        downsampling=downsampling,
    )
    net = FusionNet(config).double().eval()
    for fuse in net.fusion:
        torch.nn.init.normal_(fuse.bias)
    pair = inputs(3, 16, 24)
    rewritten = optimise_for_inference(net)
    assert rewritten.thermal_encoder.levels[0][0].out_channels == 16
    assert rewritten.visible_encoder.levels[0][0].out_channels == min(48, widths[0])
    with torch.inference_mode():
        difference = (net(*pair) - rewritten(*pair)).abs().max()
    assert difference < 1e-12


def test_averaging_many_channels_first_is_exact_with_stride_two() -> None:
    torch.manual_seed(9)
    level = nn.Sequential(nn.Conv2d(16, 8, 3, padding=1), nn.AvgPool2d(2)).double()
    folded = fold_average_pooling(level)
    x = torch.randn(2, 16, 10, 14, dtype=torch.float64)
    assert folded[1].kernel_size == (3, 3)
    assert folded[1].stride == (2, 2)
    assert (level(x) - folded(x)).abs().max() < 1e-13


def test_images_in_units_of_128_levels_give_the_same_result() -> None:
    torch.manual_seed(6)
    for name in ("paper", "compact"):
        config = PRESETS[name]
        if name == "paper":
            config = dataclasses.replace(config, widths=(8, 16), decoder_groups=4, head_channels=8)
        net = FusionNet(config).double().eval()
        pair = inputs(config.visible_channels, 32, 64)
        with torch.inference_mode():
            plain = net(*pair)
            scaled = fold_image_scale(net)(*(x * (127.5 / 128) for x in pair))
        unit = 128 / 127.5 if name == "compact" else 1.0
        assert (plain - scaled * unit).abs().max() < 1e-12


@pytest.mark.parametrize("name", ["paper", "compact"])
@pytest.mark.parametrize("size", [(33, 40), (64, 32)])
def test_a_byte_network_computes_the_levels_of_the_network(
    name: str, size: tuple[int, int]
) -> None:
    torch.manual_seed(12)
    config = PRESETS[name]
    net = FusionNet(config).double().eval()
    visible = torch.randint(0, 256, (1, *size, config.visible_channels), dtype=torch.uint8)
    thermal = torch.randint(0, 256, (1, *size, 1), dtype=torch.uint8)
    planes = [
        pad_to_multiple(x.permute(0, 3, 1, 2) / 127.5 - 1.0, 32, config.padding)
        for x in (visible.double(), thermal.double())
    ]
    byte_network = ByteNetwork(net, torch.float64).eval()
    with torch.inference_mode():
        wanted = (net(*planes)[..., : size[0], : size[1]] + 1.0) * 127.5
        levels = byte_network.levels(visible, thermal)
        pixels = byte_network(visible, thermal)
    assert (levels - wanted.permute(0, 2, 3, 1)).abs().max() < 1e-12 * 255
    assert pixels.dtype == torch.uint8
    assert (pixels - levels).abs().max() <= 0.5 + 1e-9


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("downsampling", ["conv_pool", "strided_conv"])
@pytest.mark.parametrize("bias", [False, True])
def test_any_encoder_decoder_is_rewritten_exactly(
    activation: str, downsampling: str, bias: bool
) -> None:
    torch.manual_seed(2)
    config = dataclasses.replace(
        PRESETS["paper"],
        widths=(8, 16),
        decoder_groups=4,
        head_channels=8,
        activation=activation,
        downsampling=downsampling,
        bias=bias,
    )
    net = FusionNet(config).double().eval()
    pair = inputs(3, 24, 36)
    with torch.inference_mode():
        difference = (net(*pair) - optimise_for_inference(net)(*pair)).abs().max()
    assert difference < 1e-12


def test_the_rewritten_compact_network_computes_the_same_to_1e_12() -> None:
    torch.manual_seed(4)
    net = FusionNet(PRESETS["compact"]).double().eval()
    pair = inputs(1, 64, 96)
    with torch.inference_mode():
        plain, rewritten = net(*pair), optimise_for_inference(net)(*pair)
    assert plain.std() > 1e-3
    assert (plain - rewritten).abs().max() < 1e-12


def test_merged_heads_compute_the_same_to_1e_12() -> None:
    torch.manual_seed(4)
    net = FusionNet(PRESETS["compact"]).double().eval()
    nn.init.normal_(net.blend.weight_head.bias)
    nn.init.normal_(net.blend.correction_head.bias)
    visible, thermal = (torch.cat((x, -x)) for x in inputs(1, 64, 96))
    merged = merge_heads(net)
    assert merged.blend.merged_heads is not None
    assert net.blend.merged_heads is None
    with torch.inference_mode():
        difference = (net(visible, thermal) - merged(visible, thermal)).abs().max()
    assert difference < 1e-12


@pytest.mark.parametrize(
    ("widths", "size"), [((16, 32, 48, 64, 96), (32, 32)), ((16, 32), (64, 96)), ((8,), (10, 14))]
)
def test_a_blend_by_rows_computes_the_same_to_1e_12(
    widths: tuple[int, ...], size: tuple[int, int]
) -> None:
    torch.manual_seed(4)
    net = FusionNet(dataclasses.replace(PRESETS["compact"], widths=widths)).double().eval()
    for layer in (*net.blend.up, net.blend.weight_head, net.blend.correction_head):
        nn.init.normal_(layer.bias)
    visible, thermal = (torch.cat((x, -x)) for x in inputs(1, *size))
    rows = by_rows(net)
    assert rows.blend.merged_heads is not None
    assert (rows.blend.last_up is None) == (len(widths) == 1)
    assert net.blend.merged_heads is None
    with torch.inference_mode():
        plain = net(visible, thermal)
        difference = (plain - rows(visible, thermal)).abs().max()
    assert plain.std() > 1e-3
    assert difference < 1e-12


def test_a_network_that_is_no_blend_is_returned(paper: FusionNet) -> None:
    assert merge_heads(paper) is paper
    assert by_rows(paper) is paper


def test_rewriting_does_not_change_the_network(paper: FusionNet) -> None:
    before = copy.deepcopy(paper.state_dict())
    optimise_for_inference(paper)
    after = paper.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in paper.parameters())


def test_a_pooling_behind_an_activation_is_unchanged() -> None:
    level = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
    assert fold_average_pooling(level) is level


def test_folding_a_box_kernel_by_hand() -> None:
    level = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.AvgPool2d(2))
    nn.init.ones_(level[0].weight)
    folded = fold_average_pooling(level)[0]
    # A 3x3 box at four shifts: the corner taps count once, the edges twice, the middle four times.
    quarters = [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    assert (folded.weight[0, 0] * 4).tolist() == quarters
