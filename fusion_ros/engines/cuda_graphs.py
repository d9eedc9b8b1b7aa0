# SPDX-License-Identifier: Apache-2.0
"""A network on a CUDA device as one launch a frame: copy in, all layers, copy out.

A network of this size is some sixty kernels of a few microseconds; started one by one from Python
they wait for each other. Captured once for each picture size as a CUDA graph, they are started by a
single call, copies included.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch

from fusion_ros.model.byte_network import ByteNetwork

#: Graphs that are kept, one a picture size; each holds its activations on the device.
SIZES_KEPT = 4
_WARM_UP_RUNS = 3


class CudaGraphs:
    """Calls a network on one device, a graph for each picture size.

    Args:
        net: on the device, in evaluation mode.
        device: a CUDA device with its index.
    """

    def __init__(self, net: ByteNetwork, device: torch.device) -> None:
        self._net = net
        self._device = device
        self._captured: OrderedDict[tuple[int, ...], _Captured] = OrderedDict()

    def __call__(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        """Fuse (N, H, W, C) `uint8` pictures into `out`; returns when the answer is there."""
        size = visible.shape
        if size not in self._captured:
            self._captured[size] = _Captured(self._net, self._device, visible.shape, thermal.shape)
            while len(self._captured) > SIZES_KEPT:
                self._captured.popitem(last=False)
        self._captured.move_to_end(size)
        self._captured[size].run(visible, thermal, out)


class _Captured:
    """One picture size: pinned memory here, its mirror on the device, and the graph between."""

    def __init__(
        self,
        net: ByteNetwork,
        device: torch.device,
        visible_shape: tuple[int, ...],
        thermal_shape: tuple[int, ...],
    ) -> None:
        split = int(np.prod(visible_shape))
        # Both pictures in one block: one copy to the device instead of two.
        both_here = torch.empty(split + int(np.prod(thermal_shape)), dtype=torch.uint8).pin_memory()
        both_there = torch.zeros(both_here.shape, dtype=torch.uint8, device=device)
        self._visible = both_here[:split].view(visible_shape)
        self._thermal = both_here[split:].view(thermal_shape)
        there = both_there[:split].view(visible_shape), both_there[split:].view(thermal_shape)
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
            # Before the capture: kernels are chosen and memory is taken, which a graph cannot.
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UP_RUNS):
                    answer = net(*there)
            self._stream.synchronize()
            self._answer = torch.empty(answer.shape, dtype=torch.uint8).pin_memory()
            self._graph = torch.cuda.CUDAGraph()
            # Other threads go on meanwhile: a pipeline may be made anew beside one that serves.
            with torch.cuda.graph(
                self._graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                both_there.copy_(both_here, non_blocking=True)
                self._answer.copy_(net(*there), non_blocking=True)
        self._kept = both_here, both_there, there

    def run(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        self._visible.numpy()[...] = visible
        self._thermal.numpy()[...] = thermal
        with torch.cuda.stream(self._stream):
            self._graph.replay()
        # Sleeping until the device is done would cost more than the whole network.
        self._stream.synchronize()
        out[...] = self._answer.numpy()
