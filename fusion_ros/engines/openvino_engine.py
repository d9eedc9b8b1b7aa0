# SPDX-License-Identifier: Apache-2.0
"""The network on OpenVINO, the fastest engine on Intel and AMD CPUs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16, cpu_name
from fusion_ros.engines.engine import EngineError, NetworkEngine
from fusion_ros.engines.engine_cache import EngineCache, EngineKey, default_folder
from fusion_ros.engines.probes import probe_openvino
from fusion_ros.model.onnx_file import graph_version, int8_path, onnx_path, read_onnx
from fusion_ros.model.weights import LoadedWeights, WeightsError

_log = logging.getLogger(__name__)

#: Compiled networks in memory, one for each image size; a folder may hold images of many sizes.
SIZES_KEPT = 4
#: Compiled networks on disk for all weights together, 1.4 MB each for `compact`.
SIZES_ON_DISK = 24
PRECISIONS = ("float32", "bfloat16", "int8")


class OpenVinoEngine(NetworkEngine):
    """Run a network on the CPU, compiled for each image size on its first use.

    The network comes from the ONNX file beside the weights. For other weights PyTorch converts it
    once. Converted and compiled networks are kept in a cache on disk, so a later start neither
    converts nor compiles. Entry points call `configure_process` first.

    Args:
        weights: network and metadata.
        precision: "auto", "float32", "bfloat16" or "int8". "auto" is bfloat16 on CPUs that multiply
            it in hardware, float32 elsewhere (`openvino_trial` also tries int8). "int8" runs what
            is not quantised in the precision of "auto".
        cache: storage for compiled networks.

    Raises:
        EngineError: OpenVINO is not installed or does not support the precision, or the network
            must be converted and PyTorch or onnx is not installed, or there is no int8 file.
        WeightsError: the weights cannot be converted, or the int8 file is damaged.
    """

    name = "openvino"

    def __init__(
        self,
        weights: LoadedWeights,
        *,
        precision: str = "auto",
        cache: EngineCache | None = None,
    ) -> None:
        super().__init__(weights, "cpu", _checked_precision(precision))
        probe_openvino()[0].require()
        import openvino

        self._openvino = openvino
        self._has_int8 = int8_path(weights.path).is_file()
        self.cache = cache or EngineCache(default_folder() / "openvino", most=SIZES_ON_DISK)
        # In its own folder: compiled networks of many sizes must not displace it.
        self._onnx = (
            _int8_of(weights)
            if self._precision == "int8"
            else _onnx_of(weights, self.cache.within("onnx"))
        )
        self._core = _core()
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _float_type(self._precision),
        }
        self._threads = ""
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def close(self) -> None:
        """See `Engine.close`."""
        super().close()
        self._requests.clear()

    def _fuse(self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray) -> None:
        height, width = thermal.shape
        try:
            request = self._request(height, width)
            # OpenVINO reads and writes these arrays without copies. Its tensors do not keep the
            # arrays alive; the local names do.
            visible, thermal = _usable(visible), _usable(thermal)
            request.set_input_tensor(0, self._tensor(visible))
            request.set_input_tensor(1, self._tensor(thermal))
            request.set_output_tensor(0, self._tensor(out))
            request.infer(share_outputs=True)  # avoids a copy of the result
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed at {width}x{height}: {error}") from error

    def _detail(self) -> dict[str, str]:
        detail = {"device_name": cpu_name(), "openvino": importlib.metadata.version("openvino")}
        if self._threads:
            detail["threads"] = self._threads
        if self._has_int8 and self._precision != "int8":
            detail["int8"] = "available"
        return detail

    def _request(self, height: int, width: int) -> Any:
        size = (height, width)
        if size in self._requests:
            self._requests.move_to_end(size)
            return self._requests[size]
        compiled = self._from_cache(height, width) or self._compiled(height, width)
        # Stored for `describe`, which other threads call while `_requests` changes.
        self._threads = str(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._requests[size] = compiled.create_infer_request()
        while len(self._requests) > SIZES_KEPT:
            self._requests.popitem(last=False)
        return self._requests[size]

    def _from_cache(self, height: int, width: int) -> Any:
        found = self.cache.find(self._key(height, width))
        if found.path is None:
            if found.is_refused:  # otherwise each start would compile without a reason in the log
                _log.warning("a compiled network on disk is not used: %s", found.why)
            return None
        try:
            return self._core.import_model(found.data, "CPU", self._options)
        except RuntimeError as error:
            _log.warning("%s cannot be used and is compiled again: %s", found.path, error)
            return None

    def _compiled(self, height: int, width: int) -> Any:
        model = self._core.read_model(self._onnx)
        visible, thermal = model.inputs
        model.reshape(
            {visible: [1, height, width, self.visible_channels], thermal: [1, height, width, 1]}
        )
        compiled = self._core.compile_model(model, "CPU", self._options)
        data = compiled.export_model().getvalue()
        self.cache.store_if_possible(self._key(height, width), data)
        return compiled

    def _key(self, height: int, width: int) -> EngineKey:
        """Return the cache key of a compiled network for this size."""
        return EngineKey(f"{width}x{height}-{self._precision}", self.facts())

    def facts(self) -> dict[str, Any]:
        """Return what a compiled network depends on, apart from its size."""
        return {
            "weights_sha256": self.metadata.sha256,
            "onnx_sha256": hashlib.sha256(self._onnx).hexdigest(),
            "openvino": self._openvino.__version__,
            "cpu": cpu_name(),
            "options": self._options,
        }

    def _tensor(self, image: np.ndarray) -> Any:
        batch = image.reshape(1, *image.shape[:2], -1)
        return self._openvino.Tensor(batch, shared_memory=True)


def _usable(image: np.ndarray) -> np.ndarray:
    """Return the image, or a copy if it has gaps or is read-only (the bytes of a message)."""
    return image if image.flags.c_contiguous and image.flags.writeable else image.copy()


_CORES: list[Any] = []
_CORE_LOCK = threading.Lock()


def _core() -> Any:
    """Return the process's only core, which is never destroyed.

    OpenVINO's CPU plugin gives the thread that loads it a stack for signals and frees it with the
    core, also if that thread still uses it or another core restores it later. The next signal then
    ends the process with SIGSEGV.
    """
    import openvino

    with _CORE_LOCK:
        if not _CORES:
            _CORES.append(openvino.Core())
        return _CORES[0]


def _onnx_of(weights: LoadedWeights, cache: EngineCache) -> bytes:
    """Return the network as ONNX: from beside the weights, from the cache, or converted."""
    try:
        if (shipped := read_onnx(weights)) is not None:
            return shipped
    except WeightsError as error:
        _log.warning("%s", error)
    key = EngineKey("onnx", {"weights_sha256": weights.metadata.sha256, "graph": graph_version()})
    if (found := cache.find(key)).path is not None:
        return found.data
    needed = [name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None]
    if needed:
        raise EngineError(
            f"weights {weights.path} have no usable {onnx_path(weights.path).name} beside them, "
            f"and the conversion needs packages that are not installed: {', '.join(needed)}; pip "
            "install 'fusion_ros[torch]', or make both files elsewhere with `fusion-ros export`"
        )
    from fusion_ros.model.onnx_export import export_onnx

    data = export_onnx(weights)
    cache.store_if_possible(key, data)
    return data


def _int8_of(weights: LoadedWeights) -> bytes:
    """Return the quantised network beside the weights."""
    if (data := read_onnx(weights, int8=True)) is None:
        raise EngineError(
            f"precision is 'int8', but {int8_path(weights.path)} does not exist; use 'auto', or "
            f"make it with `python -m training.quantize --weights {weights.path} --data "
            "KIND=FOLDER` in a checkout of fusion_ros"
        )
    return data


def _float_type(precision: str) -> str:
    """Return OpenVINO's name of the type of what is not quantised."""
    return (
        "bf16"
        if precision == "bfloat16" or (precision == "int8" and cpu_has_fast_bfloat16())
        else "f32"
    )


def _checked_precision(name: str) -> str:
    if name == "auto":
        return "bfloat16" if cpu_has_fast_bfloat16() else "float32"
    if name not in PRECISIONS:
        allowed = ", ".join(repr(allowed) for allowed in ("auto", *PRECISIONS))
        raise EngineError(f"precision is {name!r}; on OpenVINO's CPU allowed: {allowed}")
    return name
