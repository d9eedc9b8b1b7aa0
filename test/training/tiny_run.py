# SPDX-License-Identifier: Apache-2.0
"""A run small enough for a test: ten steps of `compact` on four made-up pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml


def write_pairs(root: Path, count: int = 4, height: int = 72, width: int = 80) -> Path:
    """Smooth scenes with a warm blob, as ``vis/0000.png`` and ``ir/0000.png``."""
    y, x = np.mgrid[0:height, 0:width]
    for number in range(count):
        random = np.random.default_rng(number)
        visible = 120 + 80 * np.sin(x / (5.0 + number)) * np.cos(y / 6.0)
        spot = random.uniform(20, 50, 2)
        thermal = 40 + 180 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 80)
        for folder, picture in (("vis", visible), ("ir", thermal)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            noisy = picture + random.normal(0, 3, picture.shape)
            path = str(root / folder / f"{number:04d}.png")
            assert cv2.imwrite(path, noisy.clip(0, 255).astype(np.uint8))
    return root


def write_config(folder: Path, **changes: Any) -> Path:
    """A config for those pairs; ``changes`` are laid over it."""
    pairs = write_pairs(folder / "pairs")
    values: dict[str, Any] = {
        "preset": "compact",
        "run_folder": str(folder / "run"),
        "pack_folder": str(folder / "packs"),
        "train": [{"kind": "folders", "root": str(pairs)}],
        "steps": 10,
        "batch": 2,
        "crop": [32, 64],
        "accelerator": "cpu",
        "threads": 1,
        "validate_every": 1000,
        "warm_up_steps": 2,
        "loss": {"qw": 1.0, "qe": 1.0, "mse": 0.5, "excess_gradient": 1.0, "overshoot": 1.0},
        "augmentation": {"noise_chance": 0.5, "blur_chance": 0.3, "shift_pixels": 1.0},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}))
    return path
