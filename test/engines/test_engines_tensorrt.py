# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine's contract, with stand-ins for `tensorrt`, `torch2trt` and the GPU.

`StandIn...` classes have the interfaces of TensorRT 10 and torch2trt 0.5 as far as we call them;
an "engine" of theirs is the network itself, kept in a table. What the real libraries make of our
calls, only `pytest -m tensorrt` on a machine with them can tell.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion_ros.engines import tensorrt_build, tensorrt_engine
from fusion_ros.engines.engine import EngineError, EngineProbe
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.tensorrt_engine import TensorRtEngine
from fusion_ros.model.weights import LoadedWeights

SIZE = (48, 64)


class StandInEngine:
    """A `tensorrt.ICudaEngine` that is a PyTorch module in a table."""

    table: dict[bytes, torch.nn.Module] = {}  # noqa: RUF012

    def __init__(self, token: bytes) -> None:
        self.token = token

    def serialize(self) -> bytes:
        return self.token


class StandInTRTModule(torch.nn.Module):
    """`torch2trt.TRTModule`: takes an engine or the path of a file with one."""

    def __init__(self, engine=None, input_names=None, output_names=None) -> None:
        super().__init__()
        if isinstance(engine, str):
            token = Path(engine).read_bytes()
            engine = StandInEngine(token) if token in StandInEngine.table else None
        self.engine = engine
        self.names = input_names, output_names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        assert all(x.is_contiguous() for x in inputs), "torch2trt reads bare addresses"
        return StandInEngine.table[self.engine.token](*inputs)


class Constant(torch.nn.Module):
    """Answers the same to anything."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer


class Rig:
    """What the stand-ins do, and what they were asked."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.converted: list[str] = []
        self.fails = self.wrong = self.freezes = False

    def torch2trt(self, module, inputs, **options) -> StandInTRTModule:
        self.calls.append({"inputs": inputs, **options})
        if self.fails:
            return StandInTRTModule(None)
        module = copy.deepcopy(module)
        if self.wrong:
            module.blend.correction_head.bias.data += 0.3
        if self.freezes:
            decided = module.blend.weight_head(torch.zeros(1, 16, 32, 32))
            module.blend.weight_head = Constant(decided)
        token = f"engine {len(StandInEngine.table)}".encode()
        StandInEngine.table[token] = module
        return StandInTRTModule(StandInEngine(token))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    trt = types.ModuleType("tensorrt")
    trt.__version__ = "10.3.0"
    trt.BuilderFlag = types.SimpleNamespace(FP16=1, INT8=2, GPU_FALLBACK=3)
    trt.IInt8Calibrator = object
    trt.CalibrationAlgoType = types.SimpleNamespace(ENTROPY_CALIBRATION_2=1)
    to_trt, inner = types.ModuleType("torch2trt"), types.ModuleType("torch2trt.torch2trt")
    to_trt.torch2trt, to_trt.TRTModule = rig.torch2trt, StandInTRTModule
    inner.tensorrt_converter = lambda name: lambda convert: rig.converted.append(name)
    for name, module in (("tensorrt", trt), ("torch2trt", to_trt)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "torch2trt.torch2trt", inner)
    monkeypatch.setattr(
        tensorrt_build,
        "probe_tensorrt",
        lambda: [EngineProbe("tensorrt", "cuda:0", True, "a stand-in")],
    )
    versions = {"tensorrt": "10.3.0", "torch2trt": "0.5.0"}
    monkeypatch.setattr(tensorrt_build, "library_versions", lambda: versions)
    facts = {"name": "stand-in GPU", "compute_capability": "8.7", "multiprocessors": "16"}
    monkeypatch.setattr(tensorrt_build, "device_facts", lambda device: facts)
    monkeypatch.setattr(TensorRtEngine, "_run_on_device", TensorRtEngine._eagerly)
    return rig


@pytest.fixture
def engine(rig: Rig, compact: LoadedWeights, tmp_path: Path) -> TensorRtEngine:
    return TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))


def build(engine: TensorRtEngine, **options: object) -> list[str]:
    told: list[str] = []
    engine.build(*SIZE, tell=told.append, **options)
    return told


def test_a_built_engine_serves_the_networks_picture(
    engine: TensorRtEngine, compact: LoadedWeights
) -> None:
    from fusion_ros.engines.torch_engine import TorchEngine

    build(engine)
    pair = golden_pair(*SIZE, 1)
    wanted = TorchEngine(compact, device="cpu", precision="float32").infer(*pair)
    assert np.array_equal(engine.infer(*pair), wanted)


def test_a_size_without_an_engine_is_an_error_with_the_command_that_builds_it(
    engine: TensorRtEngine, rig: Rig
) -> None:
    with pytest.raises(EngineError, match=r"fusion-ros build-engine --size 64x48 --precision"):
        engine.infer(*golden_pair(*SIZE, 1))
    assert not engine.has_engine(*SIZE)
    assert rig.calls == []  # and nothing was built behind anybody's back


def test_torch2trt_is_called_as_its_interface_has_it(engine: TensorRtEngine, rig: Rig) -> None:
    build(engine)
    (call,) = rig.calls
    assert [tuple(x.shape) for x in call["inputs"]] == [(1, 1, 64, 64), (1, 1, 64, 64)]
    assert all(x.is_contiguous() and x.dtype == torch.float32 for x in call["inputs"])
    assert call["fp16_mode"] is True
    assert call["int8_mode"] is False
    assert call["input_names"] == ["visible", "thermal"]
    # What torch2trt would turn into constants, or refuse, is taught to it first.
    assert "torch.nn.functional.pixel_shuffle" in rig.converted
    assert "torch.nn.functional.conv_transpose2d" in rig.converted


def test_a_layer_that_became_a_constant_of_the_example_shows(
    engine: TensorRtEngine, rig: Rig
) -> None:
    """As torch2trt does with a function that it does not know."""
    rig.freezes = True
    with pytest.raises(EngineError, match="does not give the network's picture"):
        build(engine)


def test_a_second_process_finds_the_engine_without_building(
    engine: TensorRtEngine, rig: Rig, compact: LoadedWeights, tmp_path: Path
) -> None:
    build(engine)
    again = TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))
    assert again.has_engine(*SIZE)
    again.warm_up(*SIZE)
    assert len(rig.calls) == 1
    assert "PSNR" in again.describe().detail["parity"]


def test_a_build_that_returns_nothing_is_an_error(engine: TensorRtEngine, rig: Rig) -> None:
    rig.fails = True
    with pytest.raises(EngineError, match="could not build"):
        build(engine)
    assert not engine.has_engine(*SIZE)


def test_an_engine_that_gives_another_picture_does_not_serve(
    engine: TensorRtEngine, rig: Rig
) -> None:
    rig.wrong = True
    with pytest.raises(EngineError, match=r"does not give the network's picture \(max \d+"):
        build(engine)
    with pytest.raises(EngineError, match="it is not used"):
        engine.warm_up(*SIZE)


def test_a_file_that_tensorrt_does_not_take_is_an_error(engine: TensorRtEngine) -> None:
    build(engine)
    StandInEngine.table.clear()
    with pytest.raises(EngineError, match="TensorRT does not load"):
        engine.warm_up(*SIZE)


def test_int8_wants_pictures_and_hands_them_on(
    rig: Rig, compact: LoadedWeights, tmp_path: Path
) -> None:
    cache = EngineCache(tmp_path / "cache")
    engine = TensorRtEngine(compact, device="cpu", precision="int8", cache=cache)
    with pytest.raises(EngineError, match="calibrate"):
        build(engine)
    build(engine, calibration=[golden_pair(*SIZE, 1)] * 3)
    (call,) = rig.calls
    assert call["int8_mode"]
    assert call["fp16_mode"]  # for layers that int8 would cost too much
    assert call["int8_calib_algorithm"] == 1
    samples = call["int8_calib_dataset"]
    assert len(samples) == 3
    assert samples[0][0].shape == (1, 1, 64, 64)


def test_of_two_calibrations_both_are_kept_and_the_later_serves(
    rig: Rig, compact: LoadedWeights, tmp_path: Path
) -> None:
    """The node that runs an engine has not the pictures that it was calibrated with."""

    def made() -> TensorRtEngine:
        cache = EngineCache(tmp_path / "cache")
        return TensorRtEngine(compact, device="cpu", precision="int8", cache=cache)

    def serving() -> str:
        engine = made()
        engine.warm_up(*SIZE)
        return engine.describe().detail["calibration"]

    day, night = [golden_pair(*SIZE, 1)], [tuple(255 - x for x in golden_pair(*SIZE, 1))]
    assert not made().has_engine(*SIZE)
    build(made(), calibration=day)
    of_day = serving()
    assert of_day == tensorrt_engine.pictures_sha256(day)[:12]
    build(made(), calibration=night)
    assert serving() == tensorrt_engine.pictures_sha256(night)[:12] != of_day
    assert len(list((tmp_path / "cache").glob("*.engine"))) == 2
    build(made(), calibration=day)  # once more: in the place of the first
    assert serving() == of_day
    assert len(list((tmp_path / "cache").glob("*.engine"))) == 2


def test_pictures_have_one_hash_by_their_pixels_sizes_and_order() -> None:
    a, b = np.zeros((2, 6), np.uint8), np.zeros((3, 4), np.uint8)
    hashes = {tensorrt_engine.pictures_sha256(p) for p in ([(a, b)], [(b, a)], [(a, a)], [])}
    assert len(hashes) == 4
    assert tensorrt_engine.pictures_sha256([(a.copy(), b)]) in hashes


def test_progress_tells_how_long_the_last_build_took(engine: TensorRtEngine) -> None:
    assert "minutes" in build(engine)[0]
    card = next(engine._cache.folder.glob("*.json"))
    values = json.loads(card.read_text())
    card.write_text(json.dumps({**values, "build_s": 93.4}))
    assert "the last one took 93 s" in build(engine)[0]


@pytest.mark.parametrize("precision", ["bfloat16", "int4"])
def test_a_precision_that_tensorrt_has_not_is_refused(
    precision: str, rig: Rig, compact: LoadedWeights
) -> None:
    with pytest.raises(EngineError, match=f"precision is '{precision}'"):
        TensorRtEngine(compact, device="cpu", precision=precision)


def test_a_closed_engine_says_so(engine: TensorRtEngine) -> None:
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(*golden_pair(*SIZE, 1))


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)
def test_without_tensorrt_it_says_what_to_install(compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match=r"TensorRT is not installed; .*JetPack"):
        TensorRtEngine(compact)
