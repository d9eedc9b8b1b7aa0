# SPDX-License-Identifier: Apache-2.0
"""torch.compile for the training step, taken only once its gradients are the plain step's own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

TOLERANCE = 0.05
"""Largest relative distance between both gradients: reduced precision rounds up to a percent."""


class CompileError(RuntimeError):
    """The compiled step learns something else than the plain one."""


def compiled_step(
    step: nn.Module,
    visible: Tensor,
    thermal: Tensor,
    *,
    preferences: Tensor | None = None,
    moving: bool = False,
    backward: Callable[[Tensor], object] = Tensor.backward,
) -> nn.Module:
    """Return ``step`` compiled, after comparing the gradients of one batch with the plain step's.

    Compilers do drop gradients without a word: with torch 2.13 on a CPU nothing passed back through
    a bilinear upsampling at the size of real crops (at that of a test's it did), so that most of a
    network never moved, for thousands of steps that looked like learning.

    Args:
        step: a :class:`training.step.TrainingStep`, maybe wrapped; its gradients are left empty.
        visible, thermal: a batch as the run has them, N, C, H, W and N, 1, H, W in [0, 1].
        preferences: of the batch's objects, as the run has them, or None.
        moving: compare the step for consecutive frames as well, which is compiled apart.
        backward: takes a loss back to the weights; Fabric's own where precision is reduced.

    Raises:
        CompileError: the gradients differ; the message says by how much and what to do.
    """
    compiled = torch.compile(step)
    for consecutive in (False, True) if moving else (False,):
        batch = visible, thermal, consecutive, preferences
        plain = _gradient(step, step, batch, backward)
        fused = _gradient(step, compiled, batch, backward)
        distance = ((fused - plain).norm() / plain.norm().clamp_min(1e-12)).item()
        if not distance <= TOLERANCE:
            raise CompileError(
                f"compile is true, and torch {torch.__version__} compiles this step wrongly: its "
                f"gradients are {distance:.0%} away from the plain ones, allowed is "
                f"{TOLERANCE:.0%}; say compile=false"
            )
    return compiled


def _gradient(
    step: nn.Module,
    compute: nn.Module,
    batch: tuple[Tensor, Tensor, bool, Tensor | None],
    backward: Callable[[Tensor], object],
) -> Tensor:
    """The loss' gradient by all weights that learn, in one row."""
    weights = [weight for weight in step.parameters() if weight.requires_grad]
    for weight in weights:
        weight.grad = None
    backward(compute(*batch)[0])
    rows = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    for weight in weights:
        weight.grad = None
    return torch.cat([row.flatten() for row in rows])
