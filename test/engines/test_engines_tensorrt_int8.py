# SPDX-License-Identifier: Apache-2.0
"""int8 on TensorRT: calibrated with pictures, by which its engines are told apart (stand-ins)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stand_in_tensorrt import Rig

from fusion_ros.engines import tensorrt_engine
from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.tensorrt_engine import TensorRtEngine
from fusion_ros.model.weights import LoadedWeights

SIZE = (48, 64)


def build(engine: TensorRtEngine, **options: object) -> None:
    engine.build(*SIZE, tell=lambda line: None, **options)


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
