# SPDX-License-Identifier: Apache-2.0
"""Choice of an engine by availability and a short trial, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fusion_ros.engines import choice
from fusion_ros.engines.engine import EngineError, EngineProbe


class TimedEngine:
    """An engine whose runs advance the test's clock by its milliseconds."""

    visible_channels = output_channels = 1

    def __init__(self, milliseconds: float, clock: list[int]) -> None:
        self.notes: dict[str, str] = {}
        self.milliseconds, self.clock = milliseconds, clock
        self.closed = False

    def infer(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        self.clock[0] += int(self.milliseconds * 1e6)
        return thermal

    def close(self) -> None:
        self.closed = True


Rig = Callable[..., dict[str, TimedEngine]]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Replace probes, engines and clock: name -> milliseconds, None for one that fails."""

    def build(**speeds: float | None) -> dict[str, TimedEngine]:
        clock = [0]
        engines = {n: TimedEngine(ms, clock) for n, ms in speeds.items() if ms is not None}

        def make(probe: EngineProbe, *_: object) -> TimedEngine:
            if probe.name not in engines:
                raise EngineError(f"{probe.name} is broken")
            return engines[probe.name]

        probes = [EngineProbe(name, "cpu", True, "it is there") for name in speeds]
        monkeypatch.setattr(choice, "probe_engines", lambda: probes)
        monkeypatch.setattr(choice, "_make", make)
        monkeypatch.setattr(choice.time, "perf_counter_ns", lambda: clock[0])
        return engines

    return build


def test_auto_selects_the_fastest_and_notes_the_reason(rig: Rig) -> None:
    engines = rig(openvino=20.0, torch=12.5)
    chosen = choice.create_engine(None)
    assert chosen is engines["torch"]
    assert chosen.notes["chosen"] == "fastest at 320x256: torch 12.5 ms, openvino 20.0 ms"
    assert engines["openvino"].closed
    assert not engines["torch"].closed


def test_the_order_of_the_probes_does_not_decide(rig: Rig) -> None:
    engines = rig(openvino=5.0, torch=12.5)
    assert choice.create_engine(None) is engines["openvino"]
    assert engines["torch"].closed


def test_the_preferred_engine_stays_unless_another_is_clearly_faster(rig: Rig) -> None:
    engines = rig(openvino=10.0, torch=9.5)
    chosen = choice.create_engine(None)
    assert chosen is engines["openvino"]
    assert chosen.notes["chosen"].startswith("openvino, as none is clearly faster, at 320x256: ")
    engines = rig(openvino=10.0, torch=8.5)
    assert choice.create_engine(None) is engines["torch"]


def test_engines_run_in_turn(rig: Rig) -> None:
    engines = rig(openvino=10.0, torch=20.0)
    turns: list[str] = []
    for name, engine in engines.items():
        infer = engine.infer

        def noted(*pair: np.ndarray, name: str = name, infer: Callable = infer) -> np.ndarray:
            turns.append(name)
            return infer(*pair)

        engine.infer = noted
    choice.create_engine(None)
    assert turns[:4] == ["openvino", "openvino", "torch", "torch"]
    assert turns[4:8] == turns[:4]


def test_an_engine_that_fails_in_the_trial_is_excluded(rig: Rig) -> None:
    engines = rig(openvino=5.0, torch=12.5)

    def fails(*pair: np.ndarray) -> np.ndarray:
        raise EngineError("the device was lost")

    engines["openvino"].infer = fails
    chosen = choice.create_engine(None)
    assert chosen is engines["torch"]
    assert engines["openvino"].closed
    assert "the device was lost" in chosen.notes["chosen"]


def test_a_named_engine_is_selected_without_a_trial(rig: Rig) -> None:
    engines = rig(openvino=5.0, torch=12.5)
    assert choice.create_engine(None, name="torch") is engines["torch"]
    assert "chosen" not in engines["torch"].notes


def test_an_excluded_engine_is_logged(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    engines = rig(openvino=None, torch=12.5)
    chosen = choice.create_engine(None)
    assert chosen is engines["torch"]
    assert "openvino failed: openvino is broken" in chosen.notes["chosen"]
    assert "openvino is broken" in caplog.text


def test_a_named_engine_that_fails_is_an_error(rig: Rig) -> None:
    rig(openvino=None, torch=12.5)
    with pytest.raises(EngineError, match="openvino is broken"):
        choice.create_engine(None, name="openvino")


def test_the_error_has_the_reasons_of_all_engines(rig: Rig) -> None:
    rig(openvino=None, torch=None)
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
def test_a_requestedis_resolved_to_a_device(requested: tuple[str, str], device: str) -> None:
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
