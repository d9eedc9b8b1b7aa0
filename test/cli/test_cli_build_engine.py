# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros build-engine`: built engines and refused arguments."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fusion_ros.cli.main import main


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)
def test_without_tensorrt_the_command_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert main(["build-engine", "--cache", str(tmp_path)]) == 2
    assert "TensorRT" in capsys.readouterr().err


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Record the builds in place of TensorRT."""
    built: list[tuple[Any, ...]] = []

    class Engine:
        def __init__(self, weights: Any, *, device: str, precision: str, cache: Any) -> None:
            self.about = (weights.metadata.config.name, device, precision)

        def build(self, height: int, width: int, **_: Any) -> None:
            built.append((*self.about, width, height))

    monkeypatch.setattr("fusion_ros.engines.tensorrt.engine.TensorRtEngine", Engine)
    monkeypatch.setattr(
        "fusion_ros.engines.choice.choose",
        lambda name, device: SimpleNamespace(device={"auto": "cuda"}.get(device, device)),
    )
    monkeypatch.setattr("fusion_ros.model.weights.shipped_weights", lambda name: name)
    monkeypatch.setattr(
        "fusion_ros.model.weights.load_weights",
        lambda name: SimpleNamespace(
            metadata=SimpleNamespace(config=SimpleNamespace(name=str(name)))
        ),
    )
    return built


def test_without_options_the_engine_of_the_default_node_is_built(
    built: list[tuple[Any, ...]],
) -> None:
    assert main(["build-engine"]) == 0
    assert built == [("compact", "cuda", "auto", 640, 480)]


def test_options_override_the_parameter_file(tmp_path: Path, built: list[tuple[Any, ...]]) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    weights: /opt/mine.safetensors\n    precision: float32\n"
        "    warm_up_width: 1280\n    warm_up_height: 1024\n    device: cuda\n"
    )
    from_file = ["build-engine", "--params", str(file)]

    assert main(from_file) == 0
    assert main([*from_file, "--set", "warm_up_width=320", "--set", 'weights="b.safetensors"']) == 0
    assert main([*from_file, "--preset", "paper", "--precision", "float16", "--size", "64x48"]) == 0

    assert built == [
        ("/opt/mine.safetensors", "cuda", "float32", 1280, 1024),
        ("b.safetensors", "cuda", "float32", 320, 1024),
        ("paper", "cuda", "float16", 64, 48),
    ]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (["--set", "precision=int4"], "precision"),
        (["--set", "device=none"], "device"),
        (["--params", "/nowhere/robot.yaml"], "robot.yaml"),
    ],
)
def test_unusable_parameters_are_refused(
    line: list[str],
    named: str,
    built: list[tuple[Any, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["build-engine", *line]) == 2
    assert named in capsys.readouterr().err
    assert built == []


@pytest.mark.parametrize("size", ["640", "0x480", "640x", "axb"])
def test_a_malformed_size_is_refused(size: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["build-engine", "--size", size])
    assert end.value.code == 2
