# SPDX-License-Identifier: Apache-2.0
"""The network on PyTorch: runs wherever PyTorch does, and is what other engines are held to."""

from __future__ import annotations

import copy
import platform
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fusion_ros.engines.engine import EngineDescription, EngineError, EngineProbe, check_pair
from fusion_ros.model.padding import crop, pad_to_multiple
from fusion_ros.model.rewrites import optimise_for_inference
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
        self, weights: LoadedWeights, *, device: str = "cpu", precision: str = "auto"
    ) -> None:
        self._device = _checked_device(device)
        self._precision = _checked_precision(precision, self._device)
        self._dtype = PRECISIONS[self._precision]
        self._metadata = weights.metadata
        config = weights.metadata.config
        self.visible_channels = config.visible_channels
        self.output_channels = config.output_channels
        self._stride, self._padding = config.stride, config.padding
        # A rewrite averages kernels: done in float32, before anything is rounded.
        net = optimise_for_inference(copy.deepcopy(weights.net).float())
        self._net = net.to(self._device, self._dtype, memory_format=torch.channels_last)
        self._closed = False

    def warm_up(self, height: int, width: int) -> None:
        """Run twice at this size: memory is taken, kernels are chosen, threads are started."""
        shape = (height, width) if self.visible_channels == 1 else (height, width, 3)
        for _ in range(2):
            self.infer(np.zeros(shape, np.uint8), np.zeros((height, width), np.uint8))

    def infer(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        """See `Engine.infer`."""
        check_pair(visible, thermal, self.visible_channels)
        if self._closed:
            raise EngineError("the torch engine was closed; make a new one")
        height, width = thermal.shape
        try:
            with torch.inference_mode():
                fused = self._net(self._to_network(visible), self._to_network(thermal))
                return self._to_picture(crop(fused, height, width))
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"{self._device} ran out of memory at {width}x{height} ({error}); use a smaller "
                "picture or preset, or free the device"
            ) from error
        except RuntimeError as error:
            raise EngineError(f"PyTorch failed on {self._device}: {error}") from error

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
            detail={**detail, "torch": torch.__version__},
        )

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True
        self._net = None  # type: ignore[assignment]
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _to_network(self, picture: np.ndarray) -> Tensor:
        """uint8 picture to (1, C, H', W') in [-1, 1], on the device, padded as the preset says."""
        # PyTorch warns of read-only memory (a message's bytes); it is only read, so take a copy of
        # the one-byte pixels rather than silence the warning for everybody.
        writable = picture if picture.flags.writeable else picture.copy()
        pixels = torch.from_numpy(np.ascontiguousarray(writable)).to(self._device)
        # Scaled in float32: bfloat16 cannot hold 256 grey levels apart while it multiplies.
        scaled = pixels.float().mul_(2.0 / 255.0).sub_(1.0).to(self._dtype)
        # An HxWx3 picture seen as (1, 3, H, W) is channels-last already.
        batch = scaled[None, None] if scaled.ndim == 2 else scaled.permute(2, 0, 1)[None]
        batch = pad_to_multiple(batch, self._stride, self._padding)
        return batch.contiguous(memory_format=torch.channels_last)

    def _to_picture(self, fused: Tensor) -> np.ndarray:
        """(1, C, H, W) in [-1, 1] to a uint8 picture; half a grey level rounds to even."""
        scaled = fused[0].float().add(1.0).mul_(127.5).round_().clamp_(0.0, 255.0)
        pixels = scaled.to(torch.uint8)
        pixels = pixels[0] if self.output_channels == 1 else pixels.permute(1, 2, 0)
        return pixels.contiguous().cpu().numpy()


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


def cpu_has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; emulated, it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("amx_bf16", "avx512_bf16"))


def cpu_name() -> str:
    """The CPU's name as the kernel gives it, or its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


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
