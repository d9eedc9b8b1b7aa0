# SPDX-License-Identifier: Apache-2.0
"""The homography from pairs: recovered where it can be, doubted where it cannot."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.calibration.files import load_calibration
from fusion_ros.calibration.from_pairs.estimate import Verdict, estimate
from fusion_ros.cli import calibrate
from fusion_ros.registration.geometry import GeometryError
from fusion_ros.registration.structure import equalised


def scene(seed: int, height: int = 300, width: int = 420) -> np.ndarray:
    """Boxes and discs on a slope."""
    rng = np.random.default_rng(seed)
    picture = np.tile(np.linspace(40, 120, width), (height, 1)).astype(np.uint8)
    for n in range(70):
        x, y = (int(v) for v in rng.integers(0, [width, height]))
        w, h = (int(v) for v in rng.integers(10, 70, 2))
        if n % 3:
            cv2.rectangle(picture, (x, y), (x + w, y + h), int(rng.integers(0, 256)), -1)
        else:
            cv2.circle(picture, (x, y), w // 2, int(rng.integers(0, 256)), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.0)


def as_thermal(picture: np.ndarray, seed: int) -> np.ndarray:
    """The same outlines in other greys, some of them gone, as counts with noise."""
    rng = np.random.default_rng(seed)
    table = cv2.GaussianBlur(rng.uniform(0, 255, (1, 256)), (0, 0), 12)[0]
    table = (table - table.min()) / np.ptp(table) * 900
    felt = cv2.GaussianBlur(table[picture], (0, 0), 1.2)
    return (7000 + felt + rng.normal(0, 6, felt.shape)).astype(np.uint16)


TURNS = (-1.8, 0.0, 1.8)  # fewer than usual, for the time it takes
MATRIX = np.array([[2.1, 0.05, 14.0], [-0.04, 2.15, -22.0], [4e-5, -3e-5, 1.0]])


def rig_pairs(count: int, matrix: np.ndarray = MATRIX) -> list[tuple[np.ndarray, np.ndarray]]:
    """Visible 420x300; thermal 200x150 whose pixels `matrix` takes to visible ones."""
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


def test_a_known_homography_is_found_between_other_sizes_and_other_greys() -> None:
    result = estimate(rig_pairs(6), turns_deg=TURNS, exact_distance_m=12.0)
    assert corner_error_px(result.calibration.matrix, MATRIX) < 1.5
    assert result.verdict is Verdict.GOOD
    assert result.reasons == ()
    assert result.calibration.exact_distance_m == 12.0
    assert (result.calibration.thermal_size.width, result.calibration.visible_size.width) == (
        200,
        420,
    )


def test_square_thermal_pixels_are_found_though_the_pictures_have_other_shapes() -> None:
    matrix = np.array([[1.5, 0, 60], [0, 1.5, 37], [0, 0, 1]])  # stretching would be 2.1 and 2.0
    narrow = [(v, t[:, 30:170].copy()) for v, t in rig_pairs(5, matrix)]
    matrix = matrix @ np.array([[1, 0, 30], [0, 1, 0], [0, 0, 1]])
    result = estimate(narrow, scales=np.geomspace(0.4, 1.2, 24).tolist(), turns_deg=TURNS)
    corners = np.array([[[0, 0], [139, 0], [139, 149], [0, 149.0]]])
    a, b = (cv2.perspectiveTransform(corners, m)[0] for m in (result.calibration.matrix, matrix))
    assert np.linalg.norm(a - b, axis=1).mean() < 3.0


def test_pictures_that_do_not_belong_together_are_never_good() -> None:
    pairs = rig_pairs(8)
    strangers = [(pairs[n][0], pairs[(n + 3) % 8][1]) for n in range(8)]
    result = estimate(strangers, turns_deg=TURNS)
    assert result.verdict is not Verdict.GOOD
    assert result.reasons


def test_one_pair_alone_is_never_good() -> None:
    result = estimate(rig_pairs(1), turns_deg=TURNS)
    assert result.verdict is Verdict.DOUBTFUL
    assert "only 1 pairs" in " ".join(result.reasons)


@pytest.mark.parametrize("grey", [0, 128])
def test_empty_pictures_fail(grey: int) -> None:
    flat = np.full((150, 200), grey, np.uint8)
    result = estimate([(flat, flat)] * 3, turns_deg=TURNS)
    assert result.verdict is Verdict.FAILED
    assert "the edges of both agree nowhere" in " ".join(result.reasons)


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf])
def test_dead_pixels_of_a_camera_that_sends_floats_do_not_blind_the_search(rubbish: float) -> None:
    sound = as_thermal(scene(0), 0).astype(np.float32) / 100
    broken = sound.copy()
    broken[20, 30] = rubbish
    off = np.abs(equalised(broken) - equalised(sound))
    assert np.percentile(off, 95) <= 1


def test_no_pairs_and_changing_sizes_are_refused() -> None:
    with pytest.raises(GeometryError, match="no pairs"):
        estimate([])
    first = rig_pairs(1)[0]
    with pytest.raises(GeometryError, match=r"pair 1 is 420 x 300 and 100 x 75.*200 x 150"):
        estimate([first, (first[0], np.zeros((75, 100), np.uint16))])


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    calibrate.add_parser(parser.add_subparsers())
    args = parser.parse_args(["calibrate", *arguments])
    return args.run(args)


def written(folder: Path, pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[str, str]:
    for name in ("vis", "ir"):
        (folder / name).mkdir()
    for n, (visible, thermal) in enumerate(pairs):
        cv2.imwrite(str(folder / "vis" / f"{n:03d}.png"), visible)
        cv2.imwrite(str(folder / "ir" / f"{n:03d}.png"), thermal)
    return str(folder / "vis"), str(folder / "ir")


def test_the_command_writes_a_file_figures_and_overlays(tmp_path: Path, capsys) -> None:
    visible, thermal = written(tmp_path, rig_pairs(5))
    out, figures, pictures = (tmp_path / n for n in ("rig.yaml", "figures.json", "check"))
    code = run(
        "--from-pairs", "--visible", visible, "--thermal", thermal, "--out", str(out),
        "--json", str(figures), "--pictures", str(pictures),
    )  # fmt: skip
    assert code == 0
    assert "verdict: good" in capsys.readouterr().out
    assert corner_error_px(load_calibration(out).matrix, MATRIX) < 1.5
    assert json.loads(figures.read_text())["verdict"] == "good"
    overlay = cv2.imread(str(next(pictures.glob("*.png"))))
    assert overlay.shape == (300, 840, 3)
    assert run("--show", str(out)) == 0
    assert "200 x 150" in capsys.readouterr().out


def test_a_failure_writes_no_calibration_and_says_so_in_its_exit_code(tmp_path: Path) -> None:
    flat = np.full((150, 200), 9, np.uint8)
    visible, thermal = written(tmp_path, [(flat, flat)] * 3)
    out = tmp_path / "rig.yaml"
    arguments = ("--from-pairs", "--visible", visible, "--thermal", thermal, "--out", str(out))
    assert run(*arguments) == 3
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from-pairs", "--out", "x.yaml"], "--visible and --thermal, or --bag"),
        (["--from-pairs", "--visible", "a"], "--out is missing"),
        (["--from-pairs", "--visible", "a", "--out", "x"], "--thermal is missing"),
        (["--from-pairs", "--visible", "a", "--thermal", "b", "--out", "x",
          "--scale-range", "2", "1"], "--scale-range is 2.0 1.0"),
        (["--board", "circles", "--out", "x"], "--columns"),
        (["--show", "gone.yaml"], "gone.yaml"),
        (["--import-camera-info", "a", "b", "--out", "x"], "--extrinsic"),
        (["--from-pairs", "--bag", "gone.mcap", "--out", "x"], "gone.mcap"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_by_name(arguments: list[str], says: str, capsys) -> None:
    assert run(*arguments) == 2
    assert says in capsys.readouterr().err
