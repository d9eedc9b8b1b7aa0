# SPDX-License-Identifier: Apache-2.0
"""Paths of the files of config/, for every kind of installation.

In a source tree and an editable install they are beside the package; pip and colcon install them in
`share/fusion_ros` of their prefix.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "fusion_ros"


def config_file(name: str) -> Path:
    """Return the path of the shipped file `config/NAME`, such as "fuse.yaml".

    Raises:
        FileNotFoundError: the file is in none of the folders, which the message lists.
    """
    places = list(dict.fromkeys(_config_folders()))
    for folder in places:
        if (folder / name).is_file():
            return folder / name
    searched = ", ".join(str(folder) for folder in places)
    raise FileNotFoundError(f"config/{name} of {PACKAGE} is not installed; searched: {searched}")


def _config_folders() -> Iterator[Path]:
    package = Path(__file__).resolve().parents[1]
    if (package.parent / "package.xml").is_file():
        yield package.parent / "config"
    # colcon: PREFIX/lib/python3.x/site-packages/fusion_ros, on some systems one level deeper
    for prefix in package.parents[2:6]:
        yield prefix / "share" / PACKAGE / "config"
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    for folder in (sys.prefix, *filter(None, prefixes)):
        yield Path(folder) / "share" / PACKAGE / "config"
