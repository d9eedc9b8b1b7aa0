# SPDX-License-Identifier: Apache-2.0
"""The network on PyTorch: available on every platform, and the reference for other engines."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16, cpu_name
from fusion_ros.engines.cuda_graphs import CudaGraphs
from fusion_ros.engines.engine import EngineError, NetworkEngine
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.weights import LoadedWeights

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine(NetworkEngine):
    """Run a network on a CPU or a CUDA device in channels-last layout.

    The device is one that `engines.choice` found available. The precision "auto" is float16 on
    CUDA, bfloat16 on CPUs with instructions for it, float32 elsewhere.

    Raises:
        EngineError: the device does not support the precision.
    """

    name = "torch"

    def __init__(
        self, weights: LoadedWeights, *, device: str = "cpu", precision: str = "auto"
    ) -> None:
        self._device = torch.device(device)
        super().__init__(weights, str(self._device), _checked_precision(precision, self._device))
        net = ByteNetwork(weights.net, PRECISIONS[self._precision]).eval()
        net = net.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._run: Callable[[np.ndarray, np.ndarray, np.ndarray], None]
        if self._device.type == "cuda":
            self._run = CudaGraphs(net, self._device)
        else:
            self._run = functools.partial(_run_eagerly, net)

    def close(self) -> None:
        """See `Engine.close`."""
        if not self._closed:
            del self._run
        super().close()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _fuse(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        height, width = thermal.shape
        try:
            with torch.inference_mode():
                self._run(
                    *(image.reshape(1, height, width, -1) for image in (visible, thermal, out))
                )
        except torch.cuda.OutOfMemoryError as error:  # torch.OutOfMemoryError came with 2.5
            raise EngineError(
                f"{self._device} ran out of memory at {width}x{height} ({error}); use a smaller "
                "image or preset, or free memory of the device"
            ) from error
        except RuntimeError as error:
            raise EngineError(f"PyTorch failed on {self._device}: {error}") from error

    def _detail(self) -> dict[str, str]:
        if self._device.type == "cuda":
            detail = {"device_name": torch.cuda.get_device_name(self._device)}
        else:
            detail = {"device_name": cpu_name(), "threads": str(torch.get_num_threads())}
        return {**detail, "torch": torch.__version__}


def _run_eagerly(
    net: ByteNetwork, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray
) -> None:
    torch.from_numpy(out).copy_(net(_as_tensor(visible), _as_tensor(thermal)))


def _as_tensor(image: np.ndarray) -> Tensor:
    # PyTorch warns about read-only memory (the bytes of a message). A copy avoids the warning
    # without suppressing it for the whole process.
    return torch.from_numpy(image if image.flags.writeable else image.copy())


def _checked_precision(name: str, device: torch.device) -> str:
    if name == "auto":
        if device.type == "cuda":
            return "float16"
        return "bfloat16" if cpu_has_fast_bfloat16() else "float32"
    if name not in PRECISIONS:
        raise EngineError(
            f"precision is {name!r}; on PyTorch allowed: 'auto', {', '.join(PRECISIONS)} (int8 "
            "runs on OpenVINO alone)"
        )
    if name == "float16" and device.type == "cpu":
        raise EngineError("precision is 'float16', which CPUs run slowly; use 'auto' or 'bfloat16'")
    return name
