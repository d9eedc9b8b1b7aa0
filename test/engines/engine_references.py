# SPDX-License-Identifier: Apache-2.0
"""Reference images of engines: the trained network in float64, without rewrites.

Images are padded by NumPy. Every installed CPU engine is compared with them.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import Engine
from fusion_ros.model.config import PRESETS, FusionNetConfig
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import LoadedWeights, load_weights, save_weights

SMALL_PAPER = dataclasses.replace(
    PRESETS["paper"], widths=(8, 16, 32), decoder_groups=4, head_channels=8
)
CPU_ENGINES = [
    "torch",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
        ),
    ),
]


def weights_of(config: FusionNetConfig, folder: Path) -> LoadedWeights:
    torch.manual_seed(21)
    net = FusionNet(config)
    path = folder / "net.safetensors"
    save_weights(path, net, training_data="noise", metrics={}, version="test")
    return load_weights(path)


_made: dict[tuple[str, str], Engine] = {}


def made_once(name: str, weights: LoadedWeights) -> Engine:
    """Return a shared engine for tests that do not close it; OpenVINO converts for seconds."""
    key = name, weights.metadata.sha256
    if key not in _made:
        _made[key] = create_engine(weights, name=name, device="cpu", precision="float32")
    return _made[key]


def images(height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return visible and thermal images of smooth shapes with noise over all grey levels."""
    generator = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[0:height, 0:width]
    thermal = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < height * width / 9, 230, 40)
    visible = (x * 255 / max(width - 1, 1))[..., None] * np.ones(channels)
    noise = generator.normal(0, 10, (height, width, channels + 1))
    visible = np.clip(visible + noise[..., :channels], 0, 255).astype(np.uint8)
    thermal = np.clip(thermal + noise[..., channels], 0, 255).astype(np.uint8)
    return (visible[..., 0] if channels == 1 else visible), thermal


def reference(weights: LoadedWeights, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """Return the expected float64 grey levels before rounding."""
    config = weights.metadata.config
    height, width = thermal.shape
    grow = ((0, -height % config.stride), (0, -width % config.stride))

    def planes(image: np.ndarray) -> torch.Tensor:
        scaled = image.reshape(height, width, -1) / 127.5 - 1.0
        grown = [
            np.pad(
                scaled[..., c], grow, mode="edge" if config.padding == "replicate" else "constant"
            )
            for c in range(scaled.shape[2])
        ]
        return torch.from_numpy(np.stack(grown))[None]

    net = weights.net.double()
    try:
        with torch.inference_mode():
            fused = net(planes(visible), planes(thermal))[0].numpy()
    finally:
        net.float()
    levels = (fused[:, :height, :width] + 1.0) * 127.5
    return levels[0] if config.output_channels == 1 else levels.transpose(1, 2, 0)


def assert_same_image(got: np.ndarray, levels: np.ndarray) -> None:
    assert got.dtype == np.uint8
    assert got.shape == levels.shape
    assert np.ptp(levels) > 20, "a uniform reference makes the comparison meaningless"
    # Rounding to the nearest level is off by half a level at most; float32 adds a little.
    assert np.abs(got - levels).max() < 0.51
