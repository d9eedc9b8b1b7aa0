# SPDX-License-Identifier: Apache-2.0
"""The parameter table and the files generated from it."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fusion_ros.imaging.options import ColourOptions, OverlayOptions
from fusion_ros.parameters import SPECS, FuseParameters, ParameterError, ParameterSpec
from fusion_ros.parameters.files import as_markdown, as_yaml, check_section, read_parameters
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.thermal.tone_options import ToneOptions

REPOSITORY = Path(__file__).resolve().parents[2]
BY_NAME = {spec.name: spec for spec in SPECS}


def test_shipped_parameter_file_is_generated_from_the_table():
    assert (REPOSITORY / "config" / "fuse.yaml").read_text() == as_yaml()


def test_reference_page_is_generated_from_the_table():
    assert (REPOSITORY / "docs" / "reference" / "parameters.md").read_text() == as_markdown()


def test_parameter_file_has_every_default_in_its_own_type():
    values = yaml.safe_load(as_yaml())["/**"]["ros__parameters"]
    assert values == {spec.name: spec.default for spec in SPECS}
    for spec in SPECS:
        assert type(values[spec.name]) is spec.kind, spec.name


def test_defaults_are_allowed():
    assert FuseParameters.from_values({s.name: s.default for s in SPECS}) == FuseParameters()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_parameter_has_a_description_and_a_unit(spec: ParameterSpec):
    assert len(spec.meaning.split()) >= 4
    assert spec.meaning.endswith(".")
    if spec.kind is float:
        units = ("_ms", "_s", "_percent", "_hz", "_celsius", "_pixels", "_m", "_px", "_ratio")
        assert spec.name.endswith(units) or "[" in spec.meaning, "a number needs a unit"


@pytest.mark.parametrize(
    "spec", [s for s in SPECS if s.kind in (int, float)], ids=lambda spec: spec.name
)
def test_both_ends_of_a_range_are_allowed_and_values_beyond_are_not(spec: ParameterSpec):
    assert spec.low is not None
    assert spec.high is not None
    assert spec.check(spec.kind(spec.low)) == spec.low
    assert spec.check(spec.kind(spec.high)) == spec.high
    for beyond in (spec.low - 1, spec.high + 1):
        with pytest.raises(ParameterError, match=spec.name):
            spec.check(spec.kind(beyond))


def test_an_integer_is_accepted_for_a_float():
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
def test_an_unusable_value_is_refused_with_name_value_and_allowed_values(name, value):
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
def test_every_option_is_a_parameter_with_the_same_default(prefix, options):
    defaults = {spec.name: spec.default for spec in SPECS if spec.name.startswith(prefix)}
    expected = {prefix + name: value for name, value in dataclasses.asdict(options).items()}
    if prefix == "tone_":
        # Text, since an empty list has no type in ROS.
        expected |= {"tone_dead_pixels": "", "tone_region": ""}
    assert defaults == expected


def test_dead_pixels_are_read_from_their_text():
    values = FuseParameters(tone_dead_pixels="3,4; 630, 2")
    assert values.tone_options().dead_pixels == (3, 4, 630, 2)
    with pytest.raises(ParameterError, match="tone_dead_pixels"):
        FuseParameters(tone_dead_pixels="3;4").tone_options()


def test_region_is_read_from_its_text():
    values = FuseParameters(tone_region="0,.5; 1,.5; 1,1; 0,1")
    assert values.tone_options().region == (0, 0.5, 1, 0.5, 1, 1, 0, 1)
    for text in ("0,0;1", "0,0;1,0;nan,1", "a,b;0,0;1,1", "0,0;1,1;5,0"):
        with pytest.raises(ParameterError, match="tone_region"):
            FuseParameters(tone_region=text).tone_options()


def test_isotherm_temperature_needs_a_unit():
    with pytest.raises(ParameterError) as refusal:
        FuseParameters.from_values({"overlay_isotherm_celsius": 40.0})
    assert refusal.value.names == ("overlay_isotherm_celsius", "tone_unit")
    FuseParameters.from_values({"overlay_isotherm_celsius": 40.0, "tone_unit": "centikelvin"})


def test_parameters_that_contradict_each_other_are_refused_together():
    with pytest.raises(ParameterError) as error:
        FuseParameters.from_values({"tone_low_percent": 80.0, "tone_high_percent": 20.0})
    assert error.value.names == ("tone_high_percent", "tone_low_percent")


def test_names_of_options_in_descriptions_and_errors_are_those_of_parameters():
    assert "`tone_fixed_low`" in BY_NAME["tone_mode"].meaning
    values = {"registration_mode": "calibrated", "registration_source": "tf"}
    with pytest.raises(ParameterError) as error:
        FuseParameters.from_values(values)
    assert error.value.names == ("registration_distance_m", "registration_source")
    assert "set registration_distance_m" in str(error.value)


def test_importing_the_parameters_loads_no_heavy_package():
    program = (
        "import sys, fusion_ros.parameters; print(*{'torch', 'cv2', 'rclpy'} & {*sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (loaded.returncode, loaded.stdout.split()) == (0, [])


@pytest.mark.parametrize(
    ("name", "similar"), [("tolerance", "pairing_tolerance_ms"), ("engin", "engine")]
)
def test_an_unknown_parameter_is_refused_with_similar_names(name, similar):
    with pytest.raises(ParameterError, match=rf"'{name}' .*{similar}"):
        FuseParameters.from_values({name: 1.0})


def file_of(tmp_path, text):
    file = tmp_path / "robot.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_shared_by_several_nodes_is_read_for_the_fuse_node(tmp_path):
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
def test_sections_for_the_fuse_node_are_found_by_name(tmp_path, name):
    other = "  ros__parameters: {exposure: 3}"
    file = file_of(tmp_path, f"{name}:\n  ros__parameters: {{engine: torch}}\ncamera:\n{other}\n")
    assert read_parameters(file) == {"engine": "torch"}


def test_namespaces_may_be_nested_and_a_single_section_may_have_any_name(tmp_path):
    nested = "rig:\n  fuse_node:\n    ros__parameters: {engine: torch}\n"
    assert read_parameters(file_of(tmp_path, nested)) == {"engine": "torch"}
    renamed = "my_fusion:\n  ros__parameters: {engine: torch}\n"
    assert read_parameters(file_of(tmp_path, renamed)) == {"engine": "torch"}


@pytest.mark.parametrize(
    ("section", "node", "applies"),
    [
        ("/**", "/front/fuse_node", True),
        ("fuse_node", "/fuse_node", True),
        ("fuse_node", "/front/fuse_node", False),  # ROS starts the node with defaults
        ("/**/fuse_node", "/a/b/fuse_node", True),
        ("/*/fuse_node", "/front/fuse_node", True),
        ("/*/fuse_node", "/a/b/fuse_node", False),
        ("/front/**", "/front/fuse_node", True),
        ("my_fusion", "/fuse_node", False),
        ("fuse_nod.", "/fuse_node", False),
    ],
)
def test_a_section_is_for_the_nodes_that_ros_applies_it_to(tmp_path, section, node, applies):
    file = file_of(tmp_path, f"'{section}': {{ros__parameters: {{engine: torch}}}}")
    if applies:
        check_section(file, node)
        return
    with pytest.raises(ParameterError, match=node):
        check_section(file, node)


def test_a_file_for_other_nodes_only_is_refused_with_their_names(tmp_path):
    text = "a: {ros__parameters: {x: 1}}\nb: {ros__parameters: {x: 1}}\n"
    with pytest.raises(ParameterError, match="/a, /b"):
        read_parameters(file_of(tmp_path, text))
