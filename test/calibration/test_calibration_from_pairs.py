# SPDX-License-Identifier: Apache-2.0
"""Homography from pairs: recovered with a good verdict, or doubted."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.calibration.files import load_calibration
from fusion_ros.calibration.from_pairs.estimate import Trust, estimate
from fusion_ros.cli.main import main
from fusion_ros.registration.geometry import GeometryError


def scene(seed: int, height: int = 300, width: int = 420) -> np.ndarray:
    """Return boxes and discs on a gradient."""
    rng = np.random.default_rng(seed)
    image = np.tile(np.linspace(40, 120, width), (height, 1)).astype(np.uint8)
    for n in range(70):
        x, y = (int(v) for v in rng.integers(0, [width, height]))
        w, h = (int(v) for v in rng.integers(10, 70, 2))
        if n % 3:
            cv2.rectangle(image, (x, y), (x + w, y + h), int(rng.integers(0, 256)), -1)
        else:
            cv2.circle(image, (x, y), w // 2, int(rng.integers(0, 256)), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def as_thermal(image: np.ndarray, seed: int) -> np.ndarray:
    """Return the same outlines in other greys, some missing, as counts with noise."""
    rng = np.random.default_rng(seed)
    table = cv2.GaussianBlur(rng.uniform(0, 255, (1, 256)), (0, 0), 12)[0]
    table = (table - table.min()) / np.ptp(table) * 900
    felt = cv2.GaussianBlur(table[image], (0, 0), 1.2)
    return (7000 + felt + rng.normal(0, 6, felt.shape)).astype(np.uint16)


# Fewer than usual, to save time.
SCALES = np.geomspace(0.84, 1.2, 9).tolist()
RANGE = ("--scale-range", "0.84", "1.2")
MATRIX = np.array([[2.1, 0.05, 14.0], [-0.04, 2.15, -22.0], [4e-5, -3e-5, 1.0]])


def rig_pairs(count: int, matrix: np.ndarray = MATRIX) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs 420x300 and 200x150; `matrix` maps thermal to visible pixels."""
    pairs = []
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    for seed in range(count):
        visible = scene(seed)
        thermal = as_thermal(visible, seed)
        thermal = cv2.warpPerspective(
            thermal, matrix, (200, 150), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        pairs.append((visible, thermal))
    return pairs


def corner_error_px(found: np.ndarray, right: np.ndarray) -> float:
    corners = np.array([[[0, 0], [199, 0], [199, 149], [0, 149.0]]])
    a, b = (cv2.perspectiveTransform(corners, m)[0] for m in (found, right))
    return float(np.linalg.norm(a - b, axis=1).mean())


def test_known_homography_is_found_across_sizes_and_greys() -> None:
    result = estimate(rig_pairs(6), scales=SCALES, exact_distance_m=12.0)
    assert corner_error_px(result.calibration.matrix, MATRIX) < 1.5
    assert result.verdict is Trust.GOOD
    assert result.reasons == ()
    assert result.calibration.exact_distance_m == 12.0
    assert (result.calibration.thermal_size.width, result.calibration.visible_size.width) == (
        200,
        420,
    )


def test_square_thermal_pixels_are_found_across_aspect_ratios() -> None:
    matrix = np.array([[1.5, 0, 60], [0, 1.5, 37], [0, 0, 1]])  # stretching would be 2.1 and 2.0
    narrow = [(v, t[:, 30:170].copy()) for v, t in rig_pairs(5, matrix)]
    matrix = matrix @ np.array([[1, 0, 30], [0, 1, 0], [0, 0, 1]])
    result = estimate(narrow, scales=np.geomspace(0.4, 1.2, 24).tolist())
    corners = np.array([[[0, 0], [139, 0], [139, 149], [0, 149.0]]])
    a, b = (cv2.perspectiveTransform(corners, m)[0] for m in (result.calibration.matrix, matrix))
    assert np.linalg.norm(a - b, axis=1).mean() < 3.0


def test_unrelated_images_are_never_good() -> None:
    pairs = rig_pairs(8)
    strangers = [(pairs[n][0], pairs[(n + 3) % 8][1]) for n in range(8)]
    result = estimate(strangers, scales=SCALES)
    assert result.verdict is not Trust.GOOD
    assert result.reasons


def test_single_pair_is_never_good() -> None:
    result = estimate(rig_pairs(1), scales=SCALES)
    assert result.verdict is Trust.DOUBTFUL
    assert result.pairs_used == 1


@pytest.mark.parametrize("grey", [0, 128])
def test_empty_images_fail(grey: int) -> None:
    flat = np.full((150, 200), grey, np.uint8)
    result = estimate([(flat, flat)] * 3, scales=SCALES)
    assert result.verdict is Trust.FAILED
    assert result.score < 0.03


def test_no_pairs_and_changing_sizes_are_refused() -> None:
    with pytest.raises(GeometryError, match="pairs"):
        estimate([])
    first = rig_pairs(1)[0]
    with pytest.raises(GeometryError, match=r"pair 1 is 420 x 300 and 100 x 75.*200 x 150"):
        estimate([first, (first[0], np.zeros((75, 100), np.uint16))])


def run(*arguments: str) -> int:
    return main(["calibrate", *arguments])


def written(folder: Path, pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[str, str]:
    for name in ("vis", "ir"):
        (folder / name).mkdir()
    for n, (visible, thermal) in enumerate(pairs):
        cv2.imwrite(str(folder / "vis" / f"{n:03d}.png"), visible)
        cv2.imwrite(str(folder / "ir" / f"{n:03d}.png"), thermal)
    return str(folder / "vis"), str(folder / "ir")


def test_command_writes_a_file_figures_and_overlays(tmp_path: Path, capsys) -> None:
    visible, thermal = written(tmp_path, rig_pairs(5))
    out, figures, images = (tmp_path / n for n in ("rig.yaml", "figures.json", "check"))
    code = run(
        "--from-pairs", "--visible", visible, "--thermal", thermal, "--out", str(out),
        "--json", str(figures), "--pictures", str(images), *RANGE,
    )  # fmt: skip
    assert code == 0
    assert "verdict: good" in capsys.readouterr().out
    assert corner_error_px(load_calibration(out).matrix, MATRIX) < 1.5
    assert json.loads(figures.read_text())["verdict"] == "good"
    overlay = cv2.imread(str(next(images.glob("*.png"))))
    assert overlay.shape == (300, 840, 3)
    assert run("--show", str(out)) == 0
    assert "200 x 150" in capsys.readouterr().out


def test_failure_writes_no_calibration_and_has_an_exit_code(tmp_path: Path) -> None:
    flat = np.full((150, 200), 9, np.uint8)
    visible, thermal = written(tmp_path, [(flat, flat)] * 3)
    out = tmp_path / "rig.yaml"
    arguments = ("--from-pairs", "--visible", visible, "--thermal", thermal, "--out", str(out))
    assert run(*arguments, *RANGE) == 3
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "token"),
    [
        (["--from-pairs", "--out", "x.yaml"], "SOURCE"),
        (["--from-pairs", "--visible", "a"], "--out"),
        (["--from-pairs", "gone.png", "--out", "x"], "gone.png"),
        (["--from-pairs", "--visible", "a", "--thermal", "b", "--out", "x",
          "--scale-range", "2", "1"], "--scale-range"),
        (["--board", "circles", "--out", "x"], "--columns"),
        (["--show", "gone.yaml"], "gone.yaml"),
        (["--import-camera-info", "a", "b", "--out", "x"], "--extrinsic"),
        (["--from-pairs", "gone.mcap", "--out", "x"], "gone.mcap"),
    ],
)  # fmt: skip
def test_missing_arguments_are_named(arguments: list[str], token: str, capsys) -> None:
    assert run(*arguments) == 2
    assert token in capsys.readouterr().err
