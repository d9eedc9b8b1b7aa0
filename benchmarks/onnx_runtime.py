# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime for comparison: the exported network for one image size.

It is not an engine of this package; docs/explanation/measurements.md has the reason.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch

from fusion_ros.engines.engine import even_pair
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.weights import LoadedWeights


class OnnxRuntimeRival:
    """Run a network on ONNX Runtime's CPU provider in float32, `uint8` in and out.

    Args:
        weights: network and metadata.
        height: of the images.
        width: of the images.
    """

    def __init__(self, weights: LoadedWeights, height: int, width: int) -> None:
        import onnxruntime

        pair = even_pair(height, width, weights.metadata.config.visible_channels)
        example = tuple(torch.from_numpy(x.reshape(1, height, width, -1)) for x in pair)
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing, and that there is a newer exporter
            torch.onnx.export(
                ByteNetwork(weights.net).eval(),
                example,
                file,
                input_names=["visible", "thermal"],
                output_names=["fused"],
                dynamo=False,
            )
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = onnxruntime.InferenceSession(
            file.getvalue(), options, providers=["CPUExecutionProvider"]
        )

    def infer(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        """See `Engine.infer`."""
        height, width = thermal.shape
        pair = {"visible": visible, "thermal": thermal}
        fed = {name: x.reshape(1, height, width, -1) for name, x in pair.items()}
        return self._session.run(None, fed)[0][0].squeeze()
