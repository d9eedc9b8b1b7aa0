# SPDX-License-Identifier: Apache-2.0
"""Files of a run: config, environment, revision, curves, checkpoints, weights."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch
import yaml

from fusion_ros.files.reading import MalformedFileError, parse_yaml, read_bytes
from fusion_ros.files.writing import write_json, write_text
from training.config import ConfigError, RunConfig

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
WEIGHTS = "weights.safetensors"
BEST = "best.safetensors"

# Keys that may differ between a run and its continuation.
_FREE_TO_CHANGE = (
    "run_folder",
    "pack_folder",
    "checkpoint_every_s",
    "threads",
    "accelerator",
    "devices",
    "nodes",
    "image_count",
    "loggers",
    "compile",
    "validate_every",
    "steps",
    "patience",
)


def open_run_folder(config: RunConfig) -> Path:
    """Create or re-open the folder; a config that differs from that of its run is refused."""
    folder = Path(config.run_folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / CONFIG
    values = config.as_dict()
    if stored.is_file() and (folder / CHECKPOINT).is_file():
        try:
            before = parse_yaml(read_bytes(stored))
        except MalformedFileError as error:
            raise ConfigError(f"{stored}: {error}; use another run_folder") from error
        if not isinstance(before, dict):
            raise ConfigError(f"{stored} is no config of a run; use another run_folder")
        for key, value in values.items():
            if key not in _FREE_TO_CHANGE and before.get(key) != value:
                raise ConfigError(
                    f"{folder} holds a run with {key} = {before.get(key)!r}, requested {value!r}; "
                    "use another run_folder or the same config"
                )
    write_text(stored, yaml.safe_dump(values, sort_keys=False))
    write_json(folder / ENVIRONMENT, environment())
    return folder


def environment() -> dict[str, Any]:
    """Return versions and machine of the run, for reproduction."""
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "git_revision": _git("rev-parse", "HEAD"),
        "git_changed_files": len(_git("status", "--porcelain").splitlines()),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def append_metrics(folder: Path, step: int, values: dict[str, float]) -> None:
    """Append one line to the curves."""
    with (folder / METRICS).open("a") as file:
        file.write(json.dumps({"step": step, **values}) + "\n")
