# SPDX-License-Identifier: Apache-2.0
"""A healthy bag, and two replays of it with the real network."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_faults import write_bag
from whole_runs import quick


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags")
    return write_bag(folder / "walk", count=24)


@pytest.fixture(scope="session")
def two_runs(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folders = tuple(tmp_path_factory.mktemp(name) for name in ("first", "second"))
    for folder in folders:
        assert quick(bag, folder) == 0
    return folders
