# SPDX-License-Identifier: Apache-2.0
"""8-bit integers on OpenVINO: images near float32's, refusals, and the choice of "auto"."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import Engine, EngineError
from fusion_ros.engines.parity import compare, golden_pair, is_good_enough
from fusion_ros.model.onnx_file import int8_path, onnx_path, read_onnx
from fusion_ros.model.weights import LoadedWeights, WeightsError, load_weights, shipped_weights

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from fusion_ros.engines import openvino_engine, openvino_trial
from fusion_ros.engines.openvino_engine import OpenVinoEngine
from fusion_ros.engines.openvino_trial import create_openvino


@pytest.fixture
def compact() -> LoadedWeights:
    return load_weights(shipped_weights("compact"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a copy of the shipped weights of `compact` with both ONNX files."""
    source = shipped_weights("compact")
    for path in (source, onnx_path(source), int8_path(source)):
        shutil.copy(path, tmp_path)
    return tmp_path / source.name


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_ROS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (openvino_engine, openvino_trial):
        monkeypatch.setattr(module, "cpu_has_fast_bfloat16", lambda: False)


def takes(float32_ms: float, int8_ms: float) -> Callable[[Engine, Engine], tuple[float, float]]:
    return lambda float32, int8: (float32_ms, int8_ms)


@pytest.mark.parametrize("size", [(96, 160), (95, 131), (240, 320)])
def test_images_stay_near_those_of_float32(compact: LoadedWeights, size: tuple[int, int]) -> None:
    pair = golden_pair(*size, 1)
    int8, float32 = (OpenVinoEngine(compact, precision=name) for name in ("int8", "float32"))
    got, wanted = int8.infer(*pair), float32.infer(*pair)
    assert is_good_enough(compare(got, wanted), "int8"), str(compare(got, wanted))
    assert np.percentile(np.abs(got.astype(int) - wanted), 99.9) <= 6
    assert not np.array_equal(got, wanted)
    assert int8.describe().precision == "int8"


def test_convolutions_run_with_integers(compact: LoadedWeights) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(read_onnx(compact, int8=True)).graph
    source = {name: node for node in graph.node for name in node.output}
    inputs = {
        node.name: [source[name].op_type for name in node.input[:2] if name in source]
        for node in graph.node
        if node.op_type == "Conv"
    }
    plain = [name for name, kinds in inputs.items() if kinds != ["DequantizeLinear"] * 2]
    assert len(inputs) == 21
    assert plain == ["/net/blend/stem/Conv"]


@pytest.mark.usefixtures("without_bfloat16")
class TestAutoWithoutBfloat16:
    @pytest.mark.parametrize(("int8_ms", "chosen"), [(4.0, "int8"), (9.9, "float32")])
    def test_the_time_decides(self, compact: LoadedWeights, int8_ms: float, chosen: str) -> None:
        engine = create_openvino(compact, timer=takes(10.0, int8_ms))
        description = engine.describe()
        assert description.precision == chosen
        assert f"{int8_ms:.1f} ms" in description.detail["int8 trial"]

    def test_an_image_out_of_limits_is_refused_whatever_its_time(
        self, compact: LoadedWeights, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inverted = OpenVinoEngine.infer

        def infer(self: OpenVinoEngine, *pair: np.ndarray, **more: object) -> np.ndarray:
            image = inverted(self, *pair, **more)
            return 255 - image if self.describe().precision == "int8" else image

        monkeypatch.setattr(OpenVinoEngine, "infer", infer)
        assert create_openvino(compact, timer=takes(9, 1)).describe().precision == "float32"
        with pytest.raises(EngineError, match="precision is 'int8'"):
            create_openvino(compact, precision="int8", timer=takes(9, 1))

    def test_the_trial_is_made_once(self, compact: LoadedWeights) -> None:
        first = create_openvino(compact, timer=takes(10, 4))
        again = create_openvino(compact, timer=lambda *_: pytest.fail("timed again"))
        assert again.describe() == first.describe()

    def test_a_real_trial_has_times(self, compact: LoadedWeights) -> None:
        trial = openvino_trial._trial(compact, openvino_trial.median_ms)
        assert 0 < trial.int8_ms < 1000
        assert 0 < trial.float32_ms < 1000
        assert trial.keeps_image

    @pytest.mark.parametrize("damage", [None, b"damaged"])
    def test_weights_without_a_usable_int8_file_run_in_float32(
        self, copied: Path, damage: bytes | None
    ) -> None:
        if damage is None:
            int8_path(copied).unlink()
        else:
            int8_path(copied).write_bytes(damage)
        engine = create_openvino(load_weights(copied), timer=takes(10, 1))
        assert engine.describe().precision == "float32"


def test_auto_stays_with_bfloat16_where_the_cpu_has_it(
    compact: LoadedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (openvino_engine, openvino_trial):
        monkeypatch.setattr(module, "cpu_has_fast_bfloat16", lambda: True)
    engine = create_openvino(compact, timer=lambda *_: pytest.fail("timed"))
    assert engine.describe().precision == "bfloat16"


def test_int8_without_its_file_names_the_command_that_makes_it(copied: Path) -> None:
    int8_path(copied).unlink()
    with pytest.raises(EngineError) as caught:
        create_engine(load_weights(copied), name="openvino", precision="int8")
    assert str(int8_path(copied)) in str(caught.value)
    assert f"python -m training.quantize --weights {copied}" in str(caught.value)


def test_the_int8_file_of_other_weights_is_refused(copied: Path) -> None:
    data = bytearray(int8_path(copied).read_bytes())
    data[1000] ^= 1
    int8_path(copied).write_bytes(data)
    with pytest.raises(WeightsError, match=int8_path(copied).name):
        create_engine(load_weights(copied), name="openvino", precision="int8")


def test_other_engines_refuse_int8(compact: LoadedWeights) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from fusion_ros.engines.tensorrt.engine import TensorRtEngine

    with pytest.raises(EngineError, match="precision is 'int8'"):
        create_engine(compact, name="torch", device="cpu", precision="int8")
    with pytest.raises(EngineError, match="precision is 'int8'; on TensorRT"):
        TensorRtEngine(compact, precision="int8")
