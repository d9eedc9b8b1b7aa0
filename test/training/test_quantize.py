# SPDX-License-Identifier: Apache-2.0
"""8-bit files: which pairs they are made from, what is refused, and their images."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.engines.parity import compare
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.onnx_file import int8_path
from fusion_ros.model.weights import load_weights, save_weights
from training.data.pairs import DataSetError
from training.quantize import main, spread_pairs


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder of nine pairs; the grey level of pair n is 20 n."""
    for name, channels in (("vis", 3), ("ir", 1)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(9):
            image = np.full((64, 96, channels), 20 * number, np.uint8)
            cv2.circle(image, (30, 30), 12, [250 - number] * channels, -1)
            cv2.imwrite(str(tmp_path / "data" / name / f"{number}.png"), image)
    return tmp_path / "data"


def weights_of(preset: str, path: Path) -> Path:
    torch.manual_seed(3)
    save_weights(path, FusionNet(PRESETS[preset]), training_data="", metrics={}, version="")
    return path


def test_pairs_are_spread_evenly_over_each_set(data: Path) -> None:
    pairs = spread_pairs([f"folders={data}", f"folders={data}"], None, 6)
    assert [int(pair["thermal"][0, 0, 0, 0]) for pair in pairs] == [0, 80, 160] * 2
    assert {image.shape for pair in pairs for image in pair.values()} == {(1, 64, 96, 1)}


@pytest.mark.parametrize("text", ["data", "tno={data}", "nothing={data}"])
def test_other_data_are_refused(data: Path, text: str) -> None:
    (data / "vis").rename(data / "visible")
    with pytest.raises(DataSetError):
        spread_pairs([text.format(data=data)], None, 6)


@pytest.mark.skipif(importlib.util.find_spec("nncf") is not None, reason="NNCF is installed")
def test_without_nncf_the_extra_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = weights_of("compact", tmp_path / "own.safetensors")
    assert main(["--weights", str(weights), "--data", f"folders={data}"]) == 2
    assert "[quantize]" in capsys.readouterr().err
    assert not int8_path(weights).exists()


class TestWithNncf:
    @pytest.fixture(autouse=True)
    def nncf(self) -> None:
        pytest.importorskip("nncf")

    def test_the_file_runs_and_its_image_is_near_that_of_float32(
        self, data: Path, tmp_path: Path
    ) -> None:
        from fusion_ros.engines.openvino_engine import OpenVinoEngine

        weights = weights_of("compact", tmp_path / "own.safetensors")
        assert main(["--weights", str(weights), "--data", f"folders={data}", "--pairs", "9"]) == 0
        loaded = load_weights(weights)
        images = spread_pairs([f"folders={data}"], None, 3)[1]
        pair = [images[name][0, :, :, 0] for name in ("visible", "thermal")]
        got, wanted = (
            OpenVinoEngine(loaded, precision=name).infer(*pair) for name in ("int8", "float32")
        )
        assert np.ptp(wanted) > 50
        assert compare(got, wanted).mean_error < 2

    def test_another_layout_is_refused(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        weights = weights_of("paper", tmp_path / "own.safetensors")
        assert main(["--weights", str(weights), "--data", f"folders={data}"]) == 2
        assert "'blend'" in capsys.readouterr().err
