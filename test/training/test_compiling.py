# SPDX-License-Identifier: Apache-2.0
"""A compiled step is used only if its gradients equal those of the plain one."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusion_ros.model.blend import double_in_slices
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from training.run.compiling import CompileError, compiled_step
from training.run.step import TrainingStep


@pytest.fixture
def step() -> TrainingStep:
    torch.manual_seed(0)
    return TrainingStep(
        FusionNet(PRESETS["compact"]).train(), {"qw": 1.0, "qe": 1.0, "mse": 0.5}, 4
    )


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    # The size of real crops; at 32x64 the faulty compiler was right.
    generator = torch.Generator().manual_seed(0)
    visible, thermal = torch.rand(2, 2, 1, 224, 320, generator=generator)
    return visible, thermal


class DropsGradient(nn.Module):
    """A compiler whose result is right, but without the gradient of one layer."""

    def __init__(self, step: TrainingStep) -> None:
        super().__init__()
        self.step = step

    def forward(self, *pictures: torch.Tensor) -> tuple:
        layer = self.step.net.blend.encode[0]
        layer.requires_grad_(False)
        answer = self.step(*pictures)
        layer.requires_grad_(True)
        return answer


def test_doubling_in_slices_is_bilinear_interpolation_with_its_gradient():
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 10, 14, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(double_in_slices(x), expected)
    (slope,) = torch.autograd.grad((double_in_slices(x) * weight).sum(), x)
    torch.testing.assert_close(slope, torch.autograd.grad((expected * weight).sum(), x)[0])


def test_a_compiler_that_drops_a_gradient_is_refused(step, batch, monkeypatch):
    monkeypatch.setattr(torch, "compile", DropsGradient)
    with pytest.raises(CompileError, match=r"gradients are \d+% away .*compile=false"):
        compiled_step(step, *batch)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
def test_the_compiled_step_of_a_blend_has_the_gradients_of_the_plain_one(batch):
    # Two levels and one simple term compile sooner; the fault was in the doubling between levels.
    torch.manual_seed(0)
    net = FusionNet(dataclasses.replace(PRESETS["compact"], widths=(16, 32))).train()
    step = TrainingStep(net, {"mse": 1.0}, 4)
    compiled = compiled_step(step, *batch)
    torch.testing.assert_close(compiled(*batch)[0], step(*batch)[0], rtol=1e-4, atol=1e-5)
    assert all(weight.grad is None for weight in step.parameters())
