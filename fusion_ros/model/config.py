# SPDX-License-Identifier: Apache-2.0
"""Network configuration as a frozen record, and the shipped presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

ACTIVATIONS = ("none", "relu")
DOWNSAMPLINGS = ("conv_pool", "strided_conv")
PADDINGS = ("zeros", "replicate")
MOST_LEVELS = 12
MOST_CHANNELS = 8192


class ConfigError(ValueError):
    """A network configuration that cannot be built; the message names the field and its value."""


@dataclasses.dataclass(frozen=True)
class FusionNetConfig:
    """Parameters of the layers of a `FusionNet`; equal configs build equal networks.

    Attributes:
        layout: "encoder_decoder" (the paper: an encoder for each camera, fusion on each level, one
            decoder), "blend" (one network that weights the pixels of the sources), or one of
            `register_layout`.
        visible_channels: planes of the visible input: 1 (luma) or 3 (RGB).
        output_channels: planes of the fused output: 1 (luma) or 3 (RGB).
        widths: channels of each encoder level; each level halves height and width.
        activation: "none" (the paper's code: linear up to tanh) or "relu" after each convolution.
        downsampling: "conv_pool" (the paper: 3x3 convolution, then 2x2 average pooling) or
            "strided_conv" (one 4x4 convolution of stride 2, so that only the last decoder layer
            runs at full resolution).
        decoder_groups: groups of the decoder's transposed convolutions.
        head_channels: channels at full resolution before a last 3x3 convolution; with 0 the last
            transposed convolution computes the image.
        bias: whether encoder and decoder convolutions have a bias (the paper's have none).
        padding: padding of an input whose size is not a multiple of `stride`: "zeros" in network
            space (the paper) or "replicate" (no dark border).
    """

    layout: str
    visible_channels: int
    output_channels: int
    widths: tuple[int, ...]
    activation: str
    downsampling: str
    decoder_groups: int
    head_channels: int
    bias: bool
    padding: str

    def __post_init__(self) -> None:
        self._check_layout()
        if not isinstance(self.widths, tuple | list):
            raise ConfigError(f"widths is {self.widths!r}; allowed: a list of integers")
        object.__setattr__(self, "widths", tuple(self.widths))
        for name, allowed in (
            ("visible_channels", (1, 3)),
            ("output_channels", (1, 3)),
            ("activation", ACTIVATIONS),
            ("downsampling", DOWNSAMPLINGS),
            ("padding", PADDINGS),
        ):
            value = getattr(self, name)
            if value not in allowed or type(value) is not type(allowed[0]):  # True == 1
                raise ConfigError(f"{name} is {value!r}; allowed: {allowed}")
        if not 1 <= len(self.widths) <= MOST_LEVELS or not all(
            type(width) is int and 1 <= width <= MOST_CHANNELS for width in self.widths
        ):
            raise ConfigError(
                f"widths is {self.widths!r}; allowed: 1 to {MOST_LEVELS} integers in "
                f"1..{MOST_CHANNELS}"
            )
        for name, low in (("decoder_groups", 1), ("head_channels", 0)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= MOST_CHANNELS:
                raise ConfigError(
                    f"{name} is {value!r}; allowed: an integer in {low}..{MOST_CHANNELS}"
                )
        if not isinstance(self.bias, bool):
            raise ConfigError(f"bias is {self.bias!r}; allowed: (True, False)")
        grouped = (*self.widths, self.head_channels) if self.layout == "encoder_decoder" else ()
        if any(channels % self.decoder_groups for channels in grouped):
            raise ConfigError(
                f"decoder_groups is {self.decoder_groups}; it must divide each of the widths "
                f"{self.widths} and head_channels {self.head_channels}"
            )
        if self.layout == "blend" and (self.visible_channels, self.output_channels) != (1, 1):
            raise ConfigError("layout 'blend' needs visible_channels 1 and output_channels 1")

    def _check_layout(self) -> None:
        # Whether a layout is known is checked when a network is built: an ONNX file needs none.
        if not isinstance(self.layout, str) or not self.layout.isidentifier():
            raise ConfigError(f"layout is {self.layout!r}; allowed: the name of a layout")

    @property
    def stride(self) -> int:
        """Pixels of which height and width of an input must be multiples."""
        return 2 ** len(self.widths)

    def as_dict(self) -> dict[str, Any]:
        """Return the config as plain JSON values."""
        return {**dataclasses.asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FusionNetConfig:
        """Build a config from `as_dict` values.

        Raises:
            ConfigError: a key is missing or unknown, or a value is not allowed.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ConfigError(
                f"unknown keys {unknown} in the network config; known: {sorted(names)}"
            )
        if missing := sorted(names - set(values)):
            raise ConfigError(f"missing keys {missing} in the network config")
        return cls(**values)


_COMPACT = FusionNetConfig(
    layout="blend",
    visible_channels=1,
    output_channels=1,
    widths=(16, 32, 48, 64, 96),
    activation="relu",
    downsampling="strided_conv",
    decoder_groups=4,
    head_channels=0,
    bias=True,
    padding="replicate",
)

#: `paper`: the published network with its 15 771 520 weights (widths and groups from the authors'
#: public code). `compact`: the default of this package; it fuses luma, keeps the colour of the
#: visible image, and blends the pixels of the sources (reasons: `training/EXPERIMENTS.md`).
#: `compact_permissive`: the same network, trained only on data whose terms allow products.
PRESETS: Mapping[str, FusionNetConfig] = MappingProxyType(
    {
        "paper": FusionNetConfig(
            layout="encoder_decoder",
            visible_channels=3,
            output_channels=3,
            widths=(64, 128, 256, 512, 1024),
            activation="none",
            downsampling="conv_pool",
            decoder_groups=32,
            head_channels=64,
            bias=False,
            padding="zeros",
        ),
        "compact": _COMPACT,
        "compact_permissive": _COMPACT,
    }
)


def preset(name: str) -> FusionNetConfig:
    """Return the config of a preset; an unknown name is an error that lists the known ones."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"preset is {name!r}; allowed: {sorted(PRESETS)}") from None
