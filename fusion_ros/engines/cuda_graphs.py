# SPDX-License-Identifier: Apache-2.0
"""A network on a CUDA device with one launch per frame: copy in, all layers, copy out.

The network consists of some sixty kernels of a few microseconds, and launching each from Python
takes longer than running it. A CUDA graph, captured once for each image size, launches all kernels
and copies with a single call.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from fusion_ros.model.byte_network import ByteNetwork

#: Graphs that are kept, one for each image size; each holds its activations on the device.
SIZES_KEPT = 4
_WARM_UP_RUNS = 3


class CudaGraphs:
    """Call a network, in evaluation mode on a CUDA device, with one graph for each image size."""

    def __init__(self, net: ByteNetwork, device: torch.device) -> None:
        make = functools.partial(_Captured, net, device)
        self._captured = functools.lru_cache(SIZES_KEPT)(make)

    def __call__(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        """Fuse (N, H, W, C) `uint8` images into `out`; the result is complete on return."""
        self._captured(visible.shape, thermal.shape).run(visible, thermal, out)


class _Captured:
    """Graph of one image size, with its pinned host memory and device memory."""

    def __init__(
        self,
        net: ByteNetwork,
        device: torch.device,
        visible_shape: tuple[int, ...],
        thermal_shape: tuple[int, ...],
    ) -> None:
        split = int(np.prod(visible_shape))
        # Both images in one block: one copy to the device instead of two.
        on_host = torch.empty(split + int(np.prod(thermal_shape)), dtype=torch.uint8).pin_memory()
        on_device = torch.zeros(on_host.shape, dtype=torch.uint8, device=device)
        self._visible = on_host[:split].view(visible_shape)
        self._thermal = on_host[split:].view(thermal_shape)
        pair = on_device[:split].view(visible_shape), on_device[split:].view(thermal_shape)
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
            # Kernels are selected and memory is allocated here; a capture cannot do that.
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UP_RUNS):
                    fused = net(*pair)
            self._stream.synchronize()
            self._fused = torch.empty(fused.shape, dtype=torch.uint8).pin_memory()
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may use the device: a second pipeline is created beside a running one.
            with torch.cuda.graph(
                self._graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                on_device.copy_(on_host, non_blocking=True)
                self._fused.copy_(net(*pair), non_blocking=True)
        self._kept = on_host, on_device, pair

    def run(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        self._visible.numpy()[...] = visible
        self._thermal.numpy()[...] = thermal
        with torch.cuda.stream(self._stream):
            self._graph.replay()
        # Waking up from a blocking wait would take longer than the whole network.
        self._stream.synchronize()
        out[...] = self._fused.numpy()
