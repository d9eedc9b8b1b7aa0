# SPDX-License-Identifier: Apache-2.0
"""The network on TensorRT: engines built ahead of time, checked against PyTorch before they serve.

Written against the real interfaces; not yet run on hardware (see docs/how-to/jetson.md).
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from fusion_ros.engines import tensorrt_build
from fusion_ros.engines.cuda_graphs import CudaGraphs
from fusion_ros.engines.engine import (
    EngineDescription,
    EngineError,
    answer,
    check_pair,
    even_pair,
)
from fusion_ros.engines.engine_cache import CachedEngine, EngineCache, EngineKey
from fusion_ros.engines.parity import Parity, compare, golden_pair, is_good_enough
from fusion_ros.engines.tensorrt_module import load_engine
from fusion_ros.model.byte_network import ByteNetwork, graph_version
from fusion_ros.model.weights import LoadedWeights

_log = logging.getLogger(__name__)

#: Calls (visible, thermal, out) batches, as `CudaGraphs` does.
Runner = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


class TensorRtEngine:
    """Runs engines from the cache, one for each picture size; `build` makes them.

    A size without an engine is an error with the fix, never a build of minutes in the middle of a
    drive. Pixel conversions run around the engine on the device, in the same graph launch.

    Args:
        weights: network and metadata; left alone.
        device: "cuda" or "cuda:N".
        precision: "auto" (float16), "float16", "float32" or "int8".
        cache: where engines are kept.

    Raises:
        EngineError: TensorRT cannot run here, or cannot do the precision.
    """

    def __init__(
        self,
        weights: LoadedWeights,
        *,
        device: str = "cuda:0",
        precision: str = "auto",
        cache: EngineCache | None = None,
    ) -> None:
        self.notes: dict[str, str] = {}
        self._precision = "float16" if precision == "auto" else precision
        probe = tensorrt_build.probe_tensorrt()[0]
        if not probe.available:
            raise EngineError(f"engine 'tensorrt' cannot run here: {probe.why}; {probe.fix}")
        tensorrt_build.check_precision(self._precision)
        self._device = torch.device(device)
        self._weights = weights
        self._cache = cache or EngineCache()
        config = weights.metadata.config
        self.visible_channels = config.visible_channels
        self.output_channels = config.output_channels
        self._plain = ByteNetwork(weights.net).eval().to(self._device)
        self._runners: dict[tuple[int, int], Runner] = {}

    def build(
        self, height: int, width: int, *, calibration: Any = None, tell: Callable[[str], object]
    ) -> Parity:
        """Build the engine for one size, check it and keep it; takes minutes.

        Args:
            calibration: for int8, pairs of `uint8` pictures of this size, as `infer` takes them.
            tell: takes lines of progress.

        Raises:
            EngineError: the build failed, or its pictures are not the network's.
        """
        key = self.key(height, width)
        if self._precision == "int8":
            key = dataclasses.replace(key, calibration=pictures_sha256(calibration or []))
        known_s = self._cache.expected_build_s(self._precision)
        estimate = f"the last one took {known_s:.0f} s" if known_s else "usually 1 to 10 minutes"
        tell(f"building {width}x{height} in {self._precision}: {estimate}")
        begun_s = time.monotonic()
        with torch.inference_mode(), self._as_current_device():
            # Not the golden pair: whatever a converter takes from the example for a constant must
            # show when the built engine is compared on that.
            example = self._planes(*even_pair(height, width, self.visible_channels))
            samples = _CalibrationPlanes(calibration or [], self._planes)
            core = copy.deepcopy(self._plain.net)
            engine = tensorrt_build.build(core, example, self._precision, samples)
        build_s = time.monotonic() - begun_s
        path = self._cache.store(key, engine, about={"build_s": round(build_s, 1)})
        tell(f"built in {build_s:.0f} s, {len(engine) >> 10} KiB: {path}")
        _, parity = self._load(height, width, self._cache.find(key))
        tell(f"against PyTorch: {parity}")
        return parity

    def key(self, height: int, width: int) -> EngineKey:
        """What an engine for this size depends on, on this machine."""
        return EngineKey(
            weights_sha256=self._weights.metadata.sha256,
            config=self._weights.metadata.config.as_dict(),
            height=height,
            width=width,
            precision=self._precision,
            versions={
                **tensorrt_build.library_versions(),
                "torch": torch.__version__,
                "graph": graph_version(),
            },
            device=tensorrt_build.device_facts(self._device),
        )

    def has_engine(self, height: int, width: int) -> bool:
        """Whether an engine for this size is in the cache."""
        return self._found(height, width).path is not None

    def warm_up(self, height: int, width: int) -> None:
        """Load and check the engine for this size."""
        self._runner(height, width)

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Engine.infer`."""
        check_pair(visible, thermal, self.visible_channels)
        height, width = thermal.shape
        picture = answer(out, height, width, self.output_channels)
        runner = self._runner(height, width)
        try:
            with torch.inference_mode():
                _call(runner, visible, thermal, picture)
        except RuntimeError as error:
            raise EngineError(f"TensorRT failed at {width}x{height}: {error}") from error
        return picture

    def describe(self) -> EngineDescription:
        """See `Engine.describe`."""
        return EngineDescription(
            name="tensorrt",
            device=str(self._device),
            precision=self._precision,
            preset=self._weights.metadata.preset,
            weights_sha256=self._weights.metadata.sha256,
            detail={
                "device_name": tensorrt_build.device_facts(self._device)["name"],
                **tensorrt_build.library_versions(),
                **self.notes,
            },
        )

    def close(self) -> None:
        """See `Engine.close`."""
        self._plain = None  # type: ignore[assignment]
        self._runners.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _runner(self, height: int, width: int) -> Runner:
        if self._plain is None:
            raise EngineError("the tensorrt engine was closed; make a new one")
        size = (height, width)
        if size not in self._runners:
            self._runners[size], parity = self._load(height, width, self._found(height, width))
            self.notes["parity"] = str(parity)
            _log.info("TensorRT engine %dx%d against PyTorch: %s", width, height, parity)
        return self._runners[size]

    def _found(self, height: int, width: int) -> CachedEngine:
        key = self.key(height, width)
        if self._precision == "int8":
            return self._cache.find_calibrated(key)
        return self._cache.find(key)

    def _load(self, height: int, width: int, found: CachedEngine) -> tuple[Runner, Parity]:
        """The cached engine, after it has shown that it gives the network's picture."""
        preset = self._weights.metadata.preset
        build_it = (
            f"build it with: fusion-ros build-engine --size {width}x{height} "
            f"--precision {self._precision} --preset {preset} (or --weights FILE, for your own)"
        )
        if found.path is None:
            raise EngineError(f"no TensorRT engine for {width}x{height}: {found.why}; {build_it}")
        # A copy that shares nothing but the conversions: its layers are replaced.
        network = copy.copy(self._plain)
        with self._as_current_device():
            through_torch2trt = tensorrt_build.builds_through_torch2trt()
            layers = load_engine(found.path, found.data, through_torch2trt=through_torch2trt)
        network._modules = {"net": layers}
        runner = self._run_on_device(network)
        pair = golden_pair(height, width, self.visible_channels)
        shape = answer(None, height, width, self.output_channels)
        got, wanted = shape.copy(), shape
        with torch.inference_mode():
            _call(runner, *pair, got)
            _call(self._eagerly(self._plain), *pair, wanted)
        parity = compare(got, wanted)
        if not is_good_enough(parity, self._precision):
            raise EngineError(
                f"the TensorRT engine {found.path} does not give the network's picture ({parity}); "
                f"it is not used; delete it and {build_it}, or use another precision"
            )
        if found.key.calibration:
            self.notes["calibration"] = found.key.calibration[:12]
        return runner, parity

    def _as_current_device(self) -> contextlib.AbstractContextManager[object]:
        """TensorRT builds and loads on the current device."""
        on_cuda = self._device.type == "cuda"
        return torch.cuda.device(self._device) if on_cuda else contextlib.nullcontext()

    def _run_on_device(self, network: ByteNetwork) -> Runner:
        return CudaGraphs(network, self._device)

    def _eagerly(self, network: nn.Module) -> Runner:
        def run(visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
            pair = (torch.from_numpy(picture).to(self._device) for picture in (visible, thermal))
            out[...] = network(*pair).cpu().numpy()

        return run

    def _planes(self, visible: np.ndarray, thermal: np.ndarray) -> tuple[Any, Any]:
        """What the layers get for a pair: padded planes on the device."""
        height, width = thermal.shape
        return tuple(
            self._plain.planes(
                torch.from_numpy(picture.reshape(1, height, width, -1)).to(self._device)
            ).contiguous()
            for picture in (visible, thermal)
        )


def pictures_sha256(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """A hash of pictures, their sizes and their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        for picture in pair:
            digest.update(str(picture.shape).encode())
            digest.update(np.ascontiguousarray(picture))
    return digest.hexdigest()


class _CalibrationPlanes(Sequence[list[Any]]):
    """Pairs as what the layers get, one at a time on the device: hundreds would not fit."""

    def __init__(self, pairs: Sequence[Any], planes: Callable[..., tuple[Any, Any]]) -> None:
        self._pairs, self._planes = pairs, planes
        self._lent: list[Any] = []

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: Any) -> list[Any]:
        # TensorRT is given addresses, and reads them after this has returned.
        self._lent = list(self._planes(*self._pairs[index]))
        return self._lent


def _call(runner: Runner, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
    height, width = thermal.shape
    runner(*(picture.reshape(1, height, width, -1) for picture in (visible, thermal, out)))
