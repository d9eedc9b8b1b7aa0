# SPDX-License-Identifier: Apache-2.0
"""Engines: uint8 in, uint8 out, and what the network computes in between.

The reference is the trained network itself in float64, without rewrites, on a picture padded by
NumPy. Every CPU engine that is installed is held to it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion_ros.engines import torch_engine
from fusion_ros.engines.choice import choose, create_engine, probe_engines
from fusion_ros.engines.engine import Engine, EngineError
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import compare, golden_pair, is_good_enough
from fusion_ros.engines.torch_engine import TorchEngine
from fusion_ros.model.config import PRESETS, FusionNetConfig
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import (
    LoadedWeights,
    load_weights,
    save_weights,
    shipped_weights,
)

SMALL_PAPER = dataclasses.replace(
    PRESETS["paper"], widths=(8, 16, 32), decoder_groups=4, head_channels=8
)
CPU_ENGINES = [
    "torch",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
        ),
    ),
]


def weights_of(config: FusionNetConfig, folder: Path) -> LoadedWeights:
    torch.manual_seed(21)
    net = FusionNet(config)
    path = folder / "net.safetensors"
    save_weights(path, net, training_data="noise", metrics={}, version="test")
    return load_weights(path)


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> LoadedWeights:
    return weights_of(PRESETS["compact"], tmp_path_factory.mktemp("compact"))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> LoadedWeights:
    """The paper's layout, narrower, and loud enough to fill the grey levels."""
    loaded = weights_of(SMALL_PAPER, tmp_path_factory.mktemp("paper"))
    with torch.no_grad():
        loaded.net.decoder.head[-1].weight.mul_(200.0)
    return loaded


_made: dict[tuple[str, str], Engine] = {}


def made_once(name: str, weights: LoadedWeights) -> Engine:
    """One engine serves all tests that do not close it: OpenVINO takes seconds to convert."""
    key = name, weights.metadata.sha256
    if key not in _made:
        _made[key] = create_engine(weights, name=name, device="cpu", precision="float32")
    return _made[key]


def pictures(height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Visible and thermal: smooth shapes with noise, over the whole grey range."""
    generator = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[0:height, 0:width]
    thermal = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < height * width / 9, 230, 40)
    visible = (x * 255 / max(width - 1, 1))[..., None] * np.ones(channels)
    noise = generator.normal(0, 10, (height, width, channels + 1))
    visible = np.clip(visible + noise[..., :channels], 0, 255).astype(np.uint8)
    thermal = np.clip(thermal + noise[..., channels], 0, 255).astype(np.uint8)
    return (visible[..., 0] if channels == 1 else visible), thermal


def reference(weights: LoadedWeights, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """What the picture should be, as float64 grey levels before rounding."""
    config = weights.metadata.config
    height, width = thermal.shape
    grow = ((0, -height % config.stride), (0, -width % config.stride))

    def planes(picture: np.ndarray) -> torch.Tensor:
        scaled = picture.reshape(height, width, -1) / 127.5 - 1.0
        grown = [
            np.pad(
                scaled[..., c], grow, mode="edge" if config.padding == "replicate" else "constant"
            )
            for c in range(scaled.shape[2])
        ]
        return torch.from_numpy(np.stack(grown))[None]

    net = weights.net.double()
    try:
        with torch.inference_mode():
            fused = net(planes(visible), planes(thermal))[0].numpy()
    finally:
        net.float()
    levels = (fused[:, :height, :width] + 1.0) * 127.5
    return levels[0] if config.output_channels == 1 else levels.transpose(1, 2, 0)


def assert_same_picture(got: np.ndarray, levels: np.ndarray) -> None:
    assert got.dtype == np.uint8
    assert got.shape == levels.shape
    assert np.ptp(levels) > 20, "the reference shows nothing, so the comparison proves nothing"
    # Rounding to the nearest level is off by half a level at most; float32 adds a little.
    assert np.abs(got - levels).max() < 0.51


@pytest.mark.parametrize("engine_name", CPU_ENGINES)
@pytest.mark.parametrize("size", [(64, 96), (33, 65), (95, 31), (48, 80), (1, 1), (32, 7)])
def test_an_engine_gives_the_networks_picture_at_any_size(
    engine_name: str, size: tuple[int, int], compact: LoadedWeights, paper: LoadedWeights
) -> None:
    for weights, channels in ((compact, 1), (paper, 3)):
        engine = made_once(engine_name, weights)
        visible, thermal = pictures(*size, channels)
        levels = reference(weights, visible, thermal)
        got = engine.infer(visible, thermal)
        if min(size) > 1:
            assert_same_picture(got, levels)
        else:
            assert np.abs(got - levels).max() < 0.51


@pytest.mark.parametrize("engine_name", CPU_ENGINES)
class TestEngine:
    @pytest.fixture
    def engine(self, engine_name: str, compact: LoadedWeights) -> Engine:
        return made_once(engine_name, compact)

    def test_sizes_may_change_from_call_to_call(
        self, engine: Engine, compact: LoadedWeights
    ) -> None:
        for size in ((64, 64), (40, 72), (64, 64)):
            visible, thermal = pictures(*size, 1)
            assert_same_picture(
                engine.infer(visible, thermal), reference(compact, visible, thermal)
            )

    def test_an_answer_owns_its_memory(self, engine: Engine) -> None:
        first = engine.infer(*pictures(64, 64, 1))
        kept = first.copy()
        second = engine.infer(*(255 - picture for picture in pictures(64, 64, 1)))
        assert not np.shares_memory(first, second)
        assert np.array_equal(first, kept)
        first[:] = 0  # and may be written to

    def test_read_only_and_strided_pictures_are_taken_and_left_alone(
        self, engine: Engine, compact: LoadedWeights
    ) -> None:
        visible, thermal = pictures(64, 64, 1)
        wide = np.zeros((64, 128), np.uint8)
        wide[:, ::2] = visible
        read_only = np.frombuffer(thermal.tobytes(), np.uint8).reshape(64, 64)
        got = engine.infer(wide[:, ::2], read_only)
        assert_same_picture(got, reference(compact, visible, thermal))
        assert np.array_equal(wide[:, ::2], visible)
        assert np.array_equal(read_only, thermal)

    def test_warming_up_does_not_change_the_picture(self, engine: Engine) -> None:
        before = engine.infer(*pictures(64, 96, 1))
        engine.warm_up(64, 96)
        assert np.array_equal(engine.infer(*pictures(64, 96, 1)), before)

    @pytest.mark.parametrize(
        ("visible", "thermal", "complaint"),
        [
            (np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8), r"visible is uint8 \(8, 8\)"),
            (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), r"visible is .*8, 8, 3"),
            (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 1), np.uint8), r"thermal is .*8, 8, 1"),
            (np.zeros((8, 8), np.uint16), np.zeros((8, 8), np.uint8), r"visible is uint16"),
            (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.float32), r"thermal is float32"),
            (np.zeros((0, 8), np.uint8), np.zeros((0, 8), np.uint8), r"thermal is .*0, 8"),
        ],
    )
    def test_a_picture_of_another_shape_or_type_is_named(
        self, engine: Engine, visible: np.ndarray, thermal: np.ndarray, complaint: str
    ) -> None:
        with pytest.raises(ValueError, match=complaint):
            engine.infer(visible, thermal)

    def test_it_says_what_is_running(
        self, engine: Engine, engine_name: str, compact: LoadedWeights
    ) -> None:
        description = engine.describe()
        assert description.name == engine_name
        assert description.device == "cpu"
        assert description.precision == "float32"
        assert description.preset == "compact"
        assert description.weights_sha256 == compact.metadata.sha256

    def test_it_answers_into_memory_that_it_is_given(self, engine: Engine) -> None:
        pair = pictures(64, 64, 1)
        out = np.zeros((64, 64), np.uint8)
        assert engine.infer(*pair, out=out) is out
        assert np.array_equal(out, engine.infer(*pair))

    @pytest.mark.parametrize(
        "out",
        [
            np.zeros((64, 32), np.uint8),
            np.zeros((64, 64), float),
            np.zeros((64, 128), "u1")[:, ::2],
        ],
    )
    def test_memory_that_cannot_hold_the_answer_is_refused(
        self, engine: Engine, out: np.ndarray
    ) -> None:
        with pytest.raises(ValueError, match="out is"):
            engine.infer(*pictures(64, 64, 1), out=out)

    def test_a_closed_engine_says_so(self, engine_name: str, compact: LoadedWeights) -> None:
        engine = create_engine(compact, name=engine_name, device="cpu")
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.infer(*pictures(32, 32, 1))
        engine.close()  # a second time does no harm

    def test_making_it_leaves_the_weights_alone(
        self, engine: Engine, compact: LoadedWeights
    ) -> None:
        engine.warm_up(32, 32)
        assert compact.net.blend.stem.weight.dtype == torch.float32
        assert compact.net.blend.stem.weight.device.type == "cpu"


@pytest.mark.parametrize("engine_name", CPU_ENGINES)
def test_bfloat16_gives_the_shipped_networks_picture_to_half_a_grey_level(
    engine_name: str,
) -> None:
    weights = load_weights(shipped_weights("compact"))
    pair = golden_pair(240, 320, 1)
    wanted = TorchEngine(weights, device="cpu", precision="float32").infer(*pair)
    assert np.ptp(wanted) > 150
    engine = create_engine(weights, name=engine_name, device="cpu", precision="bfloat16")
    parity = compare(engine.infer(*pair), wanted)
    assert is_good_enough(parity, "bfloat16"), str(parity)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_shipped_paper_network_runs_within_two_grey_levels_of_the_plain_one(
    precision: str,
) -> None:
    weights = load_weights(shipped_weights("paper"))
    pair = golden_pair(96, 128, 3)
    levels = reference(weights, *pair)
    assert np.ptp(levels) > 150
    got = TorchEngine(weights, device="cpu", precision=precision, threads=1).infer(*pair)
    assert np.abs(got - np.rint(levels)).max() <= 2


def test_the_number_of_threads_is_what_was_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s, used = [0.0], [8]
    takes_s = {8: 1.0, 4: 0.95, 2: 0.4, 1: 0.7}  # four win by too little
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: used.__setitem__(0, count))
    monkeypatch.setattr(torch_engine.time, "perf_counter", lambda: clock_s[0])

    def call() -> None:
        clock_s[0] += takes_s[used[0]]

    assert torch_engine.fastest_threads(call, most=8) == 2
    assert used == [8]  # left as it was found


def test_a_number_of_threads_that_was_asked_for_is_taken(compact: LoadedWeights) -> None:
    before = torch.get_num_threads()
    try:
        engine = TorchEngine(compact, device="cpu", precision="float32", threads=1)
        assert engine.describe().detail["threads"] == "1"
    finally:
        torch.set_num_threads(before)


def test_an_unknown_engine_is_refused_with_the_known_ones(compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match=r"engine is 'abacus'; allowed: auto, .*torch"):
        create_engine(compact, name="abacus")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "tpu:0"])
def test_an_unknown_device_is_refused_with_the_known_ones(
    device: str, compact: LoadedWeights
) -> None:
    with pytest.raises(EngineError, match=r"device"):
        create_engine(compact, name="torch", device=device)


def test_an_unknown_precision_is_refused_with_the_known_ones(compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match=r"precision is 'int3'; allowed: 'auto', float32"):
        create_engine(compact, name="torch", device="cpu", precision="int3")


def test_float16_on_a_cpu_is_refused_with_what_to_take(compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match=r"float16.*'bfloat16'"):
        create_engine(compact, name="torch", device="cpu", precision="float16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_where_there_is_none_says_the_fix(device: str, compact: LoadedWeights) -> None:
    for make in (
        lambda: create_engine(compact, name="torch", device=device),
        lambda: TorchEngine(compact, device=device),
    ):
        with pytest.raises(EngineError, match=r"CUDA.*(install|check)"):
            make()


def test_probes_name_each_engine_and_a_fix_for_each_miss() -> None:
    probes = probe_engines()
    assert ("torch", "cpu") in [(p.name, p.device) for p in probes if p.available]
    for probe in probes:
        assert probe.why
        assert probe.available or probe.fix
    # What can run comes before what cannot.
    availability = [probe.available for probe in probes]
    assert availability == sorted(availability, reverse=True)


def test_a_wish_is_met_exactly_or_refused() -> None:
    probe = choose("torch", "cpu")
    assert (probe.name, probe.device) == ("torch", "cpu")


def test_auto_takes_what_can_run_and_says_why() -> None:
    probe = choose()
    assert probe.available
    assert probe.why


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("size", [(64, 96), (33, 65)])
def test_a_cuda_device_gives_the_networks_picture(
    precision: str, size: tuple[int, int], compact: LoadedWeights, paper: LoadedWeights
) -> None:
    tolerance = {"float32": 1.0, "float16": 2.0, "bfloat16": 8.0}[precision]
    for weights, channels in ((compact, 1), (paper, 3)):
        engine = create_engine(weights, name="torch", device="cuda", precision=precision)
        visible, thermal = pictures(*size, channels)
        levels = reference(weights, visible, thermal)
        for _ in range(3):  # the same again from the captured graph
            assert np.abs(engine.infer(visible, thermal) - levels).max() < tolerance
        engine.close()


@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)
def test_openvino_neither_reports_to_its_makers_nor_starts_the_threads_that_would(
    compact: LoadedWeights, tmp_path: Path
) -> None:
    """Its telemetry forks the process, which can stand still for ever (and is nobody's business).

    It keeps quiet where CI is set, so that this must be seen where it is not, in a fresh home.
    """
    code = """
import threading
from pathlib import Path
from fusion_ros.engines.openvino_engine import OpenVinoEngine
from fusion_ros.model.weights import load_weights, shipped_weights
OpenVinoEngine(load_weights(shipped_weights("compact"))).warm_up(64, 64)
print([thread.name for thread in threading.enumerate()], [p.name for p in Path.home().iterdir()])
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD")}
    environment["HOME"] = str(tmp_path)
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "['MainThread'] []\n"


@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)
class TestCompiledNetworksOnDisk:
    """OpenVINO's engine converts once; another one finds what the first compiled."""

    @pytest.fixture
    def make(self, compact: LoadedWeights, tmp_path: Path) -> Callable[[], Engine]:
        from fusion_ros.engines.openvino_engine import OpenVinoEngine

        cache = EngineCache(tmp_path / "cache")
        return lambda: OpenVinoEngine(compact, precision="float32", cache=cache)

    def test_a_second_engine_gives_the_same_picture_without_converting(
        self, make: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair = pictures(64, 96, 1)
        first = make().infer(*pair)
        second = make()
        monkeypatch.setattr(second, "_converted", lambda: pytest.fail("converted again"))
        np.testing.assert_array_equal(second.infer(*pair), first)

    def test_a_damaged_one_is_compiled_anew(
        self, make: Callable[[], Engine], tmp_path: Path
    ) -> None:
        pair = pictures(64, 96, 1)
        first = make().infer(*pair)
        (kept,) = (tmp_path / "cache").glob("*.engine")
        kept.write_bytes(kept.read_bytes()[:-100])
        np.testing.assert_array_equal(make().infer(*pair), first)

    def test_one_that_openvino_refuses_is_compiled_anew_and_told(
        self, make: Callable[[], Engine], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        pair = pictures(64, 96, 1)
        first = make().infer(*pair)
        (kept,) = (tmp_path / "cache").glob("*.engine")
        card = json.loads(kept.with_suffix(".json").read_text())
        kept.write_bytes(b"no network")
        card["sha256"] = hashlib.sha256(b"no network").hexdigest()
        kept.with_suffix(".json").write_text(json.dumps(card))
        np.testing.assert_array_equal(make().infer(*pair), first)
        assert "cannot be used, compiling anew" in caplog.text

    def test_a_disk_that_cannot_be_written_costs_nothing_but_a_warning(
        self, compact: LoadedWeights, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        from fusion_ros.engines.openvino_engine import OpenVinoEngine

        (tmp_path / "file").write_text("in the way")
        cache = EngineCache(tmp_path / "file" / "cache")
        OpenVinoEngine(compact, precision="float32", cache=cache).infer(*pictures(64, 96, 1))
        assert "is not kept on disk" in caplog.text
