# SPDX-License-Identifier: Apache-2.0
"""Requests for an engine are fulfilled exactly, or refused with the allowed values."""

from __future__ import annotations

import pytest
import torch

from fusion_ros.engines.choice import choose, create_engine, probe_engines
from fusion_ros.engines.engine import EngineError
from fusion_ros.model.weights import LoadedWeights


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
    with pytest.raises(EngineError, match=r"'int3'.*float32"):
        create_engine(compact, name="torch", device="cpu", precision="int3")


def test_float16_on_a_cpu_is_refused_with_an_alternative(compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match=r"float16.*'bfloat16'"):
        create_engine(compact, name="torch", device="cpu", precision="float16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_error_for_missing_cuda_names_the_fix(device: str, compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match=r"CUDA.*(install|check)"):
        create_engine(compact, name="torch", device=device)


def test_probes_name_a_reason_or_a_fix() -> None:
    probes = probe_engines()
    assert ("torch", "cpu") in [(p.name, p.device) for p in probes if p.available]
    for probe in probes:
        assert probe.why
        assert probe.available or probe.fix
    # Available engines come first.
    availability = [probe.available for probe in probes]
    assert availability == sorted(availability, reverse=True)


def test_a_named_engine_and_device_are_selected() -> None:
    probe = choose("torch", "cpu")
    assert (probe.name, probe.device) == ("torch", "cpu")


def test_auto_selects_an_available_engine() -> None:
    probe = choose()
    assert probe.available
    assert probe.why
