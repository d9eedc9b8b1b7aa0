# SPDX-License-Identifier: Apache-2.0
"""Stand-in on the CPU for graphs, streams and pinned memory of a CUDA device.

`StandInGraph` records operations with the tensors that they read and write during a capture. A
replay runs them again on the same tensors, without Python code of the network, as a CUDA graph
does. Only `pytest -m cuda` checks a real device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class StandInGraph:
    """A `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        for operation, args, options, before in self.recorded:
            again = operation(*args, **options)
            for kept, new in zip(tree_leaves(before), tree_leaves(again), strict=True):
                # Views and in-place operations have already written their result.
                if isinstance(kept, torch.Tensor) and kept.data_ptr() != new.data_ptr():
                    kept.copy_(new)

    def copies(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return target and source of every copy into existing memory."""
        copy = torch.ops.aten.copy_.default
        return [args[:2] for operation, args, _, _ in self.recorded if operation is copy]


class StandInCuda:
    """Records the calls to the device.

    Attributes:
        graphs: captured graphs.
        pinned: pinned memory.
        waits: number of synchronisations.
    """

    def __init__(self) -> None:
        self.graphs: list[StandInGraph] = []
        self.pinned: list[torch.Tensor] = []
        self.waits = 0

    def make_graph(self) -> StandInGraph:
        self.graphs.append(StandInGraph())
        return self.graphs[-1]

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        self.pinned.append(tensor)
        return tensor

    def synchronize(self) -> None:
        self.waits += 1

    def wait_stream(self, other: object) -> None:
        pass


class _Recording(TorchDispatchMode):
    def __init__(self, graph: StandInGraph) -> None:
        super().__init__()
        self._graph = graph

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it, PyTorch would import it, which takes seconds

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        answer = operation(*args, **(kwargs or {}))
        self._graph.recorded.append((operation, args, kwargs or {}, answer))
        return answer


@contextlib.contextmanager
def _capture(graph: StandInGraph, *, stream: object, capture_error_mode: str) -> Iterator[None]:
    assert capture_error_mode == "thread_local", "another thread may use the device meanwhile"
    with _Recording(graph):
        yield


def stand_in_for_cuda(monkeypatch: pytest.MonkeyPatch) -> StandInCuda:
    """Replace the parts of a CUDA device that `CudaGraphs` uses by the CPU."""
    device = StandInCuda()
    for name, replacement in {
        "Stream": lambda _: device,
        "current_stream": lambda _: device,
        "stream": lambda _: contextlib.nullcontext(),
        "device": lambda _: contextlib.nullcontext(),
        "CUDAGraph": device.make_graph,
        "graph": _capture,
    }.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: device.pin(tensor))
    return device
