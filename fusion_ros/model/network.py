# SPDX-License-Identifier: Apache-2.0
"""`FusionNet`: the encoder-decoder network of the paper, or the blend of `compact`.

After F. C. Ataman and G. Bozdagi Akar, "Visible and Infrared Image Fusion using Encoder-Decoder
Network", ICIP 2021, section 2.1 and figure 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fusion_ros.model.blend import BlendNet
from fusion_ros.model.config import ConfigError, FusionNetConfig

LAYOUTS = ("encoder_decoder", "blend")
_REGISTERED: dict[str, Callable[[FusionNetConfig], nn.Module]] = {}


def register_layout(
    name: str,
) -> Callable[[Callable[[FusionNetConfig], nn.Module]], Callable[[FusionNetConfig], nn.Module]]:
    """Register a network of one's own as value of `FusionNetConfig.layout` (a decorator).

    The decorated class or function takes a `FusionNetConfig` and returns a module. Its
    ``forward(visible, thermal)`` takes and returns what `FusionNet.forward` does.

    Raises:
        ConfigError: a layout of this package has the name.
    """

    def register(
        build: Callable[[FusionNetConfig], nn.Module],
    ) -> Callable[[FusionNetConfig], nn.Module]:
        if name in LAYOUTS:
            raise ConfigError(f"layout {name!r} is part of this package; allowed: another name")
        _REGISTERED[name] = build
        return build

    return register


def check_layout(name: str) -> None:
    """Raise a ConfigError for a layout that is neither of this package nor registered."""
    known = (*LAYOUTS, *_REGISTERED)
    if name not in known:
        raise ConfigError(
            f"layout is {name!r}; allowed: {', '.join(known)} (import the module that registers "
            "it, or name its file by --modules; the engine openvino runs the ONNX file without)"
        )


class FusionNet(nn.Module):
    """Fuse a visible and a thermal image into one.

    Args:
        config: the shape of the network, for instance `PRESETS["compact"]`.
    """

    def __init__(self, config: FusionNetConfig) -> None:
        super().__init__()
        self.config = config
        check_layout(config.layout)
        if config.layout in _REGISTERED:
            self.body = _REGISTERED[config.layout](config)
            return
        if config.layout == "blend":
            self.blend = BlendNet(config)
            return
        self.visible_encoder = Encoder(config, config.visible_channels)
        self.thermal_encoder = Encoder(config, 1)
        # The paper's "attention": a weight for each channel of each camera.
        self.fusion = nn.ModuleList(nn.Conv2d(2 * w, w, kernel_size=1) for w in config.widths)
        self.decoder = Decoder(config)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Fuse a batch.

        Args:
            visible: (N, visible_channels, H, W), in [-1, 1]; H and W multiples of `config.stride`.
            thermal: (N, 1, H, W), in [-1, 1], on the visible camera's pixel grid.

        Returns:
            (N, output_channels, H, W), in [-1, 1].
        """
        if self.config.layout in _REGISTERED:
            return self.body(visible, thermal)
        if self.config.layout == "blend":
            return self.blend(visible, thermal)
        from_visible = self.visible_encoder(visible)
        from_thermal = self.thermal_encoder(thermal)
        fused = [
            fuse(torch.cat((v, t), dim=1))
            for fuse, v, t in zip(self.fusion, from_visible, from_thermal, strict=True)
        ]
        return self.decoder(fused)


class Encoder(nn.Module):
    """Encoder of one camera; each level halves the size."""

    def __init__(self, config: FusionNetConfig, in_channels: int) -> None:
        super().__init__()
        widths = (in_channels, *config.widths)
        self.levels = nn.ModuleList(
            _encoder_level(config, before, after)
            for before, after in zip(widths, config.widths, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return a feature map (N, widths[i], H/2^(i+1), W/2^(i+1)) for each level i."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Mirror of the encoder; each level doubles the size and adds its fused features."""

    def __init__(self, config: FusionNetConfig) -> None:
        super().__init__()
        widths = config.widths
        self.levels = nn.ModuleList()
        for level in range(len(widths) - 1, 0, -1):
            # Every level but the deepest concatenates its fused features with the level below.
            width_in = widths[level] if level == len(widths) - 1 else 2 * widths[level]
            self.levels.append(_decoder_level(config, width_in, widths[level - 1]))
        width_in = widths[0] if len(widths) == 1 else 2 * widths[0]
        if config.head_channels:
            self.head = nn.Sequential(
                _decoder_level(config, width_in, config.head_channels),
                nn.Conv2d(
                    config.head_channels,
                    config.output_channels,
                    kernel_size=3,
                    padding=1,
                    bias=config.bias,
                ),
            )
        else:
            self.head = nn.Sequential(
                nn.ConvTranspose2d(
                    width_in, config.output_channels, kernel_size=4, stride=2, padding=1
                )
            )

    def forward(self, fused: list[Tensor]) -> Tensor:
        """Decode fused features, finest first, to (N, output_channels, H, W) in [-1, 1]."""
        x = fused[-1]
        for level, skip in zip(self.levels, reversed(fused[:-1]), strict=True):
            x = torch.cat((skip, level(x)), dim=1)
        return torch.tanh(self.head(x))


def _encoder_level(config: FusionNetConfig, width_in: int, width_out: int) -> nn.Sequential:
    if config.downsampling == "strided_conv":
        strided = nn.Conv2d(width_in, width_out, 4, stride=2, padding=1, bias=config.bias)
        return nn.Sequential(strided, *_activation(config))
    convolution = nn.Conv2d(width_in, width_out, 3, padding=1, bias=config.bias)
    return nn.Sequential(convolution, *_activation(config), nn.AvgPool2d(2))


def _decoder_level(config: FusionNetConfig, width_in: int, width_out: int) -> nn.Sequential:
    up = nn.ConvTranspose2d(
        width_in,
        width_out,
        kernel_size=4,
        stride=2,
        padding=1,
        groups=config.decoder_groups,
        bias=config.bias,
    )
    return nn.Sequential(up, *_activation(config))


def _activation(config: FusionNetConfig) -> list[nn.Module]:
    return [nn.ReLU()] if config.activation == "relu" else []
