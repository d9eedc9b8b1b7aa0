# SPDX-License-Identifier: Apache-2.0
"""PyTorch's engine: precisions, threads, and a CUDA device if available."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_references import CPU_ENGINES, images, reference

from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.parity import compare, golden_pair, is_good_enough
from fusion_ros.engines.torch_engine import TorchEngine
from fusion_ros.model.weights import LoadedWeights, load_weights, shipped_weights


@pytest.mark.parametrize("engine_name", CPU_ENGINES)
def test_bfloat16_computes_the_shipped_networks_image_to_half_a_grey_level(
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


def test_the_error_for_lack_of_memory_names_size_and_remedy(compact: LoadedWeights) -> None:
    engine = TorchEngine(compact, device="cpu", precision="float32")

    def fails(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("tried to allocate 2 GiB")

    engine._run = fails
    with pytest.raises(EngineError, match=r"cpu ran out of memory at 96x64 .*2 GiB.*smaller"):
        engine.infer(*images(64, 96, 1))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("size", [(64, 96), (33, 65)])
def test_a_cuda_device_computes_the_networks_image(
    precision: str, size: tuple[int, int], compact: LoadedWeights, paper: LoadedWeights
) -> None:
    tolerance = {"float32": 1.0, "float16": 2.0, "bfloat16": 8.0}[precision]
    for weights, channels in ((compact, 1), (paper, 3)):
        engine = create_engine(weights, name="torch", device="cuda", precision=precision)
        visible, thermal = images(*size, channels)
        levels = reference(weights, visible, thermal)
        for _ in range(3):  # the same again from the captured graph
            assert np.abs(engine.infer(visible, thermal) - levels).max() < tolerance
        engine.close()
