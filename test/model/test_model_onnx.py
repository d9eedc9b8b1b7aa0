# SPDX-License-Identifier: Apache-2.0
"""ONNX files: equal to the weights beside them, complete, and never those of other weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion_ros.engines.parity import compare, golden_pair, is_good_enough
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.config import PRESETS
from fusion_ros.model.onnx_file import is_sealed_for, onnx_path, read_onnx, sealed
from fusion_ros.model.weights import WeightsError, load_weights, shipped_weights


@pytest.mark.parametrize("preset", PRESETS)
def test_the_shipped_onnx_computes_the_image_of_the_shipped_weights(preset: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    weights = load_weights(shipped_weights(preset))
    visible, thermal = golden_pair(95, 130, weights.metadata.config.visible_channels)
    pair = [image.reshape(1, 95, 130, -1) for image in (visible, thermal)]
    session = onnxruntime.InferenceSession(read_onnx(weights), providers=["CPUExecutionProvider"])
    (got,) = session.run(["fused"], dict(zip(("visible", "thermal"), pair, strict=True)))
    with torch.inference_mode():
        wanted = ByteNetwork(weights.net).eval()(*map(torch.from_numpy, pair)).numpy()
    assert np.ptp(wanted) > 150
    parity = compare(got, wanted)
    assert is_good_enough(parity, "float32"), str(parity)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a copy of the shipped weights of `compact` with their ONNX file."""
    source = shipped_weights("compact")
    for path in (source, onnx_path(source)):
        shutil.copy(path, tmp_path)
    return tmp_path / source.name


@pytest.mark.parametrize("at", [100, -200, -100, -1])
def test_a_changed_byte_is_noticed(copied: Path, at: int) -> None:
    data = bytearray(onnx_path(copied).read_bytes())
    data[at] ^= 1
    onnx_path(copied).write_bytes(data)
    with pytest.raises(WeightsError, match=onnx_path(copied).name):
        read_onnx(load_weights(copied))


@pytest.mark.parametrize("kept", [0, 10, 170, -1])
def test_a_truncated_file_is_noticed(copied: Path, kept: int) -> None:
    onnx_path(copied).write_bytes(onnx_path(copied).read_bytes()[:kept])
    with pytest.raises(WeightsError, match=onnx_path(copied).name):
        read_onnx(load_weights(copied))


def test_the_file_of_other_weights_is_refused(copied: Path) -> None:
    shutil.copy(onnx_path(shipped_weights("paper")), onnx_path(copied))
    with pytest.raises(WeightsError, match=onnx_path(copied).name):
        read_onnx(load_weights(copied))


def test_weights_without_a_file_beside_them_have_none(copied: Path) -> None:
    onnx_path(copied).unlink()
    assert read_onnx(load_weights(copied)) is None


def test_hashes_are_metadata_of_the_onnx_model() -> None:
    onnx = pytest.importorskip("onnx")
    weights = load_weights(shipped_weights("compact"))
    model = onnx.load_from_string(read_onnx(weights))
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found["weights_sha256"] == weights.metadata.sha256
    assert len(found["content_sha256"]) == 64


def test_an_empty_model_can_be_sealed() -> None:
    assert is_sealed_for(sealed(b"", "ab" * 32), "ab" * 32)
    assert not is_sealed_for(b"", "ab" * 32)
