# SPDX-License-Identifier: Apache-2.0
"""Converters for two layers that torch2trt 0.5 does not convert correctly."""

from __future__ import annotations

from typing import Any


def register_layers() -> None:
    """Register our converters with torch2trt in place of its own."""
    from torch2trt.torch2trt import tensorrt_converter

    # torch2trt only warns about an unsupported function and turns its result for the example into
    # a constant. Registering replaces such an entry.
    tensorrt_converter("torch.nn.functional.pixel_shuffle")(convert_pixel_shuffle)
    tensorrt_converter("torch.nn.functional.conv_transpose2d")(convert_conv_transpose2d)


def convert_pixel_shuffle(context: Any) -> None:
    """Convert `F.pixel_shuffle(x, factor)` to two reshapes with a transposition between them."""
    import tensorrt

    source, factor = context.method_args[0], int(context.method_args[1])
    batch, channels, height, width = _shape(source)
    planes = channels // factor**2
    split = context.network.add_shuffle(source._trt)
    split.reshape_dims = (batch, planes, factor, factor, height, width)
    split.second_transpose = tensorrt.Permutation([0, 1, 4, 2, 5, 3])
    joined = context.network.add_shuffle(split.get_output(0))
    joined.reshape_dims = (batch, planes, height * factor, width * factor)
    context.method_return._trt = joined.get_output(0)


def convert_conv_transpose2d(context: Any) -> None:
    """Convert `F.conv_transpose2d` as called by `nn.ConvTranspose2d`.

    The converter of torch2trt reads the number of output channels from the first axis of the
    kernel, which holds the input channels.
    """
    import tensorrt

    source, weight, bias, stride, padding, output_padding, groups = context.method_args[:7]
    if any(output_padding):
        raise ValueError(f"output_padding is {output_padding}; allowed: 0")
    _, channels_a_group, *kernel_shape = _shape(weight)
    layer = context.network.add_deconvolution_nd(
        input=source._trt,
        num_output_maps=channels_a_group * groups,
        kernel_shape=tuple(kernel_shape),
        kernel=weight.detach().cpu().numpy(),
        bias=tensorrt.Weights() if bias is None else bias.detach().cpu().numpy(),
    )
    layer.stride_nd = stride
    layer.padding_nd = padding
    layer.num_groups = groups
    context.method_return._trt = layer.get_output(0)


def _shape(tensor: Any) -> list[int]:
    # During conversion `tensor.shape` holds shape layers of TensorRT; fixed numbers are needed.
    from torch2trt.torch2trt import use_shape_wrapping

    with use_shape_wrapping(False):
        return [int(n) for n in tensor.shape]
