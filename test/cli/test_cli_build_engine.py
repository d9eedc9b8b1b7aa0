# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros build-engine`: what it refuses, and what int8 is calibrated with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from fusion_ros.cli.build_engine import MOST_CALIBRATION_PAIRS, calibration_pairs
from fusion_ros.cli.main import main
from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.recordings.recording import RecordingError


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)
def test_without_tensorrt_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build-engine", "--cache", str(tmp_path)]) == 2
    assert "TensorRT is not installed" in capsys.readouterr().err


def test_int8_without_pictures_does_not_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build-engine", "--precision", "int8"]) == 2
    assert "--visible and --thermal, or --bag" in capsys.readouterr().err


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be built, in place of a build that needs TensorRT."""
    built: list[tuple[Any, ...]] = []

    class Engine:
        def __init__(self, weights: Any, *, device: str, precision: str, cache: Any) -> None:
            self.about = (weights.metadata.config.name, device, precision)

        def build(self, height: int, width: int, **_: Any) -> None:
            built.append((*self.about, width, height))

    monkeypatch.setattr("fusion_ros.engines.tensorrt_engine.TensorRtEngine", Engine)
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


def test_a_parameter_file_tells_what_to_build_and_options_win(
    tmp_path: Path, built: list[tuple[Any, ...]]
) -> None:
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
    ("line", "words"),
    [
        (["--set", "precision=int8"], "--visible and --thermal, or --bag"),
        (["--set", "precision=int3"], "precision"),
        (["--params", "/nowhere/robot.yaml"], "robot.yaml"),
    ],
)
def test_parameters_that_cannot_be_built_from_do_not_begin(
    line: list[str],
    words: str,
    built: list[tuple[Any, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["build-engine", *line]) == 2
    assert words in capsys.readouterr().err
    assert built == []


@pytest.mark.parametrize("size", ["640", "0x480", "640x", "axb"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["build-engine", "--size", size])
    assert end.value.code == 2


@pytest.mark.parametrize(("channels", "shape"), [(1, (24, 32)), (3, (24, 32, 3))])
def test_calibration_pictures_are_what_the_engine_gets(
    tmp_path: Path, channels: int, shape: tuple[int, ...]
) -> None:
    for name in ("vis", "ir"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "vis" / "a.png"), np.full((48, 64, 3), (0, 0, 200), np.uint8))
    counts = np.linspace(29_000, 31_000, 48 * 64).reshape(48, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "ir" / "a.png"), counts)
    ((visible, thermal),) = calibration_pairs(tmp_path / "vis", tmp_path / "ir", (24, 32), channels)
    assert visible.shape == shape
    assert visible.dtype == thermal.dtype == np.uint8
    assert thermal.shape == (24, 32)
    assert np.ptp(thermal) > 200
    # Red of 200: first of RGB, or a luma of 0.299 * 200 = 60 by hand.
    assert visible[0, 0].tolist() == ([200, 0, 0] if channels == 3 else 60)


def test_a_bag_calibrates_as_well(tmp_path: Path) -> None:
    pytest.importorskip("rosbags", reason="reading bags needs rosbags")
    from fusion_ros.recordings.bags.writer import BagWriter

    red = PixelFrame(np.full((48, 64, 3), (200, 0, 0), np.uint8), ChannelOrder.RGB)
    counts = np.linspace(29_000, 31_000, 24 * 32).reshape(24, 32).astype(np.uint16)
    with BagWriter(tmp_path / "bag") as bag:
        for n in range(3):
            stamp_ns = 10**18 + n * 33_333_333
            bag.image("/front/rgb", red, stamp_ns=stamp_ns)
            bag.image("/front/ir", PixelFrame(counts, ChannelOrder.GREY), stamp_ns=stamp_ns)
    topics = {"visible_topic": "/front/rgb", "thermal_topic": "/front/ir"}
    pairs = calibration_pairs(tmp_path / "bag", None, (24, 32), 3, **topics)
    assert len(pairs) == 3
    for visible, thermal in pairs:
        assert (visible == (200, 0, 0)).all()
        assert (thermal.shape, thermal.dtype) == ((24, 32), np.uint8)
        assert np.ptp(thermal) > 200


def test_a_large_folder_is_thinned_out_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusion_ros.cli.build_engine.MOST_CALIBRATION_PAIRS", 4)
    assert MOST_CALIBRATION_PAIRS > 4
    for name in ("vis", "ir"):
        (tmp_path / name).mkdir()
        for index in range(10):
            level = np.full((8, 8), index * 20, np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), level)
    chosen = calibration_pairs(tmp_path / "vis", tmp_path / "ir", (8, 8), 1)
    assert [int(visible[0, 0]) for visible, _ in chosen] == [0, 60, 120, 180]


def test_folders_without_pairs_are_refused(tmp_path: Path) -> None:
    for name in ("vis", "ir"):
        (tmp_path / name).mkdir()
    with pytest.raises(RecordingError, match="no pictures"):
        calibration_pairs(tmp_path / "vis", tmp_path / "ir", (8, 8), 1)
