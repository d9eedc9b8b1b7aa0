# SPDX-License-Identifier: Apache-2.0
"""Export of a network to ONNX, from `uint8` images to a `uint8` image of any size."""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch

from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.onnx_file import sealed
from fusion_ros.model.rewrites import by_rows, merge_heads
from fusion_ros.model.weights import LoadedWeights

OPSET = 18
#: Tensors with fewer values (biases) stay in float32.
_LEAST_HALVED = 1000


def export_onnx(weights: LoadedWeights, *, half: bool = False, integers: bool = False) -> bytes:
    """Return the ONNX file of these weights: `visible` and `thermal` to `fused`.

    The inputs are `uint8` (1, H, W, channels), as in `ByteNetwork.forward`.

    Args:
        weights: the network as trained.
        half: store the kernels as float16, which needs the package onnx; the arithmetic stays
            float32.
        integers: use the form that is faster once it is quantised.

    Raises:
        WeightsError: the tensors do not match the config.
    """
    net = ByteNetwork(weights.net).eval()
    net.net = by_rows(net.net) if integers else merge_heads(net.net)
    # With an odd size the trace contains the padding; its amounts remain computed.
    visible = torch.zeros(1, 33, 35, net.config.visible_channels, dtype=torch.uint8)
    thermal = torch.zeros(1, 33, 35, 1, dtype=torch.uint8)
    sizes = {1: "height", 2: "width"}
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter warns that it is deprecated; it supports computed padding.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (visible, thermal),
            file,  # type: ignore[arg-type]  # the tracing exporter accepts it
            input_names=["visible", "thermal"],
            output_names=["fused"],
            dynamic_axes={"visible": sizes, "thermal": sizes, "fused": sizes},
            opset_version=OPSET,
            dynamo=False,
        )
    model = file.getvalue()
    return sealed(_with_half_kernels(model) if half else model, weights.metadata.sha256)


def _with_half_kernels(model: bytes) -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load_from_string(model)
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= _LEAST_HALVED:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            cast = helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)
            proto.graph.node.insert(0, cast)
    return proto.SerializeToString()
