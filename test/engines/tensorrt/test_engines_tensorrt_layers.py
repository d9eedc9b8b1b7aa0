# SPDX-License-Identifier: Apache-2.0
"""Converters for torch2trt: the TensorRT layers that they add compute the result of PyTorch.

`StandInNetwork` has TensorRT's interface for the two kinds of layers and computes them with NumPy
and PyTorch by TensorRT's definitions.
"""

from __future__ import annotations

import contextlib
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusion_ros.engines.tensorrt.layers import convert_conv_transpose2d, convert_pixel_shuffle


class StandInLayer:
    """A layer whose settings are assigned after its creation; `value` computes it."""

    def __init__(self, compute: Any) -> None:
        self.compute = compute

    def get_output(self, index: int) -> StandInLayer:
        return self

    @property
    def value(self) -> np.ndarray:
        return self.compute(self)


class StandInNetwork:
    """A `tensorrt.INetworkDefinition`."""

    def add_shuffle(self, source: StandInLayer) -> StandInLayer:
        def compute(layer: Any) -> np.ndarray:
            order = getattr(layer, "second_transpose", None)
            reshaped = source.value.reshape(layer.reshape_dims)
            return reshaped if order is None else reshaped.transpose(order)

        return StandInLayer(compute)

    def add_deconvolution_nd(
        self,
        input: StandInLayer,
        num_output_maps: int,
        kernel_shape: tuple[int, ...],
        kernel: np.ndarray,
        bias: Any,
    ) -> StandInLayer:
        def compute(layer: Any) -> np.ndarray:
            x = torch.from_numpy(input.value)
            # Weights have no shape; the order is GKCRS.
            shape = (x.shape[1], num_output_maps // layer.num_groups, *kernel_shape)
            weights = torch.from_numpy(kernel.ravel()).reshape(shape)
            result = F.conv_transpose2d(
                x,
                weights,
                None if isinstance(bias, NoWeights) else torch.from_numpy(bias),
                layer.stride_nd,
                layer.padding_nd,
                groups=layer.num_groups,
            )
            return result.numpy()

        return StandInLayer(compute)


class NoWeights:
    """An empty `tensorrt.Weights`."""


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    trt, inner = types.ModuleType("tensorrt"), types.ModuleType("torch2trt.torch2trt")
    trt.Permutation, trt.Weights = tuple, NoWeights
    inner.use_shape_wrapping = lambda wanted: contextlib.nullcontext()
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "torch2trt", types.ModuleType("torch2trt"))
    monkeypatch.setitem(sys.modules, "torch2trt.torch2trt", inner)


def converted(convert: Any, *arguments: Any, wanted: torch.Tensor) -> torch.Tensor:
    """Return the result of the layers that `convert` adds for a call with these arguments."""
    arguments[0]._trt = StandInLayer(lambda layer: arguments[0].numpy())
    context = types.SimpleNamespace(
        network=StandInNetwork(), method_args=arguments, method_return=wanted
    )
    convert(context)
    return torch.from_numpy(wanted._trt.value)


def test_pixel_shuffle() -> None:
    x = torch.rand(2, 12, 3, 5)
    wanted = F.pixel_shuffle(x, 2)
    assert torch.equal(converted(convert_pixel_shuffle, x, 2, wanted=wanted), wanted)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("channels", "groups"), [((8, 4), 4), ((4, 8), 1), ((6, 6), 3)])
def test_transposed_convolution(channels: tuple[int, int], groups: int, bias: bool) -> None:
    layer = nn.ConvTranspose2d(*channels, 4, stride=2, padding=1, groups=groups, bias=bias)
    x = torch.rand(1, channels[0], 5, 7)
    with torch.inference_mode():
        wanted = layer(x)
        # As `nn.ConvTranspose2d.forward` calls it.
        arguments = (x, layer.weight, layer.bias, (2, 2), (1, 1), (0, 0), groups, (1, 1))
        got = converted(convert_conv_transpose2d, *arguments, wanted=wanted)
    assert torch.allclose(got, wanted, atol=1e-6)


def test_output_padding_is_refused() -> None:
    arguments = (torch.rand(1, 4, 5, 5), torch.rand(4, 4, 4, 4), None, (2, 2), (1, 1), (1, 1), 1)
    with pytest.raises(ValueError, match="output_padding"):
        converted(convert_conv_transpose2d, *arguments, wanted=torch.rand(1, 4, 11, 11))
