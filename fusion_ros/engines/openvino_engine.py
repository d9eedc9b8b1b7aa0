# SPDX-License-Identifier: Apache-2.0
"""The network on OpenVINO: the fastest way we know of on an Intel or AMD CPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import sys
import time
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16, cpu_name
from fusion_ros.engines.engine import (
    EngineDescription,
    EngineError,
    EngineProbe,
    answer,
    check_pair,
    even_pair,
)
from fusion_ros.engines.engine_cache import EngineCache, EngineKey, default_folder
from fusion_ros.model.byte_network import ByteNetwork, graph_version
from fusion_ros.model.weights import LoadedWeights

_log = logging.getLogger(__name__)

#: Compiled networks that are kept, one a picture size; a folder of pictures may bring any number.
SIZES_KEPT = 4
#: And on disk, 1.4 MB each for `compact`, of all weights together.
SIZES_ON_DISK = 24
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """Runs a network on the CPU, compiled for each picture size when that is first met.

    What was compiled is kept in the cache on disk: converting the network takes seconds, loading
    it from there a fraction of one.

    Args:
        weights: network and metadata; left alone.
        precision: "auto", "float32" or "bfloat16". "auto" is bfloat16 on CPUs that multiply it in
            hardware, float32 elsewhere.
        threads: how many to use; 0 lets OpenVINO take one a physical core.
        cache: where compiled networks are kept.

    Raises:
        EngineError: OpenVINO is not installed, or cannot do the precision.
    """

    def __init__(
        self,
        weights: LoadedWeights,
        *,
        precision: str = "auto",
        threads: int = 0,
        cache: EngineCache | None = None,
    ) -> None:
        self.notes: dict[str, str] = {}
        self._precision = _checked_precision(precision)
        probe = probe_openvino()[0]
        if not probe.available:
            raise EngineError(f"engine 'openvino' cannot run here: {probe.why}; {probe.fix}")
        self._openvino = _openvino_without_telemetry()
        self._weights = weights
        self._metadata = weights.metadata
        self._cache = cache or EngineCache(default_folder() / "openvino", most=SIZES_ON_DISK)
        config = weights.metadata.config
        self.visible_channels = config.visible_channels
        self.output_channels = config.output_channels
        self._core = self._openvino.Core()
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[self._precision],
        }
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._model: Any = None  # converted when the cache has not what is asked for
        self._closed = False
        self._threads = ""
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def warm_up(self, height: int, width: int) -> None:
        """Compile for this size and run twice."""
        for _ in range(2):
            self.infer(*even_pair(height, width, self.visible_channels))

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Engine.infer`."""
        check_pair(visible, thermal, self.visible_channels)
        if self._closed:
            raise EngineError("the openvino engine was closed; make a new one")
        height, width = thermal.shape
        picture = answer(out, height, width, self.output_channels)
        try:
            request = self._request(height, width)
            # OpenVINO works on these very arrays: no copies in, none out. Its tensors do not keep
            # the arrays alive, so the names here must.
            visible, thermal = _usable(visible), _usable(thermal)
            request.set_input_tensor(0, self._tensor(visible))
            request.set_input_tensor(1, self._tensor(thermal))
            request.set_output_tensor(0, self._tensor(picture))
            request.infer(share_outputs=True)  # else the answer is copied once more, for nobody
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed at {width}x{height}: {error}") from error
        return picture

    def describe(self) -> EngineDescription:
        """See `Engine.describe`."""
        detail = {"device_name": cpu_name(), "openvino": importlib.metadata.version("openvino")}
        if self._threads:
            detail["threads"] = self._threads
        return EngineDescription(
            name="openvino",
            device="cpu",
            precision=self._precision,
            preset=self._metadata.preset,
            weights_sha256=self._metadata.sha256,
            detail={**detail, **self.notes},
        )

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True
        self._model = None
        self._requests.clear()

    def _converted(self) -> Any:
        """The network for pictures of any size; each size is compiled from it."""
        # An odd size, so that the trace holds the padding; its amounts stay computed.
        visible = torch.zeros(1, 33, 35, self.visible_channels, dtype=torch.uint8)
        thermal = torch.zeros(1, 33, 35, 1, dtype=torch.uint8)
        with warnings.catch_warnings():
            # OpenVINO's converter traces, which PyTorch calls deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            try:
                return self._openvino.convert_model(
                    ByteNetwork(self._weights.net).eval(), example_input=(visible, thermal)
                )
            except RuntimeError as error:
                raise EngineError(f"OpenVINO cannot convert these weights: {error}") from error

    def _request(self, height: int, width: int) -> Any:
        size = (height, width)
        if size in self._requests:
            self._requests.move_to_end(size)
            return self._requests[size]
        compiled = self._from_cache(height, width) or self._compiled(height, width)
        # Kept for `describe`: another thread may ask, and must not look into what changes here.
        self._threads = str(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._requests[size] = compiled.create_infer_request()
        while len(self._requests) > SIZES_KEPT:
            self._requests.popitem(last=False)
        return self._requests[size]

    def _from_cache(self, height: int, width: int) -> Any:
        found = self._cache.find(self._key(height, width))
        if found.path is None:
            if found.is_refused:  # each start would compile anew, and nobody know why
                _log.warning("a compiled network on disk is not used: %s", found.why)
            return None
        try:
            return self._core.import_model(found.data, "CPU", self._options)
        except RuntimeError as error:
            _log.warning("%s cannot be used, compiling anew: %s", found.path, error)
            return None

    def _compiled(self, height: int, width: int) -> Any:
        if self._model is None:
            self._model = self._converted()
        model = self._model.clone()
        visible, thermal = model.inputs
        model.reshape(
            {visible: [1, height, width, self.visible_channels], thermal: [1, height, width, 1]}
        )
        begun_s = time.monotonic()
        compiled = self._core.compile_model(model, "CPU", self._options)
        about = {"build_s": round(time.monotonic() - begun_s, 3)}
        try:
            self._cache.store(
                self._key(height, width), compiled.export_model().getvalue(), about=about
            )
        except OSError as error:  # a disk that is full or read-only costs the next start time
            _log.warning("the compiled network is not kept on disk: %s", error)
        return compiled

    def _key(self, height: int, width: int) -> EngineKey:
        """What a compiled network for this size depends on."""
        return EngineKey(
            weights_sha256=self._metadata.sha256,
            config=self._metadata.config.as_dict(),
            height=height,
            width=width,
            precision=self._precision,
            versions={
                "openvino": self._openvino.__version__,
                "torch": torch.__version__,
                "graph": graph_version(),
            },
            device={"name": cpu_name(), **{k: str(v) for k, v in self._options.items()}},
        )

    def _tensor(self, picture: np.ndarray) -> Any:
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        batch = picture.reshape(1, *picture.shape[:2], channels)
        return self._openvino.Tensor(batch, shared_memory=True)


def _usable(picture: np.ndarray) -> np.ndarray:
    """The picture itself, or a copy where OpenVINO cannot take it.

    That is: gaps between pixels, or read-only memory (a message's bytes).
    """
    return picture if picture.flags.c_contiguous and picture.flags.writeable else picture.copy()


def probe_openvino() -> list[EngineProbe]:
    """Whether OpenVINO is installed; nothing is imported for it."""
    if importlib.util.find_spec("openvino") is None:
        fix = "pip install openvino, the faster engine on a CPU"
        return [EngineProbe("openvino", "cpu", False, "OpenVINO is not installed", fix)]
    try:
        version = importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    return [EngineProbe("openvino", "cpu", True, f"OpenVINO {version} on {cpu_name()}")]


def _openvino_without_telemetry() -> Any:
    """OpenVINO, kept from reporting its use to its makers.

    On import and on conversion it does so from threads that fork the process (unless the variable
    CI is set). A robot's node tells nobody; and that fork, met by a NumPy product on another
    thread, stands still for ever: fork waits for OpenBLAS's workers, and they for it. OpenVINO has
    a stub for where the module is not installed, which is what None says (docs of `sys.modules`).
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _checked_precision(name: str) -> str:
    if name == "auto":
        return "bfloat16" if cpu_has_fast_bfloat16() else "float32"
    if name not in _HINTS:
        allowed = ", ".join(repr(allowed) for allowed in ("auto", *_HINTS))
        raise EngineError(f"precision is {name!r}; on OpenVINO's CPU allowed: {allowed}")
    return name
