# SPDX-License-Identifier: Apache-2.0
"""The mean of weights files: by hand on its tensors, and what has no mean is named."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import load_weights, save_weights
from training.average import main


@pytest.fixture
def files(tmp_path):
    paths = []
    for name in ("a", "b"):
        paths.append(tmp_path / f"{name}.safetensors")
        net = FusionNet(PRESETS["compact"])
        save_weights(paths[-1], net, training_data=f"set {name}", metrics={"qw": 1}, version=name)
    return paths


def test_each_tensor_is_the_weighted_mean(files, tmp_path) -> None:
    out = tmp_path / "absent" / "mean.safetensors"
    command = ["--weights", f"0.75={files[0]}", f"0.25={files[1]}", "--out", str(out)]
    assert main(command) == 0
    a, b = (load_weights(path).net.state_dict() for path in files)
    mean = load_weights(out)
    for name, tensor in mean.net.state_dict().items():
        torch.testing.assert_close(tensor, 0.75 * a[name] + 0.25 * b[name])
    assert mean.metadata.training_data == "set a; set b"
    assert mean.metadata.version == "0.75 x a + 0.25 x b"
    assert mean.metadata.metrics == {}, "the mean was not measured"


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (("0.5=", "0.6="), r"add up to 1.1"),
        (("half=", "0.5="), r"half=.*; allowed is SHARE=FILE"),
        (("", "0.5="), r"allowed is SHARE=FILE"),
    ],
)
def test_wrong_shares_are_named(files, tmp_path, capsys, shares, message) -> None:
    weights = [f"{share}{path}" for share, path in zip(shares, files, strict=True)]
    assert main(["--weights", *weights, "--out", str(tmp_path / "mean.safetensors")]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_other_shapes_and_missing_files_are_named(files, tmp_path, capsys) -> None:
    other = tmp_path / "other.safetensors"
    config = replace(PRESETS["compact"], widths=(4, 8))
    save_weights(other, FusionNet(config), training_data="", metrics={}, version="")
    for path, message in ((other, "shapes differ"), ("absent.st", "absent.st does not exist")):
        command = ["--weights", f"0.5={files[0]}", f"0.5={path}", "--out", str(tmp_path / "m")]
        assert main(command) == 2
        assert message in capsys.readouterr().err


def test_a_share_that_is_no_number_writes_nothing(files, tmp_path) -> None:
    out = tmp_path / "mean.safetensors"
    assert main(["--weights", f"nan={files[0]}", "--out", str(out)]) == 2
    assert not out.exists()
