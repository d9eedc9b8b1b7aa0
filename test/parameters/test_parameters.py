# SPDX-License-Identifier: Apache-2.0
"""The parameter table, and the files that are written from it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import yaml

from fusion_ros.imaging.colour import ColourOptions
from fusion_ros.imaging.palettes import OverlayOptions
from fusion_ros.parameters.files import as_markdown, as_yaml, read_parameters
from fusion_ros.parameters.specification import ParameterError, ParameterSpec
from fusion_ros.parameters.table import SPECS, FuseParameters
from fusion_ros.registration.warp import RegistrationOptions
from fusion_ros.thermal.tone_options import ToneOptions

REPOSITORY = Path(__file__).resolve().parents[2]
BY_NAME = {spec.name: spec for spec in SPECS}


def test_the_shipped_parameter_file_is_the_table():
    assert (REPOSITORY / "config" / "fuse.yaml").read_text() == as_yaml()


def test_the_reference_page_is_the_table():
    assert (REPOSITORY / "docs" / "reference" / "parameters.md").read_text() == as_markdown()


def test_the_parameter_file_holds_every_default_in_its_own_type():
    values = yaml.safe_load(as_yaml())["/**"]["ros__parameters"]
    assert values == {spec.name: spec.default for spec in SPECS}
    for spec in SPECS:
        assert type(values[spec.name]) is spec.kind, spec.name


def test_defaults_are_allowed_by_their_own_table():
    assert FuseParameters.from_values({s.name: s.default for s in SPECS}) == FuseParameters()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_parameter_says_what_it_means_and_names_its_unit(spec: ParameterSpec):
    assert len(spec.meaning.split()) >= 4
    assert spec.meaning.endswith(".")
    if spec.kind is float:
        units = ("_ms", "_s", "_percent", "_hz", "_celsius", "_pixels", "_m", "_px", "_ratio")
        assert spec.name.endswith(units) or "[" in spec.meaning, "a number needs a unit"


@pytest.mark.parametrize(
    "spec", [s for s in SPECS if s.kind in (int, float)], ids=lambda spec: spec.name
)
def test_both_ends_of_a_range_are_allowed_and_what_is_beyond_is_not(spec: ParameterSpec):
    assert spec.low is not None
    assert spec.high is not None
    assert spec.check(spec.kind(spec.low)) == spec.low
    assert spec.check(spec.kind(spec.high)) == spec.high
    for beyond in (spec.low - 1, spec.high + 1):
        with pytest.raises(ParameterError, match=spec.name):
            spec.check(spec.kind(beyond))


def test_a_whole_number_will_do_for_a_float():
    value = BY_NAME["pairing_tolerance_ms"].check(20)
    assert value == 20.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pairing_tolerance_ms", math.nan),
        ("pairing_tolerance_ms", math.inf),
        ("pairing_tolerance_ms", "20"),
        ("pairing_tolerance_ms", True),
        ("pairing_queue_size", 2.0),
        ("pairing_queue_size", True),
        ("autostart", 1),
        ("preset", "Compact"),
        ("weights", None),
    ],
)
def test_an_unusable_value_is_refused_with_name_value_and_what_is_allowed(name, value):
    with pytest.raises(ParameterError) as error:
        BY_NAME[name].check(value)
    assert name in str(error.value)
    assert repr(value) in str(error.value)
    assert BY_NAME[name].allowed in str(error.value)


@pytest.mark.parametrize(
    ("prefix", "options"),
    [
        ("tone_", ToneOptions()),
        ("registration_", RegistrationOptions()),
        ("colour_", ColourOptions()),
        ("overlay_", OverlayOptions()),
    ],
)
def test_every_option_of_the_imaging_room_is_a_parameter_with_the_same_default(prefix, options):
    defaults = {spec.name: spec.default for spec in SPECS if spec.name.startswith(prefix)}
    expected = {prefix + name: value for name, value in dataclasses.asdict(options).items()}
    if prefix == "tone_":
        expected["tone_dead_pixels"] = ""  # told as text: an empty list has no type in ROS
    assert defaults == expected


def test_dead_pixels_are_read_from_their_text():
    values = FuseParameters(tone_dead_pixels="3,4; 630, 2")
    assert values.tone_options().dead_pixels == (3, 4, 630, 2)
    with pytest.raises(ParameterError, match=r"tone_dead_pixels is '3;4'"):
        FuseParameters(tone_dead_pixels="3;4").tone_options()


def test_parameters_that_contradict_each_other_are_refused_together():
    with pytest.raises(ParameterError, match=r"tone_\*.*low_percent is 80"):
        FuseParameters.from_values({"tone_low_percent": 80.0, "tone_high_percent": 20.0})


def test_an_unknown_parameter_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match=r"tolerance.*pairing_tolerance_ms"):
        FuseParameters.from_values({"tolerance": 1.0})


def test_an_unknown_parameter_is_told_its_nearest_neighbours_and_where_all_are():
    with pytest.raises(
        ParameterError, match=r"'engin' \(did you mean engine\?\).*docs/reference/parameters.md"
    ):
        FuseParameters.from_values({"engin": "auto"})


def file_of(tmp_path, text):
    file = tmp_path / "robot.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_robots_shared_file_gives_the_fuse_node_its_own_part(tmp_path):
    file = file_of(
        tmp_path,
        """
        camera: {ros__parameters: {exposure: 3}}
        /rig/fuse_node: {ros__parameters: {tone_mode: clahe}}
        /**: {ros__parameters: {use_sim_time: true, tone_mode: fixed, engine: torch}}
        """,
    )
    assert read_parameters(file) == {"tone_mode": "clahe", "engine": "torch"}


@pytest.mark.parametrize(
    "name", ["/**", "fuse_node", "/fuse_node", "/**/fuse_node", "/a/b/fuse_node"]
)
def test_sections_for_us_are_known_by_their_names(tmp_path, name):
    other = "  ros__parameters: {exposure: 3}"
    file = file_of(tmp_path, f"{name}:\n  ros__parameters: {{engine: torch}}\ncamera:\n{other}\n")
    assert read_parameters(file) == {"engine": "torch"}


def test_namespaces_may_be_nested_and_a_single_section_may_have_any_name(tmp_path):
    nested = "rig:\n  fuse_node:\n    ros__parameters: {engine: torch}\n"
    assert read_parameters(file_of(tmp_path, nested)) == {"engine": "torch"}
    renamed = "my_fusion:\n  ros__parameters: {engine: torch}\n"
    assert read_parameters(file_of(tmp_path, renamed)) == {"engine": "torch"}


def test_a_file_for_other_nodes_alone_is_refused_with_their_names(tmp_path):
    text = "a: {ros__parameters: {x: 1}}\nb: {ros__parameters: {x: 1}}\n"
    with pytest.raises(ParameterError, match=r"for fuse_node \(sections: /a, /b\)"):
        read_parameters(file_of(tmp_path, text))
