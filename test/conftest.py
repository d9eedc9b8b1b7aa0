# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all test packages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fusion_ros.engines.process import disable_openvino_telemetry

REPOSITORY = Path(__file__).resolve().parents[1]

# How fast a machine is, or how busy, is no property that a test should find.
settings.register_profile("fusion_ros", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fusion_ros")


@pytest.fixture(scope="session", autouse=True)
def _engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Isolate the engine cache from the user's own, for child processes too."""
    disable_openvino_telemetry()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSION_ROS_CACHE", str(tmp_path_factory.mktemp("engine_cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real visible/thermal material, which is not part of the repository."""
    folder = Path(os.environ.get("FUSION_ROS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "tno21").is_dir():
        pytest.skip(f"no real data at {folder}: set FUSION_ROS_DATA to a folder that holds tno21/")
    return folder
