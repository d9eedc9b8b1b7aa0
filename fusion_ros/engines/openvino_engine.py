# SPDX-License-Identifier: Apache-2.0
"""The network on OpenVINO: the fastest way we know of on an Intel or AMD CPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16, cpu_name, keep_freed_memory
from fusion_ros.engines.engine import (
    EngineDescription,
    EngineError,
    EngineProbe,
    answer,
    check_pair,
)
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.weights import LoadedWeights

#: Compiled networks that are kept, one a picture size; a folder of pictures may bring any number.
SIZES_KEPT = 4
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """Runs a network on the CPU, compiled for each picture size when that is first met.

    Args:
        weights: network and metadata; left alone.
        precision: "auto", "float32" or "bfloat16". "auto" is bfloat16 on CPUs that multiply it in
            hardware, float32 elsewhere.
        threads: how many to use; 0 lets OpenVINO take one a physical core.

    Raises:
        EngineError: OpenVINO is not installed, or cannot do the precision.
    """

    def __init__(
        self, weights: LoadedWeights, *, precision: str = "auto", threads: int = 0
    ) -> None:
        self.notes: dict[str, str] = {}
        self._precision = _checked_precision(precision)
        probe = probe_openvino()[0]
        if not probe.available:
            raise EngineError(f"engine 'openvino' cannot run here: {probe.why}; {probe.fix}")
        keep_freed_memory()
        import openvino

        self._openvino = openvino
        self._metadata = weights.metadata
        config = weights.metadata.config
        self.visible_channels = config.visible_channels
        self.output_channels = config.output_channels
        self._core = openvino.Core()
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[self._precision],
        }
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        try:
            self._model = self._converted(weights)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot convert these weights: {error}") from error
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def warm_up(self, height: int, width: int) -> None:
        """Compile for this size and run twice."""
        shape = (height, width) if self.visible_channels == 1 else (height, width, 3)
        for _ in range(2):
            self.infer(np.zeros(shape, np.uint8), np.zeros((height, width), np.uint8))

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Engine.infer`."""
        check_pair(visible, thermal, self.visible_channels)
        if self._model is None:
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
            request.infer()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed at {width}x{height}: {error}") from error
        return picture

    def describe(self) -> EngineDescription:
        """See `Engine.describe`."""
        detail = {"device_name": cpu_name(), "openvino": importlib.metadata.version("openvino")}
        if self._requests:
            compiled = next(reversed(self._requests.values())).get_compiled_model()
            detail["threads"] = str(compiled.get_property("INFERENCE_NUM_THREADS"))
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
        self._model = None
        self._requests.clear()

    def _converted(self, weights: LoadedWeights) -> Any:
        """The network for pictures of any size; each size is compiled from it."""
        # An odd size, so that the trace holds the padding; its amounts stay computed.
        visible = torch.zeros(1, 33, 35, self.visible_channels, dtype=torch.uint8)
        thermal = torch.zeros(1, 33, 35, 1, dtype=torch.uint8)
        with warnings.catch_warnings():
            # OpenVINO's converter traces, which PyTorch calls deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            return self._openvino.convert_model(
                ByteNetwork(weights.net).eval(), example_input=(visible, thermal)
            )

    def _request(self, height: int, width: int) -> Any:
        size = (height, width)
        if size in self._requests:
            self._requests.move_to_end(size)
            return self._requests[size]
        model = self._model.clone()
        visible, thermal = model.inputs
        model.reshape(
            {visible: [1, height, width, self.visible_channels], thermal: [1, height, width, 1]}
        )
        compiled = self._core.compile_model(model, "CPU", self._options)
        self._requests[size] = compiled.create_infer_request()
        while len(self._requests) > SIZES_KEPT:
            self._requests.popitem(last=False)
        return self._requests[size]

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
        fix = "pip install openvino (or fusion_ros[openvino]), the faster engine on a CPU"
        return [EngineProbe("openvino", "cpu", False, "OpenVINO is not installed", fix)]
    try:
        version = importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    return [EngineProbe("openvino", "cpu", True, f"OpenVINO {version} on {cpu_name()}")]


def _checked_precision(name: str) -> str:
    if name == "auto":
        return "bfloat16" if cpu_has_fast_bfloat16() else "float32"
    if name not in _HINTS:
        allowed = ", ".join(repr(allowed) for allowed in ("auto", *_HINTS))
        raise EngineError(f"precision is {name!r}; on OpenVINO's CPU allowed: {allowed}")
    return name
