# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all test packages."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fusion_ros.engines.process import leave_out_openvino_converter

REPOSITORY = Path(__file__).resolve().parents[1]

# How fast a machine is, or how busy, is no property that a test should find.
settings.register_profile("fusion_ros", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fusion_ros")

# A shell ignores SIGINT for what it runs in the background, and programs started here would, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Skip modules and tests that need PyTorch where it is not installed.

    `test_without_torch.py` states what must work without it.
    """
    return _Module.from_parent(parent, path=module_path)


class _Module(pytest.Module):
    def _getobj(self) -> object:
        try:
            return super()._getobj()
        except self.CollectError as error:
            if _WITHOUT_TORCH and "No module named 'torch" in str(error):
                pytest.skip("PyTorch is not installed", allow_module_level=True)
            raise


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Iterator[None]:
    """See `pytest_pycollect_makemodule`."""
    return (yield from _skipping_without_torch())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """See `pytest_pycollect_makemodule`."""
    return (yield from _skipping_without_torch())


def _skipping_without_torch() -> Iterator[None]:
    try:
        return (yield)
    except ImportError as error:
        if _WITHOUT_TORCH and "No module named 'torch" in str(error):
            pytest.skip("PyTorch is not installed")
        raise


_WITHOUT_TORCH = importlib.util.find_spec("torch") is None
# The replay computes fusion measures with PyTorch.
collect_ignore = ["replay"] if _WITHOUT_TORCH else []


@pytest.fixture(scope="session", autouse=True)
def _engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Isolate the engine cache from the user's own, for child processes too."""
    leave_out_openvino_converter()
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
