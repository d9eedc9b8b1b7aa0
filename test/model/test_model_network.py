# SPDX-License-Identifier: Apache-2.0
"""Networks by their config: number of weights, range and size of the image, errors."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from fusion_ros.model.config import PRESETS, ConfigError, FusionNetConfig, preset
from fusion_ros.model.network import FusionNet
from fusion_ros.model.padding import crop, pad_to_multiple

SMALL_PAPER = dataclasses.replace(
    PRESETS["paper"], widths=(4, 8, 16), decoder_groups=4, head_channels=4
)


def test_the_paper_network_has_the_published_number_of_weights() -> None:
    # By hand, from the published code's layers. Encoders: 3x3 convolutions without bias from 3
    # and from 1 channel; fusion: 1x1 with bias; decoder: 4x4 in 32 groups; head 4x4, then 3x3.
    widths = (64, 128, 256, 512, 1024)
    steps = list(itertools.pairwise(widths))
    encoders = 9 * ((3 + 1) * 64 + 2 * sum(a * b for a, b in steps))
    fusion = sum(2 * w * w + w for w in widths)
    decoder = 16 * (1024 * 512 + 2 * 512 * 256 + 2 * 256 * 128 + 2 * 128 * 64 + 2 * 64 * 64) // 32
    head = 9 * 64 * 3
    assert encoders + fusion + decoder + head == 15_771_520
    net = FusionNet(PRESETS["paper"])
    assert sum(parameter.numel() for parameter in net.parameters()) == 15_771_520


def test_the_paper_network_is_linear_up_to_tanh() -> None:
    torch.manual_seed(3)
    net = FusionNet(SMALL_PAPER).double()
    first, second, zeros = (
        tuple(torch.randn(1, c, 16, 16, dtype=torch.float64) * scale for c in (3, 1))
        for scale in (0.01, 0.01, 0.0)
    )

    def before_tanh(pair: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return torch.atanh(net(*pair))

    offset = before_tanh(zeros)  # the fusion layers' bias
    both = before_tanh((first[0] + second[0], first[1] + second[1])) - offset
    apart = before_tanh(first) + before_tanh(second) - 2 * offset
    torch.testing.assert_close(both, apart, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_computes_an_image_of_the_input_size_in_range(name: str) -> None:
    config = PRESETS[name]
    net = FusionNet(config).eval()
    torch.manual_seed(1)
    with torch.inference_mode():
        fused = net(
            torch.rand(2, config.visible_channels, 64, 96) * 2 - 1, torch.rand(2, 1, 64, 96) * 2 - 1
        )
    assert fused.shape == (2, config.output_channels, 64, 96)
    assert fused.abs().max() <= 1.0


def test_compact_stays_within_its_limits_of_weights_and_operations() -> None:
    net = FusionNet(PRESETS["compact"]).eval()
    weights = sum(parameter.numel() for parameter in net.parameters())
    assert weights <= 1_200_000
    assert 2 * multiply_adds(net, 480, 640) <= 3e9


def multiply_adds(net: FusionNet, height: int, width: int) -> int:
    """Return the number for inputs of this size, counted by hooks on the convolutions."""
    counted = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal counted
        # A transposed convolution applies its kernel to each input value, not to each output.
        positions = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        counted += positions.numel() * layer.weight[0].numel()

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        net(
            torch.zeros(1, net.config.visible_channels, height, width),
            torch.zeros(1, 1, height, width),
        )
    return counted


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_equal_configs_build_equal_networks(name: str) -> None:
    once = FusionNet(PRESETS[name]).state_dict()
    again = FusionNet(FusionNetConfig.from_dict(PRESETS[name].as_dict())).state_dict()
    assert [(k, v.shape) for k, v in once.items()] == [(k, v.shape) for k, v in again.items()]


def test_equal_configs_and_seeds_give_equal_images() -> None:
    images = []
    for _ in range(2):
        torch.manual_seed(7)
        net = FusionNet(PRESETS["compact"]).eval()
        images.append(net(torch.full((1, 1, 32, 32), 0.3), torch.full((1, 1, 32, 32), -0.2)))
    assert torch.equal(*images)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("visible_channels", 2, r"\(1, 3\)"),
        ("output_channels", 4, r"\(1, 3\)"),
        ("activation", "gelu", "relu"),
        ("downsampling", "max_pool", "strided_conv"),
        ("padding", "mirror", "replicate"),
        ("widths", (), "1..8192"),
        ("widths", (64, 0), "1..8192"),
        ("widths", (64, 2.5), "1..8192"),
        ("decoder_groups", 0, "1..8192"),
        ("decoder_groups", True, "1..8192"),
        ("widths", (True, 64), "1..8192"),
        ("widths", (1,) * 13, "1 to 12"),
        ("visible_channels", True, r"\(1, 3\)"),
        ("head_channels", -1, "0..8192"),
    ],
)
def test_a_config_error_names_the_field_its_value_and_what_is_allowed(
    field: str, value: object, allowed: str
) -> None:
    with pytest.raises(ConfigError, match=f"{field} is .*{allowed}") as error:
        dataclasses.replace(PRESETS["paper"], **{field: value})
    assert repr(value) in str(error.value)


def test_groups_that_do_not_divide_the_widths_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"decoder_groups is 3.*divide"):
        dataclasses.replace(PRESETS["paper"], decoder_groups=3)


def test_a_config_of_unknown_or_missing_keys_names_them() -> None:
    values = PRESETS["compact"].as_dict()
    with pytest.raises(ConfigError, match="dropout"):
        FusionNetConfig.from_dict({**values, "dropout": 0.5})
    del values["widths"]
    with pytest.raises(ConfigError, match="widths"):
        FusionNetConfig.from_dict(values)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'big'.*compact.*paper"):
        preset("big")


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 64), (1, 1), (63, 95), (31, 127)])
def test_cropping_reverses_padding(height: int, width: int, mode: str) -> None:
    x = torch.randn(2, 3, height, width)
    padded = pad_to_multiple(x, 32, mode)
    assert padded.shape[-2] % 32 == 0
    assert padded.shape[-1] % 32 == 0
    assert padded.shape[-2] - height < 32
    assert padded.shape[-1] - width < 32
    assert torch.equal(crop(padded, height, width), x)


def test_zeros_are_mid_grey_and_replicate_repeats_the_border() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3) + 1
    zeros = pad_to_multiple(x, 4, "zeros")[0, 0]
    assert zeros.tolist() == [[1, 2, 3, 0], [4, 5, 6, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    replicate = pad_to_multiple(x, 4, "replicate")[0, 0]
    assert replicate.tolist() == [[1, 2, 3, 3], [4, 5, 6, 6], [4, 5, 6, 6], [4, 5, 6, 6]]
