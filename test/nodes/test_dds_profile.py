# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile: found, set, and never in the way of the user's own."""

from __future__ import annotations

import importlib.metadata
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from fusion_ros.files import shipped
from fusion_ros.nodes.runtime.dds_profile import (
    PROFILE_VARIABLES,
    profile_settings,
    users_profile,
    with_profile,
)

NAMESPACE = {"dds": "http://www.eprosima.com"}


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [
        ("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("lyrical", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_profile_is_set_for_each_distribution(distribution: str, variable: str) -> None:
    given = {"HOME": "/home/someone", "ROS_DISTRO": distribution}
    environment = with_profile(given)
    assert set(environment) == {*given, variable}  # Fast DDS 3 warns about the other one
    assert Path(environment[variable]).name == "fastdds_shm.xml"
    assert Path(environment[variable]).is_file()


def test_wheels_without_a_distribution_get_the_variable_of_their_fast_dds() -> None:
    wheels = {item.metadata["Name"] for item in importlib.metadata.distributions()}
    expected = {"ros-fastrtps": PROFILE_VARIABLES[1], "ros-fastdds": PROFILE_VARIABLES[0]}
    variables = {expected[name] for name in wheels & set(expected)}
    if len(variables) != 1:
        pytest.skip("not on the wheels of one distribution")
    assert set(profile_settings({})) == variables


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [("jazzy", PROFILE_VARIABLES[1]), *(("kilted", name) for name in PROFILE_VARIABLES)],
)
def test_profile_of_the_user_has_priority(distribution: str, variable: str) -> None:
    theirs = {"ROS_DISTRO": distribution, variable: "/etc/their.xml"}

    assert profile_settings(theirs) == {}
    assert with_profile(theirs) == theirs
    assert users_profile(theirs) == (variable, "/etc/their.xml")


def test_a_variable_that_fast_dds_2_does_not_read_sets_no_profile() -> None:
    theirs = {"ROS_DISTRO": "jazzy", PROFILE_VARIABLES[0]: "/etc/their.xml"}
    assert set(profile_settings(theirs)) == {PROFILE_VARIABLES[1]}


def test_empty_variable_is_ignored() -> None:
    assert users_profile({PROFILE_VARIABLES[0]: ""}) is None


def test_profile_has_shared_memory_and_udp() -> None:
    root = ElementTree.parse(shipped.config_file("fastdds_shm.xml")).getroot()
    transports = {
        transport.findtext("dds:type", namespaces=NAMESPACE): transport
        for transport in root.iterfind(".//dds:transport_descriptor", NAMESPACE)
    }
    used = [node.text for node in root.iterfind(".//dds:userTransports/*", NAMESPACE)]
    declared = [
        transport.findtext("dds:transport_id", namespaces=NAMESPACE)
        for transport in transports.values()
    ]

    assert set(transports) == {"SHM", "UDPv4"}
    assert used == declared
    segment = int(transports["SHM"].findtext("dds:segment_size", "0", NAMESPACE))
    assert segment >= 4 * 1920 * 1080 * 3


def test_lease_of_a_dead_reader_ends_before_its_port_counts_as_broken() -> None:
    root = ElementTree.parse(shipped.config_file("fastdds_shm.xml")).getroot()
    seconds = {
        name: float(root.findtext(f".//dds:{name}/dds:sec", "nan", NAMESPACE))
        for name in ("leaseDuration", "leaseAnnouncement")
    }
    broken_after_ms = float(root.findtext(".//dds:healthy_check_timeout_ms", "nan", NAMESPACE))

    assert broken_after_ms > 1000 * seconds["leaseDuration"]
    assert seconds["leaseDuration"] >= 3 * seconds["leaseAnnouncement"]


def test_error_for_a_missing_file_names_the_searched_folders() -> None:
    with pytest.raises(FileNotFoundError, match=r"config/no_such\.yaml .*share/fusion_ros/config"):
        shipped.config_file("no_such.yaml")


def test_a_colcon_prefix_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "share" / "fusion_ros" / "config" / "only_there.yaml"
    installed.parent.mkdir(parents=True)
    installed.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")

    assert shipped.config_file("only_there.yaml") == installed
