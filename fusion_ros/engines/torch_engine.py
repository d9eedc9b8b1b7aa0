# SPDX-License-Identifier: Apache-2.0
"""The network on PyTorch: runs wherever PyTorch does, and is what other engines are held to."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16, cpu_name
from fusion_ros.engines.cuda_graphs import CudaGraphs
from fusion_ros.engines.engine import (
    EngineDescription,
    EngineError,
    EngineProbe,
    answer,
    check_pair,
    even_pair,
)
from fusion_ros.engines.trials import Trials
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.config import FusionNetConfig
from fusion_ros.model.weights import LoadedWeights

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """Runs a network on a CPU or a CUDA device, channels-last, in the precision that pays there.

    Args:
        weights: network and metadata; the network is copied, rewritten exactly, and left alone.
        device: "cpu", "cuda" or "cuda:N".
        precision: "auto", "float32", "bfloat16" or "float16". "auto" is float16 on CUDA, bfloat16
            on CPUs with instructions for it, float32 elsewhere.

    Raises:
        EngineError: the device is not there, or cannot do the precision.
    """

    def __init__(
        self,
        weights: LoadedWeights,
        *,
        device: str = "cpu",
        precision: str = "auto",
    ) -> None:
        self.notes: dict[str, str] = {}
        self._device = _checked_device(device)
        self._precision = _checked_precision(precision, self._device)
        self._metadata = weights.metadata
        config = weights.metadata.config
        self.visible_channels = config.visible_channels
        self.output_channels = config.output_channels
        net = ByteNetwork(weights.net, PRECISIONS[self._precision]).eval()
        net = net.to(self._device, memory_format=torch.channels_last)
        self._run: CudaGraphs | _EagerOnCpu | None
        if self._device.type == "cuda":
            self._run = CudaGraphs(net, self._device)
        else:
            self._run = _EagerOnCpu(net)

    def warm_up(self, height: int, width: int) -> None:
        """Run twice at this size: memory is taken, kernels are chosen, graphs are captured."""
        for _ in range(2):
            self.infer(*even_pair(height, width, self.visible_channels))

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Engine.infer`."""
        check_pair(visible, thermal, self.visible_channels)
        if self._run is None:
            raise EngineError("the torch engine was closed; make a new one")
        height, width = thermal.shape
        picture = answer(out, height, width, self.output_channels)
        try:
            with torch.inference_mode():
                self._run(
                    visible.reshape(1, height, width, self.visible_channels),
                    thermal.reshape(1, height, width, 1),
                    picture.reshape(1, height, width, self.output_channels),
                )
        except torch.cuda.OutOfMemoryError as error:  # torch.OutOfMemoryError came with 2.5
            raise EngineError(
                f"{self._device} ran out of memory at {width}x{height} ({error}); use a smaller "
                "picture or preset, or free the device"
            ) from error
        except RuntimeError as error:
            raise EngineError(f"PyTorch failed on {self._device}: {error}") from error
        return picture

    def describe(self) -> EngineDescription:
        """See `Engine.describe`."""
        if self._device.type == "cuda":
            detail = {"device_name": torch.cuda.get_device_name(self._device)}
        else:
            detail = {"device_name": cpu_name(), "threads": str(torch.get_num_threads())}
        return EngineDescription(
            name="torch",
            device=str(self._device),
            precision=self._precision,
            preset=self._metadata.preset,
            weights_sha256=self._metadata.sha256,
            detail={**detail, "torch": torch.__version__, **self.notes},
        )

    def close(self) -> None:
        """See `Engine.close`."""
        self._run = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def tune_threads(self) -> None:
        """Set PyTorch's number of CPU threads to the fastest for this network and precision.

        The setting holds for the whole process, so entry points call this and constructors do not.
        It is measured once in a process for a network and precision, on a small image.
        """
        if self._device.type != "cpu":
            return
        key = self._metadata.config, self._precision
        if key not in _threads_known:
            pair = even_pair(*_THREADS_TRIAL, self.visible_channels)
            _threads_known[key] = fastest_threads(lambda: self.infer(*pair), most=_ALL_THREADS)
        torch.set_num_threads(_threads_known[key])


_THREADS_TRIAL = (128, 160)
_ALL_THREADS = torch.get_num_threads()  # before any engine changed it
_threads_known: dict[tuple[FusionNetConfig, str], int] = {}


def fastest_threads(call: Callable[[], object], *, most: int) -> int:
    """The number of PyTorch's threads with which the call is fastest.

    Tries `most`, half of them, a quarter and so on: a small network on a large
    machine waits for its threads more than it works. Fewer must win clearly, by a tenth.
    """
    before = torch.get_num_threads()
    trials = Trials([most >> halved for halved in range(most.bit_length())], seconds=0.5)
    while trials.goes_on():
        for threads in trials.names:
            torch.set_num_threads(threads)
            call()  # the threads start
            begun_s = time.perf_counter()
            call()
            trials.add(threads, (time.perf_counter() - begun_s) * 1e3)
    torch.set_num_threads(before)
    return trials.winner()


class _EagerOnCpu:
    """Runs the network as PyTorch runs any."""

    def __init__(self, net: ByteNetwork) -> None:
        self._net = net

    def __call__(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        fused = self._net(_as_tensor(visible), _as_tensor(thermal))
        torch.from_numpy(out).copy_(fused)


def _as_tensor(picture: np.ndarray) -> Tensor:
    # PyTorch warns of read-only memory (a message's bytes); it is only read, so take a copy of
    # the one-byte pixels rather than silence the warning for everybody.
    return torch.from_numpy(picture if picture.flags.writeable else picture.copy())


def probe_torch() -> list[EngineProbe]:
    """One probe for the CPU, one for each CUDA device, or one that says why there is none."""
    probes = [EngineProbe("torch", "cpu", True, f"PyTorch {torch.__version__} on {cpu_name()}")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            name = torch.cuda.get_device_name(index)
            probes.append(EngineProbe("torch", f"cuda:{index}", True, name))
    elif torch.version.cuda is None:
        probes.append(
            EngineProbe(
                "torch",
                "cuda",
                False,
                f"PyTorch {torch.__version__} is a build without CUDA",
                "install a CUDA build of PyTorch (on a Jetson: NVIDIA's wheel for your JetPack)",
            )
        )
    else:
        probes.append(
            EngineProbe(
                "torch",
                "cuda",
                False,
                f"PyTorch is built for CUDA {torch.version.cuda}, but no device answers",
                "check `nvidia-smi` and the driver",
            )
        )
    return probes


def _checked_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EngineError(f"device is {name!r}; allowed: 'cpu', 'cuda' or 'cuda:N'") from None
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"device is {name!r}; allowed: 'cpu', 'cuda' or 'cuda:N'")
    if device.type == "cuda":
        having = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not having:
            probe = probe_torch()[-1]
            raise EngineError(f"device is {name!r}, but {probe.why}; {probe.fix}")
        if (device.index or 0) >= having:
            raise EngineError(f"device is {name!r}, but there are {having} CUDA devices")
        device = torch.device("cuda", device.index or 0)
    return device


def _checked_precision(name: str, device: torch.device) -> str:
    if name == "auto":
        if device.type == "cuda":
            return "float16"
        return "bfloat16" if cpu_has_fast_bfloat16() else "float32"
    if name not in PRECISIONS:
        raise EngineError(f"precision is {name!r}; allowed: 'auto', {', '.join(PRECISIONS)}")
    if name == "float16" and device.type == "cpu":
        raise EngineError("precision is 'float16', which CPUs run slowly; use 'auto' or 'bfloat16'")
    return name
