# SPDX-License-Identifier: Apache-2.0
"""A network as one launch for each frame, with a stand-in for the CUDA device.

`pytest -m cuda` compares the engine's images on a real device.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_references import images, reference
from stand_in_cuda import StandInCuda, stand_in_for_cuda

from fusion_ros.engines.cuda_graphs import SIZES_KEPT, CudaGraphs
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.weights import LoadedWeights


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> StandInCuda:
    return stand_in_for_cuda(monkeypatch)


@pytest.fixture
def graphs(cuda: StandInCuda, compact: LoadedWeights) -> CudaGraphs:
    return CudaGraphs(ByteNetwork(compact.net).eval(), torch.device("cpu"))


def fuse(graphs: CudaGraphs, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    height, width = thermal.shape
    out = np.zeros((1, height, width, 1), np.uint8)
    with torch.inference_mode():
        graphs(visible.reshape(1, height, width, -1), thermal.reshape(1, height, width, 1), out)
    return out[0, ..., 0]


@pytest.mark.parametrize("size", [(64, 96), (33, 65)])
def test_a_captured_graph_computes_the_image_of_each_later_pair(
    size: tuple[int, int], graphs: CudaGraphs, cuda: StandInCuda, compact: LoadedWeights
) -> None:
    first = images(*size, 1)
    other = tuple(255 - image[::-1] for image in first)
    for pair in (first, other, first):
        assert np.abs(fuse(graphs, *pair) - reference(compact, *pair)).max() < 0.51
    (graph,) = cuda.graphs
    assert graph.replays == 3


def test_a_replay_runs_no_python_of_the_network(
    graphs: CudaGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = images(64, 64, 1)
    before = fuse(graphs, *pair)
    monkeypatch.setattr(ByteNetwork, "forward", lambda *_: pytest.fail("Python ran again"))
    assert np.array_equal(fuse(graphs, *pair), before)


def test_each_direction_takes_one_copy_between_pinned_memory_and_device(
    graphs: CudaGraphs, cuda: StandInCuda
) -> None:
    fuse(graphs, *images(33, 65, 1))
    pair_on_host, fused_on_host = cuda.pinned
    (to_device, to_host) = cuda.graphs[0].copies()
    assert to_device[1] is pair_on_host
    assert to_host[0] is fused_on_host
    assert {x.dtype for copy in (to_device, to_host) for x in copy} == {torch.uint8}
    # Both images in one block, one image back; padding happens on the device.
    assert pair_on_host.numel() == 2 * 33 * 65
    assert fused_on_host.numel() == 33 * 65


def test_each_call_waits_for_the_device(graphs: CudaGraphs, cuda: StandInCuda) -> None:
    fuse(graphs, *images(32, 32, 1))
    waits = cuda.waits
    fuse(graphs, *images(32, 32, 1))
    assert cuda.waits == waits + 1


def test_the_least_recently_used_graph_is_dropped(graphs: CudaGraphs, cuda: StandInCuda) -> None:
    widths = [32 * n for n in range(1, SIZES_KEPT + 2)]
    for width in widths[:SIZES_KEPT]:
        fuse(graphs, *images(32, width, 1))
    fuse(graphs, *images(32, widths[0], 1))  # the second is now the least recently used
    fuse(graphs, *images(32, widths[-1], 1))
    made = len(cuda.graphs)
    assert made == SIZES_KEPT + 1
    fuse(graphs, *images(32, widths[0], 1))
    assert len(cuda.graphs) == made
    fuse(graphs, *images(32, widths[1], 1))
    assert len(cuda.graphs) == made + 1
