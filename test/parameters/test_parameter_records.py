# SPDX-License-Identifier: Apache-2.0
"""Every record of parameters is either refused with names or works with every kind of frame."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_ros.parameters import SPECS, FuseParameters, ParameterError, ParameterSpec
from fusion_ros.parameters.files import read_parameters
from fusion_ros.thermal.tone import ThermalToneMapper

TEXTS = ("tone_dead_pixels", "tone_region")
TONE = [spec for spec in SPECS if spec.name.startswith("tone_") and spec.name not in TEXTS]


def legal(spec: ParameterSpec) -> st.SearchStrategy:
    if spec.choices:
        return st.sampled_from(spec.choices)
    if spec.kind is int:
        return st.integers(int(spec.low), int(spec.high))
    ends = st.sampled_from([spec.low, spec.high, spec.default])
    return st.floats(spec.low, spec.high) | ends


def records() -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional={spec.name: legal(spec) for spec in TONE})


def outcome(make: Callable[[], object]) -> object:
    """Return the result of `make`, or the `ParameterError` that it raises."""
    try:
        return make()
    except ParameterError as refusal:
        return refusal


FRAMES = [
    (29000 + np.arange(560 * 20, dtype=np.uint16) % 1999).reshape(560, 20),
    np.full((560, 20), 65535, np.uint16),
    np.linspace(-40, 90, 560 * 20, dtype=np.float32).reshape(560, 20),
    np.full((560, 20), np.nan, np.float32),
    (np.arange(560 * 20) % 251).astype(np.uint8).reshape(560, 20),
]


@settings(max_examples=200, deadline=None)
@given(values=records(), seconds=st.sampled_from([1 / 120, 1 / 9, 1.0]))
def test_an_accepted_record_maps_every_kind_of_frame(values, seconds):
    found = outcome(lambda: FuseParameters.from_values(values).tone_options())
    if isinstance(found, ParameterError):
        assert len(found.names) > 1
        return
    mapper = ThermalToneMapper(found)
    for number, frame in enumerate(FRAMES * 2):
        with np.errstate(all="raise", under="ignore"):
            grey = mapper(frame, stamp_ns=round(1e9 * (1 + number * seconds)))
        assert grey.dtype == np.uint8


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), math.nan, math.inf, [1], {"a": 1}, None, b"x"]
)
def test_any_yaml_value_of_a_wrong_type_is_refused_with_the_parameter_named(value):
    for spec in SPECS:
        error = outcome(lambda name=spec.name: FuseParameters.from_values({name: value}))
        assert isinstance(error, ParameterError), spec.name
        assert spec.name in str(error)
        assert len(str(error)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "/**: &a {ros__parameters: {preset: 'x'}, inner: *a}",
        "&a {b: *a}",
        "/**: {ros__parameters: {preset: " + "'A" + "\\x1b" * 10 + "'}}",
        "x: !!int ''",
        "\x00",
        "a: 2024-13-41",
    ],
)
def test_a_parameter_file_with_any_content_is_read_or_refused(tmp_path, text):
    file = tmp_path / "p\n\x1b[2J.yaml"
    file.write_text(text)
    found = outcome(lambda: FuseParameters.from_values(read_parameters(file)))
    assert isinstance(found, FuseParameters) or str(found).isprintable()
