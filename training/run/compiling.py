# SPDX-License-Identifier: Apache-2.0
"""torch.compile for the training step, used only if its gradients equal those of the plain step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

#: Largest relative distance between both gradients; reduced precision causes up to one percent.
TOLERANCE = 0.05


class CompileError(RuntimeError):
    """The gradients of the compiled step differ from those of the plain one."""


def compiled_step(
    step: nn.Module,
    visible: Tensor,
    thermal: Tensor,
    *,
    moving: bool = False,
    backward: Callable[[Tensor], object] = Tensor.backward,
) -> Callable[..., tuple[Tensor, Mapping[str, Tensor]]]:
    """Return ``step`` compiled after a comparison of the gradients of one batch.

    Compilers can drop gradients silently. With torch 2.13 on a CPU no gradient passed through a
    bilinear upsampling at the size of real crops, although it did at the size of a test. Most of
    the network was not trained for thousands of steps while the loss decreased.

    Args:
        step: a :class:`training.run.step.TrainingStep`, maybe wrapped; its gradients are reset.
        visible: a batch of the run, N, C, H, W in [0, 1].
        thermal: N, 1, H, W in [0, 1].
        moving: compare the step for consecutive frames as well, which is compiled separately.
        backward: function that propagates a loss to the weights; Fabric's for reduced precision.

    Raises:
        CompileError: the gradients differ; the message says by how much and what to do.
    """
    compiled = torch.compile(step)
    for consecutive in (False, True) if moving else (False,):
        batch = visible, thermal, consecutive
        plain = _gradient(step, step, batch, backward)
        fused = _gradient(step, compiled, batch, backward)
        distance = ((fused - plain).norm() / plain.norm().clamp_min(1e-12)).item()
        if not distance <= TOLERANCE:
            raise CompileError(
                f"compile is true, but torch {torch.__version__} compiles this step wrongly: its "
                f"gradients are {distance:.0%} away from the plain ones, allowed is "
                f"{TOLERANCE:.0%}; set compile=false"
            )
    return compiled


def _gradient(
    step: nn.Module,
    compute: Callable[..., tuple[Tensor, Mapping[str, Tensor]]],
    batch: tuple[Tensor, Tensor, bool],
    backward: Callable[[Tensor], object],
) -> Tensor:
    """Return the gradient of the loss for all trained weights as one row."""
    weights = [weight for weight in step.parameters() if weight.requires_grad]
    for weight in weights:
        weight.grad = None
    backward(compute(*batch)[0])
    rows = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    for weight in weights:
        weight.grad = None
    return torch.cat([row.flatten() for row in rows])
