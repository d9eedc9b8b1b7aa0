# SPDX-License-Identifier: Apache-2.0
"""The `paper` network with fewer operations: without activations, adjacent layers can be merged.

Every step is exact in real numbers; a test compares the result in float64 to 1e-12.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.model.blend import bias_of
from fusion_ros.model.network import Encoder, FusionNet


def is_linear_decoder(net: FusionNet) -> bool:
    """Return whether `LinearFusionNet` can replace this network."""
    config = net.config
    return (
        config.layout == "encoder_decoder"
        and config.activation == "none"
        and not config.bias
        and config.head_channels > 0
        and len(config.widths) >= 2
    )


class LinearFusionNet(nn.Module):
    """Equivalent of a network without activations.

    * The halves of each 1x1 fusion are applied to each camera and added, without concatenating the
      features in memory.
    * The deepest fusion is multiplied into the last convolution of each encoder, the only source of
      its input.
    * An encoder's first level maps 4x4 pixels to many channels, for a thermal plane 16 pixels to 64
      channels. The pixels are passed on instead, and the map is multiplied into the layers that
      read its output.
    * The last transposed convolution, the last 3x3 convolution and the finest fusion become one
      3x3 convolution at half resolution with the four pixels of each 2x2 cell as output.

    Args:
        net: a network for which `is_linear_decoder` is true; its encoders may have been rewritten.
    """

    def __init__(self, net: FusionNet) -> None:
        super().__init__()
        self.config = net.config
        fusion = [cast(nn.Conv2d, fuse) for fuse in net.fusion]
        finest, deepest = fusion[0], fusion[-1]
        _pass_pixels_on(net.visible_encoder, finest, first=True)
        _pass_pixels_on(net.thermal_encoder, finest, first=False)
        self.visible_encoder = net.visible_encoder
        self.thermal_encoder = net.thermal_encoder
        half = deepest.in_channels // 2
        _multiply_in(_last_layer(self.visible_encoder, -1), deepest.weight[:, :half], deepest.bias)
        _multiply_in(_last_layer(self.thermal_encoder, -1), deepest.weight[:, half:], None)
        self.fusion = nn.ModuleList(_SplitFusion(fuse) for fuse in fusion[1:-1])
        self.decoder_levels = net.decoder.levels
        self.head = _SubPixelHead(
            finest, net.decoder.head, _last_layer(self.visible_encoder, 0).out_channels
        )

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """See `FusionNet.forward`."""
        of_visible = self.visible_encoder(visible)
        of_thermal = self.thermal_encoder(thermal)
        x = of_visible[-1] + of_thermal[-1]
        skips = [
            fuse(v, t)
            for fuse, v, t in zip(self.fusion, of_visible[1:], of_thermal[1:], strict=False)
        ]
        for level, skip in zip(self.decoder_levels, [*reversed(skips), None], strict=True):
            x = level(x)
            if skip is not None:
                x = torch.cat((skip, x), dim=1)
        return torch.tanh(self.head(of_visible[0], of_thermal[0], x))


def _last_layer(encoder: Encoder, level: int) -> nn.Conv2d:
    return cast(nn.Conv2d, cast(nn.Sequential, encoder.levels[level])[-1])


class _SplitFusion(nn.Module):
    """A 1x1 convolution of two concatenated inputs as the sum of two convolutions."""

    def __init__(self, fuse: nn.Conv2d) -> None:
        super().__init__()
        half = fuse.in_channels // 2
        self.visible = _convolution(fuse.weight[:, :half], fuse.bias)
        self.thermal = _convolution(fuse.weight[:, half:], None)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        return self.visible(visible) + self.thermal(thermal)


class _SubPixelHead(nn.Module):
    """Finest fusion, last transposed convolution and last convolution as one convolution.

    Beyond the image's border the merged layers differ from the separate ones (outputs of the
    transposed convolution outside, bias of the fusion). The two outermost pixels are therefore
    computed by the separate layers on strips along the border.
    """

    def __init__(self, fuse: nn.Conv2d, head: nn.Sequential, visible_channels: int) -> None:
        super().__init__()
        self.fuse, self.head = fuse, head
        up = cast(nn.ConvTranspose2d, cast(nn.Sequential, head[0])[0])
        last = cast(nn.Conv2d, head[1])
        joined = _sub_pixel_kernel(up, last)  # (4 * out, skip + below, 3, 3)
        skip = fuse.out_channels
        through = torch.einsum("ockl,cf->ofkl", joined[:, :skip], fuse.weight[:, :, 0, 0])
        bias = torch.einsum("ockl,c->o", joined[:, :skip], bias_of(fuse))
        self.visible = _convolution(through[:, :visible_channels], bias)
        self.thermal = _convolution(through[:, visible_channels:], None)
        self.below = _convolution(joined[:, skip:], None)

    def forward(self, visible: Tensor, thermal: Tensor, below: Tensor) -> Tensor:
        image = F.pixel_shuffle(
            self.visible(visible) + self.thermal(thermal) + self.below(below), 2
        )
        features = (visible, thermal, below)
        top = self._separately(*(x[:, :, :2] for x in features))[:, :, :2]
        bottom = self._separately(*(_last_two(x, 2) for x in features))
        left = self._separately(*(x[:, :, :, :2] for x in features))[:, :, 2:-2, :2]
        right = self._separately(*(_last_two(x, 3) for x in features))[:, :, 2:-2]
        middle = torch.cat((left, image[:, :, 2:-2, 2:-2], _last_two(right, 3)), dim=3)
        return torch.cat((top, middle, _last_two(bottom, 2)), dim=2)

    def _separately(self, visible: Tensor, thermal: Tensor, below: Tensor) -> Tensor:
        skip = self.fuse(torch.cat((visible, thermal), dim=1))
        return self.head(torch.cat((skip, below), dim=1))


def _last_two(x: Tensor, dim: int) -> Tensor:
    # torch2trt converts x[..., -2:] wrongly.
    return x.narrow(dim, x.shape[dim] - 2, 2)


def _sub_pixel_kernel(up: nn.ConvTranspose2d, last: nn.Conv2d) -> Tensor:
    """Merge a 4x4 transposed convolution of stride 2 and a 3x3 one into (4 * out, in, 3, 3).

    Together they are a transposed convolution with a 6x6 kernel; its tap m maps input row h to
    output row 2h + m, m = -2..3. Output rows 2p and 2p + 1 depend on input rows p + 1, p, p - 1 by
    the taps -2, 0, 2 and -1, 1, 3, and columns likewise. The output order is that of
    `pixel_shuffle`.
    """
    per_group = up.out_channels // up.groups
    dense = up.weight.new_zeros(up.in_channels, up.out_channels, 4, 4)
    for group, rows in enumerate(torch.arange(up.in_channels).chunk(up.groups)):
        dense[rows, group * per_group : (group + 1) * per_group] = up.weight[rows]
    taps = F.conv2d(dense.double(), last.weight.double(), padding=2)  # (in, out, 6, 6)
    cells = [
        taps[:, :, [row + 4, row + 2, row]][:, :, :, [column + 4, column + 2, column]]
        for row in (0, 1)
        for column in (0, 1)
    ]
    kernel = torch.stack(cells, dim=2)  # (in, out, 4, 3, 3)
    return kernel.flatten(1, 2).transpose(0, 1).to(up.weight.dtype)


def _pass_pixels_on(encoder: Encoder, finest: nn.Conv2d, *, first: bool) -> None:
    """Replace an encoder's first level by its 4x4 pixels as channels if those are fewer.

    The second level and the finest fusion, whose `first` or second half belongs to this encoder,
    are adapted to read the pixels.
    """
    level = _last_layer(encoder, 0)
    planes, width = level.in_channels, level.out_channels
    if level.kernel_size != (4, 4) or level.bias is not None or 16 * planes >= width:
        return
    mix = level.weight.flatten(1)  # (width, 16 * planes)
    pixels = nn.Conv2d(planes, 16 * planes, 4, stride=2, padding=1, bias=False, dtype=mix.dtype)
    kernel = torch.eye(16 * planes, dtype=mix.dtype).reshape(16 * planes, planes, 4, 4)
    pixels.weight = nn.Parameter(kernel, requires_grad=False)
    encoder.levels[0] = nn.Sequential(pixels.to(mix.device))
    _read_through(_last_layer(encoder, 1), mix, 0)
    _read_through(finest, mix, 0 if first else finest.in_channels - width)


def _read_through(convolution: nn.Conv2d, mix: Tensor, start: int) -> None:
    """Make a convolution read x instead of `mix` times x at its inputs from `start` on."""
    weight = convolution.weight
    end = start + mix.shape[0]
    read = torch.einsum("ockl,cp->opkl", weight[:, start:end], mix)
    kernel = torch.cat((weight[:, :start], read, weight[:, end:]), dim=1).contiguous()
    convolution.weight = nn.Parameter(kernel, requires_grad=False)
    convolution.in_channels = kernel.shape[1]


def _multiply_in(convolution: nn.Conv2d, mix: Tensor, bias: Tensor | None) -> None:
    """Merge a following 1x1 convolution with the kernel `mix` into a convolution."""
    kernel = torch.einsum("mc,cikl->mikl", mix[:, :, 0, 0], convolution.weight)
    convolution.weight = nn.Parameter(kernel, requires_grad=False)
    convolution.out_channels = kernel.shape[0]
    if bias is not None:
        convolution.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)


def _convolution(kernel: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a convolution with this kernel that keeps the size."""
    result = nn.Conv2d(
        kernel.shape[1],
        kernel.shape[0],
        kernel_size=kernel.shape[2],
        padding=kernel.shape[2] // 2,
        bias=bias is not None,
        dtype=kernel.dtype,
        device=kernel.device,
    )
    result.weight = nn.Parameter(kernel.detach().contiguous(), requires_grad=False)
    if bias is not None:
        result.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return result
