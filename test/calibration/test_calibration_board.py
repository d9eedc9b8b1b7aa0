# SPDX-License-Identifier: Apache-2.0
"""Calibration recovers a known rig from rendered views of a board."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.calibration.board import Board, calibrate_with_board, find_board
from fusion_ros.calibration.files import load_calibration
from fusion_ros.cli import calibrate
from fusion_ros.registration.geometry import GeometryError

VISIBLE = np.array([[560.0, 0, 322], [0, 560, 238], [0, 0, 1]])
THERMAL = np.array([[330.0, 0, 158], [0, 330, 129], [0, 0, 1]])
ROTATION = cv2.Rodrigues(np.array([0.01, -0.03, 0.005]))[0]
TRANSLATION = np.array([0.07, -0.01, 0.004])
CHECKERBOARD = Board("checkerboard", 8, 6, 0.04)


def drawn(board: Board, pixels_per_m: float = 1000.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the board as an image, and the matrix from metres to its pixels."""
    square = board.spacing_m * pixels_per_m
    if board.kind == "charuco":
        size = (round(board.columns * square), round(board.rows * square))
        image = board.charuco().generateImage(size)
        return cv2.copyMakeBorder(image, *[30] * 4, cv2.BORDER_CONSTANT, value=255), np.array(
            [[pixels_per_m, 0, 29.5], [0, pixels_per_m, 29.5], [0, 0, 1]]
        )
    if board.kind == "checkerboard":
        rows, columns = np.mgrid[: board.rows + 1, : board.columns + 1]
        tiles = ((rows + columns) % 2 * 255).astype(np.uint8)
        image = np.kron(tiles, np.ones((round(square),) * 2, np.uint8))
        image = cv2.copyMakeBorder(image, *[40] * 4, cv2.BORDER_CONSTANT, value=255)
        offset = 40 + square - 0.5
    else:
        points = board.points()[:, :2] * pixels_per_m
        offset = 2 * square
        extent = (points.max(axis=0) + 4 * square).astype(int)
        image = np.full((extent[1], extent[0]), 255, np.uint8)
        for x, y in points:
            centre = (round((x + offset) * 16), round((y + offset) * 16))
            cv2.circle(image, centre, round(square * 0.3 * 16), 0, -1, cv2.LINE_AA, 4)
    return image, np.array([[pixels_per_m, 0, offset], [0, pixels_per_m, offset], [0, 0, 1]])


def photographed(
    board: Board, camera: np.ndarray, size: tuple[int, int], turn: np.ndarray, at: np.ndarray
) -> np.ndarray:
    image, to_pixels = drawn(board)
    pose = np.column_stack((turn[:, 0], turn[:, 1], at))
    view = camera @ pose @ np.linalg.inv(to_pixels)
    shrunk = cv2.GaussianBlur(image, (0, 0), 1.2)
    return cv2.warpPerspective(shrunk, view, size, borderValue=170)


def views(
    board: Board, count: int, spread_m: tuple[float, float] = (0.06, 0.06)
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return views (name, visible, thermal counts) with hot and cold exchanged.

    The board is up to `spread_m` away from the optical axis.
    """
    rng = np.random.default_rng(1)
    pairs = []
    for n in range(count):
        turn = cv2.Rodrigues(rng.uniform(-0.45, 0.45, 3) * [1, 1, 0.3])[0]
        middle = np.append(board.points()[:, :2].mean(axis=0), 0)
        at = np.array([*rng.uniform(-1, 1, 2) * spread_m, rng.uniform(0.55, 0.8)]) - turn @ middle
        seen = photographed(board, VISIBLE, (640, 480), turn, at)
        felt = photographed(
            board, THERMAL, (320, 256), ROTATION @ turn, ROTATION @ at + TRANSLATION
        )
        counts = 8000 - 2.0 * felt + rng.normal(0, 4, felt.shape)
        pairs.append((f"view {n}", seen, counts.astype(np.uint16)))
    return pairs


@pytest.mark.parametrize(
    "board",
    [
        CHECKERBOARD,
        Board("circles", 8, 5, 0.045),
        Board("asymmetric_circles", 4, 9, 0.03),
        Board("charuco", 7, 5, 0.055),
    ],
    ids=lambda board: board.kind,
)
def test_rig_is_recovered_with_hot_and_cold_exchanged(board: Board) -> None:
    result = calibrate_with_board(views(board, 14), board, distance_m=3.0)
    rig = result.calibration
    assert result.views >= 8
    assert result.visible_error_px < 0.4
    assert result.thermal_error_px < 0.4
    assert np.linalg.norm(rig.translation_m - TRANSLATION) < 0.006
    turn = cv2.Rodrigues(rig.rotation @ ROTATION.T)[0]
    assert np.linalg.norm(turn) < 0.012
    assert rig.visible.matrix[0, 0] == pytest.approx(560, rel=0.02)
    assert rig.thermal.matrix[0, 0] == pytest.approx(330, rel=0.03)
    assert rig.distance_m == 3.0


def test_few_views_and_low_coverage_are_doubtful() -> None:
    pairs = views(CHECKERBOARD, 7)
    pairs.insert(2, ("empty", np.full((480, 640), 99, np.uint8), np.full((256, 320), 9, np.uint16)))
    few = calibrate_with_board(pairs, CHECKERBOARD)
    assert "empty" in few.refused
    assert few.figures()["views_used"] == few.views
    assert few.figures()["verdict"] == "doubtful"
    assert few.views < 10
    assert str(few.views) in few.reasons[0]
    # The same board in a corner of images of twice the width and height.
    frame = ((0, 480), (0, 640)), ((0, 256), (0, 320))
    corner = [
        (name, *(np.pad(p, f, mode="edge") for p, f in zip(pair, frame, strict=True)))
        for name, *pair in views(CHECKERBOARD, 12)
    ]
    small = calibrate_with_board(corner, CHECKERBOARD)
    assert max(small.visible_covered, small.thermal_covered) < 0.4
    assert len(small.reasons) == 2


def test_command_writes_the_rig_and_its_quality(tmp_path: Path, capsys) -> None:
    for name, visible, thermal in views(CHECKERBOARD, 12, spread_m=(0.12, 0.08)):
        for folder, image in (("vis", visible), ("ir", thermal)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), image)
    out = tmp_path / "rig.yaml"
    parser = argparse.ArgumentParser()
    calibrate.add_parser(parser.add_subparsers())
    args = parser.parse_args(
        ["calibrate", "--board", "checkerboard", "--columns", "8", "--rows", "6", "--spacing-mm",
         "40", "--visible", str(tmp_path / "vis"), "--thermal", str(tmp_path / "ir"), "--out",
         str(out)]
    )  # fmt: skip
    assert args.run(args) == 0
    output = capsys.readouterr().out
    assert "verdict: good" in output
    assert "thermal reprojection px" in output
    assert load_calibration(out).baseline_m == pytest.approx(np.linalg.norm(TRANSLATION), abs=0.006)


def test_too_few_views_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"in [0-3] of 3 pairs"):
        calibrate_with_board(views(CHECKERBOARD, 3), CHECKERBOARD)


def test_noise_is_no_board() -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (256, 320)).astype(np.uint16)
    assert find_board(noise, CHECKERBOARD) is None


def test_an_unknown_dictionary_is_refused() -> None:
    with pytest.raises(GeometryError, match="DICT_NONE"):
        Board("charuco", 8, 6, 0.04, dictionary="DICT_NONE")
