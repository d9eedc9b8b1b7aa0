# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile for camera images, set in the environment of processes that we start.

With Fast DDS's default transports, best-effort images over about 0.5 MB are lost between processes
(see config/fastdds_shm.xml). A process reads the profile when it creates its first participant, so
the launch files and commands set it in the environment before. A profile that the user has set
takes priority.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

from fusion_ros.files.shipped import config_file

PROFILE_NAME = "fastdds_shm.xml"
# Fast DDS 3 (Kilted and later) reads the first and warns about the second; Fast DDS 2 reads the
# second only.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
DISTRIBUTIONS_WITH_FAST_DDS_2 = frozenset({"humble", "iron", "jazzy"})


def users_profile(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable and the file of a profile that the user has set, or None.

    A variable that this Fast DDS does not read sets no profile.
    """
    for variable in PROFILE_VARIABLES[_has_fast_dds_2(environment) :]:
        if environment.get(variable):
            return variable, environment[variable]
    return None


def profile_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add to this environment; empty where the user has set a profile.

    Raises:
        FileNotFoundError: the shipped profile is not installed.
    """
    if users_profile(environment) is not None:
        return {}
    variable = PROFILE_VARIABLES[1 if _has_fast_dds_2(environment) else 0]
    return {variable: str(config_file(PROFILE_NAME))}


def with_profile(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the environment, for `subprocess.Popen(env=...)`, with a profile set."""
    return {**environment, **profile_settings(environment)}


def _has_fast_dds_2(environment: Mapping[str, str]) -> bool:
    if environment.get("ROS_DISTRO"):
        return environment["ROS_DISTRO"] in DISTRIBUTIONS_WITH_FAST_DDS_2
    try:  # wheels, which set no ROS_DISTRO
        importlib.metadata.version("ros-fastrtps")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
