# SPDX-License-Identifier: Apache-2.0
"""Small detectors as ONNX files, made where the tests run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

SIDE, CELL = 64, 16


def bright_cells(path: Path, names: str = "{0: 'lamp'}") -> Path:
    """A detector in YOLOv8's layout: each cell of 16x16 is a "lamp" as sure as it is bright."""
    onnx = pytest.importorskip("onnx")
    steps = np.arange(CELL // 2, SIDE, CELL, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    sides = np.full(x.size, CELL, np.float32)
    boxes = np.stack([x.ravel(), y.ravel(), sides, sides])[None]
    nodes = [
        onnx.helper.make_node("ReduceMean", ["images", "axes"], ["grey"], keepdims=1),
        onnx.helper.make_node(
            "AveragePool", ["grey"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]
        ),
        onnx.helper.make_node("Reshape", ["cells", "shape"], ["scores"]),
        onnx.helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    constants = {
        "boxes": boxes,
        "shape": np.array([1, 1, x.size], np.int64),
        "axes": np.array([1], np.int64),
    }
    return _save(path, nodes, constants, [("output0", (1, 5, x.size))], names)


def constant_outputs(
    path: Path,
    outputs: Sequence[np.ndarray],
    names: str | None = None,
    input_shape: Sequence[int | str] = (1, 3, SIDE, SIDE),
) -> Path:
    """A model whose outputs are the same for every image."""
    onnx = pytest.importorskip("onnx")
    nodes, shapes, constants = [], [], {"zero": np.zeros(1, np.float32)}
    nodes.append(onnx.helper.make_node("ReduceSum", ["images"], ["sum"], keepdims=0))
    nodes.append(onnx.helper.make_node("Mul", ["sum", "zero"], ["nothing"]))
    for number, output in enumerate(outputs):
        constants[f"constant{number}"] = output.astype(np.float32)
        nodes.append(
            onnx.helper.make_node("Add", [f"constant{number}", "nothing"], [f"output{number}"])
        )
        shapes.append((f"output{number}", output.shape))
    return _save(path, nodes, constants, shapes, names, input_shape)


def _save(path, nodes, constants, outputs, names=None, input_shape=(1, 3, SIDE, SIDE)) -> Path:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", kind, list(input_shape))],
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, shape in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if names is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "names", names
    onnx.save(model, str(path))
    return path
