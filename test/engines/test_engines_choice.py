# SPDX-License-Identifier: Apache-2.0
"""Choice of an engine by availability and order of preference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fusion_ros.engines import choice
from fusion_ros.engines.engine import EngineDescription, EngineError, EngineProbe
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline_factory import make_live_pipeline


class StandInEngine:
    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def warm_up(self, height: int, width: int) -> None:
        if (height, width) != (480, 640):
            raise EngineError("no engine was built for this size")


Make = Callable[..., dict[str, StandInEngine]]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Replace probes and engines: name of an engine -> whether it can be created."""

    def build(**works: bool) -> dict[str, StandInEngine]:
        engines = {name: StandInEngine() for name, can in works.items() if can}

        def make(probe: EngineProbe, *_: object) -> StandInEngine:
            if probe.name not in engines:
                raise EngineError(f"{probe.name} is broken")
            return engines[probe.name]

        probes = [EngineProbe(name, "cpu", True, "installed") for name in works]
        monkeypatch.setattr(choice, "probe_engines", lambda: probes)
        monkeypatch.setattr(choice, "_make", make)
        return engines

    return build


def test_auto_selects_the_preferred_engine(install: Make) -> None:
    engines = install(openvino=True, torch=True)
    chosen = choice.create_engine(None)
    assert chosen is engines["openvino"]
    assert chosen.notes == {}


class BrokenEngine(StandInEngine):
    visible_channels = output_channels = 1

    def infer(self, *_: object, **__: object) -> np.ndarray:
        raise EngineError("out of memory")

    def describe(self) -> EngineDescription:
        return EngineDescription("torch", "cpu", "float32", "compact", "", {})

    def close(self) -> None:
        pass


def test_the_engine_that_could_not_be_created_is_the_fallback_of_the_one_that_runs(
    install: Make,
) -> None:
    """OpenVINO fails once at the start: PyTorch runs, and its fallback is OpenVINO."""
    engines = install(openvino=False, torch=True)
    engines["torch"] = BrokenEngine()
    pipeline = make_live_pipeline(FuseParameters(), lambda text, good: None)
    made: list[str] = []

    class Recovered(BrokenEngine):
        def __init__(self) -> None:
            super().__init__()
            made.append("openvino")

        def infer(self, visible: np.ndarray, *_: object, **__: object) -> np.ndarray:
            return visible

    engines["openvino"] = Recovered()
    grey = np.zeros((480, 640), np.uint8)
    assert (pipeline.fuse(grey, grey).image == grey).all()
    assert made == ["openvino"]


def test_auto_excludes_an_engine_that_fails_and_notes_the_reason(
    install: Make, caplog: pytest.LogCaptureFixture
) -> None:
    engines = install(openvino=False, torch=True)
    chosen = choice.create_engine(None)
    assert chosen is engines["torch"]
    assert "openvino is broken" in chosen.notes["chosen"]
    assert "openvino is broken" in caplog.text


@pytest.mark.parametrize(("size", "name"), [((480, 640), "tensorrt"), ((64, 64), "torch")])
def test_auto_selects_tensorrt_for_a_size_with_a_built_engine(
    install: Make, size: tuple[int, int], name: str
) -> None:
    engines = install(tensorrt=True, torch=True)
    assert choice.create_engine(None, size=size) is engines[name]


def test_a_named_engine_has_no_substitute(install: Make) -> None:
    install(openvino=False, torch=True)
    with pytest.raises(EngineError, match="openvino is broken"):
        choice.create_engine(None, name="openvino")


def test_the_error_has_the_reasons_of_all_engines(install: Make) -> None:
    install(openvino=False, torch=False)
    with pytest.raises(EngineError, match=r"openvino is broken.*torch is broken"):
        choice.create_engine(None)


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        EngineProbe("torch", "cuda:0", True, "a GPU"),
        EngineProbe("torch", "cuda:1", True, "a second GPU"),
        EngineProbe("torch", "cpu", True, "a CPU"),
        EngineProbe("openvino", "cpu", False, "not installed", "pip install openvino"),
    ]
    monkeypatch.setattr(choice, "probe_engines", lambda: found)


@pytest.mark.usefixtures("probes")
@pytest.mark.parametrize(
    ("requested", "device"),
    [
        (("auto", "auto"), "cuda:0"),
        (("auto", "cuda"), "cuda:0"),
        (("torch", "cuda:1"), "cuda:1"),
        (("auto", "cpu"), "cpu"),
    ],
)
def test_a_request_is_resolved_to_a_device(requested: tuple[str, str], device: str) -> None:
    assert choice.choose(*requested).device == device


@pytest.mark.usefixtures("probes")
def test_the_error_for_a_missing_engine_names_the_fix() -> None:
    with pytest.raises(EngineError, match=r"'openvino'.*pip install openvino"):
        choice.choose("openvino")


@pytest.mark.usefixtures("probes")
def test_the_error_for_a_missing_device_lists_the_available_ones() -> None:
    with pytest.raises(EngineError, match=r"'openvino' has no device 'cuda' here; it has: cpu"):
        choice.choose("openvino", "cuda")
    with pytest.raises(EngineError, match=r"'torch' has no device 'cuda:7'.*cuda:0, cuda:1"):
        choice.choose("torch", "cuda:7")
