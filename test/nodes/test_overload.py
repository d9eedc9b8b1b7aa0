# SPDX-License-Identifier: Apache-2.0
"""The next cheaper setting of an overloaded node, which the program has to accept."""

from __future__ import annotations

import dataclasses

import pytest

from fusion_ros.engines.engine import EngineDescription
from fusion_ros.nodes.fuse.reporting import overload
from fusion_ros.nodes.fuse.reporting.overload import Cheaper, cheaper_setting
from fusion_ros.parameters import FuseParameters

PAPER = EngineDescription("openvino", "cpu", "float32", "paper", "0" * 64, {})
COMPACT = dataclasses.replace(PAPER, preset="compact")
LOWEST = dataclasses.replace(COMPACT, precision="bfloat16")


@pytest.fixture(params=[True, False], ids=["with bfloat16", "without"])
def has_bfloat16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(overload, "cpu_has_fast_bfloat16", lambda: request.param)
    return request.param


def advised(engine: EngineDescription, *, has_held: bool = False, hz: float = 12.7) -> Cheaper:
    """The advice, of which the node accepts the parameters."""
    found = cheaper_setting(engine, has_held=has_held, fused_hz=hz)
    FuseParameters().changed(found.parameters)
    return found


def test_each_setting_leads_to_the_next_until_only_the_cameras_are_left(has_bfloat16: bool) -> None:
    assert advised(PAPER).parameters == {"preset": "compact"}
    if has_bfloat16:
        assert advised(COMPACT, has_held=True).parameters == {"precision": "bfloat16"}
    else:
        assert advised(COMPACT, has_held=True).parameters == {"thermal_hold_ms": 0.0}
    assert advised(LOWEST, has_held=True).parameters == {"thermal_hold_ms": 0.0}
    assert advised(LOWEST).parameters == {}


def test_rate_is_the_one_that_the_node_sustains() -> None:
    assert " 12 Hz " in advised(LOWEST).text
    assert "Hz" not in advised(LOWEST, hz=0.4).text


def test_int8_follows_where_its_file_exists_and_no_trial_rejected_it(has_bfloat16: bool) -> None:
    detail = {"int8": "available"}
    engine = dataclasses.replace(LOWEST, detail=detail)
    assert advised(engine, has_held=True).parameters == {"precision": "int8"}
    tried = dataclasses.replace(LOWEST, detail={**detail, "int8 trial": "8 ms, 7 ms"})
    assert advised(tried).parameters == {}
    assert advised(dataclasses.replace(LOWEST, precision="int8")).parameters == {}


@pytest.mark.parametrize(
    ("name", "expected"), [("torch", {"precision": "float16"}), ("tensorrt", {})]
)
def test_a_gpu_gets_half_precision_where_no_engine_has_to_be_built(
    name: str, expected: dict[str, str]
) -> None:
    engine = dataclasses.replace(COMPACT, name=name, device="cuda:0")
    assert advised(engine).parameters == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_openvino_accepts_the_precision(precision: str) -> None:
    pytest.importorskip("openvino")
    from fusion_ros.engines.choice import create_engine
    from fusion_ros.model.weights import load_weights, shipped_weights

    weights = load_weights(shipped_weights("compact"))
    engine = create_engine(weights, name="openvino", device="cpu", precision=precision)
    cheaper = advised(engine.describe()).parameters.get("precision", precision)
    engine.close()
    engine = create_engine(weights, name="openvino", device="cpu", precision=str(cheaper))
    assert engine.describe().precision == cheaper
    engine.close()
