# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay` as a user runs it, and its result files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fusion_ros.cli.main import main


def run(*arguments: object) -> int:
    return main(["replay", *(str(argument) for argument in arguments)])


def read(folder: Path, name: str = "summary.json") -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def quick(bag: Path, out: Path, *more: object) -> int:
    return run(bag, "--out", out, "--engine", "torch", "--measures", "qw", "--every", 12, *more)
