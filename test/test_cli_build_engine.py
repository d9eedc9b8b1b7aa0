# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros build-engine`: what it refuses, and what int8 is calibrated with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.cli.build_engine import MOST_CALIBRATION_PAIRS, calibration_pairs
from fusion_ros.cli.main import main
from fusion_ros.cli.pictures import InputError


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
    assert "--visible and --thermal" in capsys.readouterr().err


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
    with pytest.raises(InputError, match="no pairs of pictures"):
        calibration_pairs(tmp_path / "vis", tmp_path / "ir", (8, 8), 1)
