# SPDX-License-Identifier: Apache-2.0
"""Two layers of our networks that torch2trt 0.5 does not convert, or converts wrongly."""

from __future__ import annotations

from typing import Any


def register_layers() -> None:
    """Teach torch2trt our layers, in place of what it has under their names."""
    from torch2trt.torch2trt import tensorrt_converter

    # Registering replaces. It must: for functions that it does not know, torch2trt has entries that
    # warn and go on, and their answer for the example becomes a constant of the engine.
    tensorrt_converter("torch.nn.functional.pixel_shuffle")(convert_pixel_shuffle)
    tensorrt_converter("torch.nn.functional.conv_transpose2d")(convert_conv_transpose2d)


def convert_pixel_shuffle(context: Any) -> None:
    """`F.pixel_shuffle(x, factor)` as two reshapes with a transposition between."""
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
    """`F.conv_transpose2d` as `nn.ConvTranspose2d` calls it.

    torch2trt's own takes the first side of the kernel for the output's channels; it is the input's.
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
    # While it converts, torch2trt puts shape layers behind `tensor.shape`; ours are fixed numbers.
    from torch2trt.torch2trt import use_shape_wrapping

    with use_shape_wrapping(False):
        return [int(n) for n in tensor.shape]
