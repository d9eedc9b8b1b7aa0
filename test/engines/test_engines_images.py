# SPDX-License-Identifier: Apache-2.0
"""Engines compute the network's image from uint8 to uint8."""

from __future__ import annotations

import resource
import statistics
import tracemalloc

import numpy as np
import pytest
import torch
from engine_references import CPU_ENGINES, assert_same_image, images, made_once, reference

from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import Engine, EngineError
from fusion_ros.engines.process import keep_freed_memory
from fusion_ros.model.weights import LoadedWeights


@pytest.mark.parametrize("engine_name", CPU_ENGINES)
@pytest.mark.parametrize("size", [(64, 96), (33, 65), (95, 31), (48, 80), (1, 1), (32, 7)])
def test_an_engine_computes_the_networks_image_at_any_size(
    engine_name: str, size: tuple[int, int], compact: LoadedWeights, paper: LoadedWeights
) -> None:
    for weights, channels in ((compact, 1), (paper, 3)):
        engine = made_once(engine_name, weights)
        visible, thermal = images(*size, channels)
        levels = reference(weights, visible, thermal)
        got = engine.infer(visible, thermal)
        if min(size) > 1:
            assert_same_image(got, levels)
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
            visible, thermal = images(*size, 1)
            assert_same_image(engine.infer(visible, thermal), reference(compact, visible, thermal))

    def test_a_result_owns_its_memory(self, engine: Engine) -> None:
        first = engine.infer(*images(64, 64, 1))
        kept = first.copy()
        second = engine.infer(*(255 - image for image in images(64, 64, 1)))
        assert not np.shares_memory(first, second)
        assert np.array_equal(first, kept)
        first[:] = 0  # and may be written to

    def test_read_only_and_strided_images_are_accepted_and_not_changed(
        self, engine: Engine, compact: LoadedWeights
    ) -> None:
        visible, thermal = images(64, 64, 1)
        wide = np.zeros((64, 128), np.uint8)
        wide[:, ::2] = visible
        read_only = np.frombuffer(thermal.tobytes(), np.uint8).reshape(64, 64)
        got = engine.infer(wide[:, ::2], read_only)
        assert_same_image(got, reference(compact, visible, thermal))
        assert np.array_equal(wide[:, ::2], visible)
        assert np.array_equal(read_only, thermal)

    def test_warming_up_does_not_change_the_image(self, engine: Engine) -> None:
        before = engine.infer(*images(64, 96, 1))
        engine.warm_up(64, 96)
        assert np.array_equal(engine.infer(*images(64, 96, 1)), before)

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
    def test_the_error_names_a_wrong_shape_or_type(
        self, engine: Engine, visible: np.ndarray, thermal: np.ndarray, complaint: str
    ) -> None:
        with pytest.raises(ValueError, match=complaint):
            engine.infer(visible, thermal)

    def test_the_description_names_engine_and_weights(
        self, engine: Engine, engine_name: str, compact: LoadedWeights
    ) -> None:
        description = engine.describe()
        assert description.name == engine_name
        assert description.device == "cpu"
        assert description.precision == "float32"
        assert description.preset == "compact"
        assert description.weights_sha256 == compact.metadata.sha256

    def test_the_result_is_written_to_given_memory(self, engine: Engine) -> None:
        pair = images(64, 64, 1)
        out = np.zeros((64, 64), np.uint8)
        assert engine.infer(*pair, out=out) is out
        assert np.array_equal(out, engine.infer(*pair))

    def test_in_the_steady_state_a_pair_takes_no_memory(self, engine: Engine) -> None:
        keep_freed_memory()  # as every entry point does
        pair = [np.ascontiguousarray(image) for image in images(256, 320, 1)]
        out = np.zeros((256, 320), np.uint8)
        for _ in range(5):
            engine.infer(*pair, out=out)
        pages = []
        for _ in range(15):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            engine.infer(*pair, out=out)
            pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        # Python and other threads cause a few page faults; memory that is unmapped and allocated
        # again causes a thousand and more.
        assert statistics.median(pages) * resource.getpagesize() < out.nbytes
        tracemalloc.start()
        try:
            engine.infer(*pair, out=out)
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            engine.infer(*pair, out=out)
            assert tracemalloc.get_traced_memory()[1] - before < out.nbytes / 8
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize(
        "out",
        [
            np.zeros((64, 32), np.uint8),
            np.zeros((64, 64), float),
            np.zeros((64, 128), "u1")[:, ::2],
        ],
    )
    def test_unsuitable_memory_for_the_result_is_refused(
        self, engine: Engine, out: np.ndarray
    ) -> None:
        with pytest.raises(ValueError, match="out is"):
            engine.infer(*images(64, 64, 1), out=out)

    def test_a_closed_engine_raises_an_error(
        self, engine_name: str, compact: LoadedWeights
    ) -> None:
        engine = create_engine(compact, name=engine_name, device="cpu")
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.infer(*images(32, 32, 1))
        engine.close()  # a second time does no harm

    def test_an_engine_does_not_change_the_weights(
        self, engine: Engine, compact: LoadedWeights
    ) -> None:
        engine.warm_up(32, 32)
        assert compact.net.blend.stem.weight.dtype == torch.float32
        assert compact.net.blend.stem.weight.device.type == "cpu"
