# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile that camera images need, put into the environment of processes we start.

With Fast DDS's default transports, best-effort images over about 0.5 MB are lost between processes
(see config/fastdds_shm.xml). A process reads the profile when it makes its first participant, so it
has to be in the environment before that: the launch files and every start of a process of ours see
to it. A profile of the user's own is never replaced.
"""

from __future__ import annotations

from collections.abc import Mapping

from fusion_ros.shipped_files import config_file

PROFILE_NAME = "fastdds_shm.xml"
# Fast DDS 3 (Kilted and later) reads the first and warns about the second; Fast DDS 2 reads the
# second only.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
DISTRIBUTIONS_WITH_FAST_DDS_2 = frozenset({"humble", "iron", "jazzy"})


def users_profile(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable and the file by which the user chose a profile of their own, or None."""
    for variable in PROFILE_VARIABLES:
        if environment.get(variable):
            return variable, environment[variable]
    return None


def profile_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to this environment; empty where the user set a profile.

    Raises:
        FileNotFoundError: the shipped profile is not installed.
    """
    if users_profile(environment) is not None:
        return {}
    fast_dds_2 = environment.get("ROS_DISTRO", "") in DISTRIBUTIONS_WITH_FAST_DDS_2
    variable = PROFILE_VARIABLES[1 if fast_dds_2 else 0]
    return {variable: str(config_file(PROFILE_NAME))}


def with_profile(environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of the environment, as for `subprocess.Popen(env=...)`, in which a profile is set."""
    return {**environment, **profile_settings(environment)}
