# SPDX-License-Identifier: Apache-2.0
"""The network on TensorRT: engines are built ahead of time and compared with PyTorch before use.

Written against the real interfaces; not yet run on hardware (see docs/how-to/jetson.md).
"""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fusion_ros.engines import probes
from fusion_ros.engines.cuda_graphs import CudaGraphs
from fusion_ros.engines.engine import EngineError, NetworkEngine, even_pair, output_array
from fusion_ros.engines.engine_cache import EngineCache, EngineKey
from fusion_ros.engines.parity import Parity, compare, golden_pair, is_good_enough
from fusion_ros.engines.tensorrt import builder
from fusion_ros.engines.tensorrt.module import EngineModule
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.onnx_file import graph_version
from fusion_ros.model.weights import LoadedWeights

_log = logging.getLogger(__name__)

#: A function of (visible, thermal, out) batches, such as `CudaGraphs`.
Runner = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


class TensorRtEngine(NetworkEngine):
    """Run engines from the cache, one for each image size; `build` creates them.

    A size without an engine raises an error with the command that builds it; a build of minutes
    never starts during operation. Pixel conversions run on the device in the same graph launch.

    The device is "cuda" or "cuda:N", the precision "auto" (float16), "float16" or "float32".

    Raises:
        EngineError: TensorRT cannot run here or does not support the precision.
    """

    name = "tensorrt"

    def __init__(
        self,
        weights: LoadedWeights,
        *,
        device: str = "cuda:0",
        precision: str = "auto",
        cache: EngineCache | None = None,
    ) -> None:
        precision = "float16" if precision == "auto" else precision
        if precision not in builder.PRECISIONS:
            allowed = ", ".join(("auto", *builder.PRECISIONS))
            raise EngineError(
                f"precision is {precision!r}; on TensorRT allowed: {allowed} (int8 runs on "
                "OpenVINO alone)"
            )
        probes.probe_tensorrt()[0].require()
        self._device = torch.device(device)
        super().__init__(weights, str(self._device), precision)
        self._cache = cache or EngineCache()
        self._plain = ByteNetwork(weights.net).eval().to(self._device)
        self._runners: dict[tuple[int, int], Runner] = {}

    def build(self, height: int, width: int, *, notify: Callable[[str], object]) -> Parity:
        """Build, store and check the engine for one size, which takes minutes.

        `notify` receives progress lines.

        Raises:
            EngineError: the build failed, or the engine's image differs from the network's.
        """
        self._check_open()
        notify(f"building {width}x{height} in {self._precision}: usually 1 to 10 minutes")
        begun_s = time.monotonic()
        with torch.inference_mode(), self._as_current_device():
            # The golden pair is not the example: a converter may turn values of the example into
            # constants, and the later comparison on the golden pair must reveal that.
            example = self._planes(*even_pair(height, width, self.visible_channels))
            engine = builder.build_engine(copy.deepcopy(self._plain.net), example, self._precision)
        build_s = time.monotonic() - begun_s
        path = self._cache.store(self.key(height, width), engine)
        notify(f"built in {build_s:.0f} s, {len(engine) >> 10} KiB: {path}")
        _, parity = self._load(height, width)
        notify(f"against PyTorch: {parity}")
        return parity

    def key(self, height: int, width: int) -> EngineKey:
        """Return the cache key of an engine for this size on this machine."""
        return EngineKey(
            f"{width}x{height}-{self._precision}",
            {
                "weights_sha256": self.metadata.sha256,
                "graph": graph_version(),
                "torch": torch.__version__,
                "versions": builder.library_versions(),
                "device": builder.device_facts(self._device),
            },
        )

    def warm_up(self, height: int, width: int) -> None:
        """Load and check the engine for this size."""
        self._runner(height, width)

    def close(self) -> None:
        """See `Engine.close`."""
        if not self._closed:
            del self._plain
        super().close()
        self._runners.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _fuse(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        height, width = thermal.shape
        runner = self._runner(height, width)
        try:
            with torch.inference_mode():
                _call(runner, visible, thermal, out)
        except RuntimeError as error:
            raise EngineError(f"TensorRT failed at {width}x{height}: {error}") from error

    def _detail(self) -> dict[str, str]:
        device = builder.device_facts(self._device)["name"]
        return {"device_name": device, **builder.library_versions()}

    def _runner(self, height: int, width: int) -> Runner:
        self._check_open()
        size = (height, width)
        if size not in self._runners:
            self._runners[size], parity = self._load(height, width)
            self.notes["parity"] = str(parity)
            _log.info("TensorRT engine %dx%d against PyTorch: %s", width, height, parity)
        return self._runners[size]

    def _load(self, height: int, width: int) -> tuple[Runner, Parity]:
        """Load the cached engine and compare its image with that of the network."""
        found = self._cache.find(self.key(height, width))
        build_it = (
            f"build it with: fusion-ros build-engine --size {width}x{height} "
            f"--precision {self._precision} --preset {self.metadata.preset} "
            "(or --weights FILE for custom weights)"
        )
        if found.path is None:
            raise EngineError(f"no TensorRT engine for {width}x{height}: {found.why}; {build_it}")
        # A shallow copy that keeps the pixel conversions and replaces the layers.
        network = copy.copy(self._plain)
        with self._as_current_device():
            network._modules = {"net": EngineModule(found.path, found.data)}
        runner = self._run_on_device(network)
        pair = golden_pair(height, width, self.visible_channels)
        got = output_array(None, height, width, self.output_channels)
        wanted = got.copy()
        with torch.inference_mode():
            _call(runner, *pair, got)
            _call(self._eagerly(self._plain), *pair, wanted)
        parity = compare(got, wanted)
        if not is_good_enough(parity, self._precision):
            raise EngineError(
                f"the image of TensorRT engine {found.path} differs from the network's ({parity}), "
                f"so the engine is not used; delete it and {build_it}, or use another precision"
            )
        return runner, parity

    def _as_current_device(self) -> contextlib.AbstractContextManager[object]:
        """TensorRT builds and loads on the current device."""
        on_cuda = self._device.type == "cuda"
        return torch.cuda.device(self._device) if on_cuda else contextlib.nullcontext()

    def _run_on_device(self, network: ByteNetwork) -> Runner:
        return CudaGraphs(network, self._device)

    def _eagerly(self, network: ByteNetwork) -> Runner:
        def run(visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
            pair = (torch.from_numpy(image).to(self._device) for image in (visible, thermal))
            out[...] = network(*pair).cpu().numpy()

        return run

    def _planes(self, visible: np.ndarray, thermal: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the padded planes of a pair on the device, as the layers receive them."""

        def planes(image: np.ndarray) -> Tensor:
            batch = torch.from_numpy(image.reshape(1, *thermal.shape, -1)).to(self._device)
            return self._plain.planes(batch).contiguous()

        return planes(visible), planes(thermal)


def _call(runner: Runner, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
    height, width = thermal.shape
    first, second, fused = (x.reshape(1, height, width, -1) for x in (visible, thermal, out))
    runner(first, second, fused)
