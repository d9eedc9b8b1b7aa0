# SPDX-License-Identifier: Apache-2.0
"""The `paper` network in fewer operations: without activations, neighbouring layers are one layer.

Every step here is exact in real numbers; the tests hold the whole to 1e-12 in float64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.model.network import Encoder, FusionNet


def is_linear_decoder(net: FusionNet) -> bool:
    """Whether `LinearFusionNet` can stand for this network."""
    config = net.config
    return (
        config.layout == "encoder_decoder"
        and config.activation == "none"
        and not config.bias
        and config.head_channels > 0
        and len(config.widths) >= 2
    )


class LinearFusionNet(nn.Module):
    """Computes what a network without activations computes.

    * The two cameras' halves of each 1x1 fusion are applied apart and added, without joining the
      features in memory first.
    * The deepest fusion is multiplied into the last convolution of each encoder, as nothing else
      reads those features.
    * An encoder's first level maps the 4x4 pixels under its kernel to many channels: from one
      thermal plane, 64 channels of which 16 say all. The pixels themselves go on instead, and the
      map is multiplied into the layers that read it.
    * The last transposed convolution, the last 3x3 convolution and the finest fusion become one
      3x3 convolution at half resolution that gives the four pixels of each 2x2 cell.

    Args:
        net: one for which `is_linear_decoder` holds; its encoders may have been rewritten.
    """

    def __init__(self, net: FusionNet) -> None:
        super().__init__()
        self.config = net.config
        finest = net.fusion[0]
        _pass_pixels_on(net.visible_encoder, finest, first=True)
        _pass_pixels_on(net.thermal_encoder, finest, first=False)
        self.visible_encoder = net.visible_encoder
        self.thermal_encoder = net.thermal_encoder
        deepest = net.fusion[-1]
        half = deepest.in_channels // 2
        _multiply_in(self.visible_encoder.levels[-1][-1], deepest.weight[:, :half], deepest.bias)
        _multiply_in(self.thermal_encoder.levels[-1][-1], deepest.weight[:, half:], None)
        self.fusion = nn.ModuleList(_SplitFusion(fuse) for fuse in net.fusion[1:-1])
        self.decoder_levels = net.decoder.levels
        self.head = _SubPixelHead(
            finest, net.decoder.head, self.visible_encoder.levels[0][-1].out_channels
        )

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """See `FusionNet.forward`."""
        seen = self.visible_encoder(visible)
        felt = self.thermal_encoder(thermal)
        x = seen[-1] + felt[-1]
        skips = [fuse(s, f) for fuse, s, f in zip(self.fusion, seen[1:], felt[1:], strict=False)]
        for level, skip in zip(self.decoder_levels, [*reversed(skips), None], strict=True):
            x = level(x)
            if skip is not None:
                x = torch.cat((skip, x), dim=1)
        return torch.tanh(self.head(seen[0], felt[0], x))


class _SplitFusion(nn.Module):
    """A 1x1 convolution over two joined inputs, as the sum of one over each."""

    def __init__(self, fuse: nn.Conv2d) -> None:
        super().__init__()
        half = fuse.in_channels // 2
        self.seen = _convolution(fuse.weight[:, :half], fuse.bias)
        self.felt = _convolution(fuse.weight[:, half:], None)

    def forward(self, seen: Tensor, felt: Tensor) -> Tensor:
        return self.seen(seen) + self.felt(felt)


class _SubPixelHead(nn.Module):
    """Finest fusion, last transposed convolution and last convolution, as one convolution.

    Joined, the layers see beyond the picture's border what apart they do not (the transposed
    convolution's answers outside, the fusion's bias). The two outermost pixels therefore come from
    the layers as they were, run on strips along the border.
    """

    def __init__(self, fuse: nn.Conv2d, head: nn.Sequential, seen_channels: int) -> None:
        super().__init__()
        self.fuse, self.head = fuse, head
        up, last = head[0][0], head[1]
        joined = _sub_pixel_kernel(up, last)  # (4 * out, skip + below, 3, 3)
        skip = fuse.out_channels
        through = torch.einsum("ockl,cf->ofkl", joined[:, :skip], fuse.weight[:, :, 0, 0])
        bias = torch.einsum("ockl,c->o", joined[:, :skip], fuse.bias)
        self.seen = _convolution(through[:, :seen_channels], bias)
        self.felt = _convolution(through[:, seen_channels:], None)
        self.below = _convolution(joined[:, skip:], None)

    def forward(self, seen: Tensor, felt: Tensor, below: Tensor) -> Tensor:
        picture = F.pixel_shuffle(self.seen(seen) + self.felt(felt) + self.below(below), 2)
        features = (seen, felt, below)
        top = self._as_before(*(x[:, :, :2] for x in features))[:, :, :2]
        bottom = self._as_before(*(_last_two(x, 2) for x in features))
        left = self._as_before(*(x[:, :, :, :2] for x in features))[:, :, 2:-2, :2]
        right = self._as_before(*(_last_two(x, 3) for x in features))[:, :, 2:-2]
        middle = torch.cat((left, picture[:, :, 2:-2, 2:-2], _last_two(right, 3)), dim=3)
        return torch.cat((top, middle, _last_two(bottom, 2)), dim=2)

    def _as_before(self, seen: Tensor, felt: Tensor, below: Tensor) -> Tensor:
        skip = self.fuse(torch.cat((seen, felt), dim=1))
        return self.head(torch.cat((skip, below), dim=1))


def _last_two(x: Tensor, dim: int) -> Tensor:
    # Not x[..., -2:]: torch2trt takes it for two more than all.
    return x.narrow(dim, x.shape[dim] - 2, 2)


def _sub_pixel_kernel(up: nn.ConvTranspose2d, last: nn.Conv2d) -> Tensor:
    """4x4 transposed convolution of stride 2, then 3x3 convolution, as (4 * out, in, 3, 3).

    Joined they are a transposed convolution with a 6x6 kernel, whose tap m puts input row h into
    output row 2h + m, m = -2..3. Output rows 2p and 2p + 1 see input rows p + 1, p, p - 1 through
    the taps -2, 0, 2 and -1, 1, 3; columns alike. Order of the output as `pixel_shuffle` takes it.
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
    """Let an encoder's first level give its 4x4 pixels as channels, where those are fewer.

    What follows reads the same features through them: the second level, and the finest fusion,
    whose `first` or second half is this encoder's.
    """
    level = encoder.levels[0][-1]
    planes, width = level.in_channels, level.out_channels
    if level.kernel_size != (4, 4) or level.bias is not None or 16 * planes >= width:
        return
    mix = level.weight.flatten(1)  # (width, 16 * planes)
    pixels = nn.Conv2d(planes, 16 * planes, 4, stride=2, padding=1, bias=False, dtype=mix.dtype)
    kernel = torch.eye(16 * planes, dtype=mix.dtype).reshape(16 * planes, planes, 4, 4)
    pixels.weight = nn.Parameter(kernel, requires_grad=False)
    encoder.levels[0] = nn.Sequential(pixels.to(mix.device))
    _read_through(encoder.levels[1][-1], mix, 0)
    _read_through(finest, mix, 0 if first else finest.in_channels - width)


def _read_through(convolution: nn.Conv2d, mix: Tensor, start: int) -> None:
    """Let a convolution take x where its inputs from `start` on were `mix` times x."""
    weight = convolution.weight
    end = start + mix.shape[0]
    read = torch.einsum("ockl,cp->opkl", weight[:, start:end], mix)
    kernel = torch.cat((weight[:, :start], read, weight[:, end:]), dim=1).contiguous()
    convolution.weight = nn.Parameter(kernel, requires_grad=False)
    convolution.in_channels = kernel.shape[1]


def _multiply_in(convolution: nn.Conv2d, mix: Tensor, bias: Tensor | None) -> None:
    """Let a convolution give what a 1x1 convolution with `mix` makes of its answer."""
    kernel = torch.einsum("mc,cikl->mikl", mix[:, :, 0, 0], convolution.weight)
    convolution.weight = nn.Parameter(kernel, requires_grad=False)
    convolution.out_channels = kernel.shape[0]
    if bias is not None:
        convolution.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)


def _convolution(kernel: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A same-size convolution with this kernel."""
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
