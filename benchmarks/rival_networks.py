# SPDX-License-Identifier: Apache-2.0
"""Networks of published shapes with random weights, for their time and cost.

Written from the papers and from their authors' public code as of 2026; none of that code is here.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class IfcnnLike(nn.Module):
    """After Zhang et al., "IFCNN", Information Fusion 2020: 7x7, 3x3, maximum, 3x3, 1x1 at 64."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 7, padding=3)
        self.second = nn.Conv2d(64, 64, 3, padding=1)
        self.third = nn.Conv2d(64, 64, 3, padding=1)
        self.last = nn.Conv2d(64, 3, 1)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        features = [
            F.relu(self.second(F.relu(self.first(x))))
            for x in (visible, thermal.expand(-1, 3, -1, -1))
        ]
        return self.last(F.relu(self.third(torch.maximum(*features))))


class GradientBlock(nn.Module):
    """SeAFusion's gradient residual dense block: dense 3x3 pair beside a Sobel branch."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(width_in, width_in, 3, padding=1)
        self.two = nn.Conv2d(2 * width_in, width_in, 3, padding=1)
        self.joined = nn.Conv2d(3 * width_in, width_out, 1)
        self.sobel_x = nn.Conv2d(width_in, width_in, 3, padding=1, groups=width_in, bias=False)
        self.sobel_y = nn.Conv2d(width_in, width_in, 3, padding=1, groups=width_in, bias=False)
        self.edges = nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        dense = torch.cat((x, F.leaky_relu(self.one(x), 0.1)), dim=1)
        dense = torch.cat((dense, F.leaky_relu(self.two(dense), 0.1)), dim=1)
        edges = self.edges(self.sobel_x(x).abs() + self.sobel_y(x).abs())
        return F.leaky_relu(self.joined(dense) + edges, 0.1)


class SeaFusionLike(nn.Module):
    """After Tang et al., "SeAFusion", Information Fusion 2022: two streams of 16, 32, 48."""

    def __init__(self) -> None:
        super().__init__()

        def stream() -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1),
                nn.LeakyReLU(0.1),
                GradientBlock(16, 32),
                GradientBlock(32, 48),
            )

        self.seen, self.felt = stream(), stream()
        layers: list[nn.Module] = []
        for before, after in ((96, 64), (64, 32), (32, 16)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.1)]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(16, 1, 3, padding=1), nn.Tanh())

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        return self.decoder(torch.cat((self.seen(visible), self.felt(thermal)), dim=1))


class MmdrFuseLike(nn.Sequential):
    """After Deng et al., "MMDRFuse", ACM MM 2024: a distilled student of 113 weights."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(4, 1, 3, padding=1, padding_mode="reflect"),
            nn.Tanh(),
        )

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        return super().forward(torch.cat((visible, thermal), dim=1))


class LutFuseLike(nn.Module):
    """After "LUT-Fuse", ICCV 2025: a table of 17^4 entries, addressed with a small network.

    The key of a pixel is luma, gradient, context (the network's output) and thermal value; entries
    are interpolated between the sixteen neighbours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(17, 17, 17, 17))

        def layer(width_in: int) -> list[nn.Module]:
            conv = nn.Conv2d(width_in, 16, 3, padding=1)
            return [conv, nn.LeakyReLU(0.2), nn.InstanceNorm2d(16, affine=True)]

        self.first = nn.Sequential(*layer(4))
        self.middle = nn.Sequential(*layer(16), *layer(16), *layer(16))
        self.last = nn.Sequential(nn.Conv2d(16, 1, 3, padding=1), nn.Sigmoid())
        sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
        self.register_buffer("sobel", torch.stack((sobel, sobel.T))[:, None])

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        first = self.first(torch.cat((visible, thermal), dim=1))
        context = self.last(first + self.middle(first))
        red, green, blue = visible.split(1, dim=1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        gradient = F.conv2d(luma, self.sobel, padding=1).square().sum(1, keepdim=True).sqrt()
        gradient = gradient / (gradient.amax() + 1e-8)
        keys = torch.cat((luma, gradient, context, thermal), dim=1) * (255 / 16)
        below = keys.long()
        share = keys - below
        fused = torch.zeros_like(luma[:, 0])
        for corner in itertools.product((0, 1), repeat=4):
            weights = [s if c else 1 - s for s, c in zip(share.unbind(1), corner, strict=True)]
            index = [(b + c).clamp(max=16) for b, c in zip(below.unbind(1), corner, strict=True)]
            fused += self.table[tuple(index)] * weights[0] * weights[1] * weights[2] * weights[3]
        return fused[:, None]
