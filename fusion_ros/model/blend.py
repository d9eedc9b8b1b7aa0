# SPDX-License-Identifier: Apache-2.0
"""`BlendNet`: the layout of `compact`, with few operations at full resolution.

Both images enter one U-shaped network at half resolution (each 2x2 cell becomes channels). Its
output is a weight and a correction for each pixel: fused = t + w * (v - t) + r. The pixels of the
sources therefore reach the output without blur.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.model.config import FusionNetConfig


class BlendNet(nn.Module):
    """Predict a blend weight and a correction for each pixel of a pair.

    Args:
        config: a config of layout "blend"; `widths` are the channels from half resolution down.
    """

    def __init__(self, config: FusionNetConfig) -> None:
        super().__init__()
        self.config = config
        # Largest value of an image; rewrites for inference use another unit.
        self.limit = 1.0
        widths = config.widths
        planes = config.visible_channels + 1
        self.stem = nn.Conv2d(planes, widths[0], kernel_size=4, stride=2, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in itertools.pairwise(widths)
        )
        self.encode = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[1:])
        self.up = nn.ModuleList(
            nn.Conv2d(after, before, 1) for before, after in itertools.pairwise(widths)
        )
        self.decode = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[:-1])
        # Weight and correction for each pixel of a 2x2 cell. Two layers avoid a split, which some
        # engines run slowly.
        self.weight_head = nn.Conv2d(widths[0], 4, 1)
        self.correction_head = nn.Conv2d(widths[0], 4, 1)
        # Rewrites for inference, see `rewrites.merge_heads` and `rewrites.by_rows`.
        self.merged_heads: MergedHeads | HeadsByRows | None = None
        self.last_up: UpByRows | None = None
        self._start_as_average()

    def _start_as_average(self) -> None:
        for layer in self.modules():
            # Initialising weights on the meta device makes PyTorch import its compiler (4 s).
            if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(bias_of(layer))
        with torch.no_grad():
            self.weight_head.weight.mul_(0.1)
            bias_of(self.weight_head).fill_(0.5)
            self.correction_head.weight.mul_(0.1)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Fuse (N, 1, H, W) in [-1, 1] with H and W multiples of `config.stride`."""
        x = F.relu(self.stem(torch.cat((visible, thermal), dim=1)))
        skips = []
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(x)
            x = F.relu(encode(F.relu(down(x))))
        for level in reversed(range(len(self.up))):
            if level == 0 and self.last_up is not None:
                x = self.last_up(x)
            else:
                # "nearest" is a millisecond faster but leaves a faint grid on uniform areas.
                x = self._double(self.up[level](x))
            x = F.relu(self.decode[level](F.relu(x + skips[level])))
        if self.merged_heads is None:
            weight = F.pixel_shuffle(self.weight_head(x), 2)
            correction = F.pixel_shuffle(self.correction_head(x), 2)
        else:
            weight, correction = self.merged_heads(x)
        fused = thermal + weight * (visible - thermal) + correction
        return fused.clamp(-self.limit, self.limit)

    def _double(self, x: Tensor) -> Tensor:
        """Upsample bilinearly to twice the size, without aligned corners."""
        if self.training and torch.compiler.is_compiling():
            return double_in_slices(x)
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class MergedHeads(nn.Module):
    """Both heads of a `BlendNet` as one convolution, and one transposition for both shuffles.

    OpenVINO runs this in 5 % less of the network's time. Pixels are grouped with the channels last,
    as OpenVINO keeps them in memory.
    """

    def __init__(self, net: BlendNet) -> None:
        super().__init__()
        heads = (net.weight_head, net.correction_head)
        kernel = torch.cat([head.weight.detach() for head in heads])
        self.both = nn.Conv2d(kernel.shape[1], 8, 1, device=kernel.device, dtype=kernel.dtype)
        self.both.weight = nn.Parameter(kernel, requires_grad=False)
        bias = torch.cat([bias_of(head).detach() for head in heads])
        self.both.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and correction, (N, 1, 2H, 2W) each, for features (N, C, H, W)."""
        count, _, height, width = x.shape
        cells = self.both(x).permute(0, 2, 3, 1).reshape(count, height, width, 2, 2, 2)
        planes = cells.permute(3, 0, 1, 4, 2, 5).reshape(2, count, 1, 2 * height, 2 * width)
        return planes[0], planes[1]


class HeadsByRows(nn.Module):
    """Both heads of a `BlendNet`, a convolution for each row of the cells.

    A convolution computes the pixels of that row for two cells side by side, which lie side by side
    in memory with the channels last: rows are concatenated, no pixel is moved. With integers
    OpenVINO runs this faster than `MergedHeads`.
    """

    def __init__(self, net: BlendNet) -> None:
        super().__init__()
        cells = 2 if len(net.up) else 1  # the width is even above a further level
        self.rows = nn.ModuleList(
            _row_of_cells(head, row, cells)
            for head in (net.weight_head, net.correction_head)
            for row in (0, 1)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and correction, (N, 1, 2H, 2W) each, for features (N, C, H, W)."""
        count, _, height, width = x.shape
        rows = [
            row(x).permute(0, 2, 3, 1).reshape(count, height, 1, 2 * width) for row in self.rows
        ]
        planes = (torch.cat(pair, 2) for pair in (rows[:2], rows[2:]))
        weight, correction = (x.reshape(count, 1, 2 * height, 2 * width) for x in planes)
        return weight, correction


def _row_of_cells(head: nn.Conv2d, row: int, cells: int) -> nn.Conv2d:
    """Return the convolution that computes a row of pixels of neighbouring cells."""
    kernel, bias = head.weight.detach()[2 * row :][:2], bias_of(head).detach()[2 * row :][:2]
    wide = kernel.new_zeros(2 * cells, kernel.shape[1], 1, cells)
    for cell in range(cells):
        wide[2 * cell :][:2, :, :, cell] = kernel[..., 0]
    result = nn.Conv2d(
        kernel.shape[1],
        2 * cells,
        (1, cells),
        stride=(1, cells),
        device=kernel.device,
        dtype=kernel.dtype,
    )
    result.weight = nn.Parameter(wide, requires_grad=False)
    result.bias = nn.Parameter(bias.repeat(cells), requires_grad=False)
    return result


class UpByRows(nn.Module):
    """A 1x1 convolution and bilinear doubling as a 1x3 convolution and means of rows.

    The convolution computes both columns of each pair as further channels, which lie side by side
    in memory with the channels last. With a convolution of integers OpenVINO runs this faster than
    its interpolation.

    Args:
        up: the 1x1 convolution.
    """

    def __init__(self, up: nn.Conv2d) -> None:
        super().__init__()
        self.width = up.out_channels
        kernel = up.weight.detach()
        left, right = (
            torch.cat([share * kernel for share in shares], 3)
            for shares in ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25))
        )
        self.columns = nn.Conv2d(
            up.in_channels, 2 * self.width, (1, 3), device=kernel.device, dtype=kernel.dtype
        )
        self.columns.weight = nn.Parameter(torch.cat((left, right)), requires_grad=False)
        bias = bias_of(up).detach().repeat(2)
        self.columns.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, width, 2H, 2W) for (N, C, H, W)."""
        count, _, height, width = x.shape
        wide = self.columns(F.pad(x, (1, 1, 0, 0), mode="replicate"))
        # Rows of plain numbers: OpenVINO sums long rows faster than short ones.
        wide = wide.permute(0, 2, 3, 1).reshape(count, height, 1, 2 * width * self.width)
        above = torch.cat((wide[:, :1], wide[:, :-1]), 1)
        below = torch.cat((wide[:, 1:], wide[:, -1:]), 1)
        rows = torch.cat((0.75 * wide + 0.25 * above, 0.75 * wide + 0.25 * below), 2)
        return rows.reshape(count, 2 * height, 2 * width, self.width).permute(0, 3, 1, 2)


def double_in_slices(x: Tensor) -> Tensor:
    """Compute ``F.interpolate(x, scale_factor=2, mode="bilinear")`` by slices.

    For compiled training: with torch 2.13 on a CPU, the compiled training step passes no gradient
    through ``F.interpolate`` at the size of real crops; `training/run/compiling.py` checks it.

    Args:
        x: N, C, H, W; the result is N, C, 2H, 2W.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        before = torch.cat((x.narrow(axis, 0, 1), x.narrow(axis, 0, size - 1)), axis)
        after = torch.cat((x.narrow(axis, 1, size - 1), x.narrow(axis, size - 1, 1)), axis)
        pair = (0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after)
        x = torch.stack(pair, axis + 1).flatten(axis, axis + 1)
    return x


def bias_of(layer: nn.Conv2d) -> Tensor:
    """Return the bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias
