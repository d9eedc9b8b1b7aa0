# SPDX-License-Identifier: Apache-2.0
"""PyTorch's engine: precisions, threads, and a CUDA device if available."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_references import CPU_ENGINES, pictures, reference

from fusion_ros.engines import torch_engine
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.parity import compare, golden_pair, is_good_enough
from fusion_ros.engines.torch_engine import TorchEngine
from fusion_ros.model.weights import LoadedWeights, load_weights, shipped_weights


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
    got = TorchEngine(weights, device="cpu", precision=precision).infer(*pair)
    assert np.abs(got - np.rint(levels)).max() <= 2


def test_the_fastest_number_of_threads_is_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s, used = [0.0], [8]
    takes_s = {8: 1.0, 4: 0.95, 2: 0.4, 1: 0.7}  # four win by too little
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: used.__setitem__(0, count))
    monkeypatch.setattr(torch_engine.time, "perf_counter", lambda: clock_s[0])

    def call() -> None:
        clock_s[0] += takes_s[used[0]]

    assert torch_engine.fastest_threads(call, most=8) == 2
    assert used == [8]  # left as it was found


def test_threads_of_the_process_change_on_request_and_not_on_construction(
    compact: LoadedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(torch_engine, "fastest_threads", lambda call, most: 1)
    monkeypatch.setattr(torch_engine, "_threads_known", {})
    try:
        engine = TorchEngine(compact, device="cpu", precision="float32")
        assert torch.get_num_threads() == before
        engine.tune_threads()
        assert engine.describe().detail["threads"] == "1"
    finally:
        torch.set_num_threads(before)


def test_the_error_for_lack_of_memory_names_size_and_remedy(compact: LoadedWeights) -> None:
    engine = TorchEngine(compact, device="cpu", precision="float32")

    def fails(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("tried to allocate 2 GiB")

    engine._run = fails
    with pytest.raises(EngineError, match=r"cpu ran out of memory at 96x64 .*2 GiB.*smaller"):
        engine.infer(*pictures(64, 96, 1))


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
