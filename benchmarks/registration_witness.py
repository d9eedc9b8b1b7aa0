# SPDX-License-Identifier: Apache-2.0
"""How the pairs of a rig lie by a second way of looking, on pictures that no calibration saw.

    python -m benchmarks.registration_witness DATA        # writes registration_witness.csv anew

Public pairs do not lie on each other to the pixel, so a calibration that is asked for a known warp
is measured with their error, too, unless something says how they lie. Nothing in here is the
calibration's: pictures are compared by self-similarity (how a pixel's surroundings are like each
other, in either picture by itself; M. P. Heinrich et al., MICCAI 2013, doi:10.1007/
978-3-642-40811-3_24), blocks are shifted to where that differs least, and the homography is a
robust least-squares fit to those blocks, with no wish how rigs should be. The pairs are those
between the ones that `every_other` gives the calibration, except where there are only eight.

How well it knows the corners is told by leaving out a sixth of the picture at a time (jackknife).
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.registration_rigs import PAIRS, Pairs, corner_error_px, rigs

TABLE = Path(__file__).with_suffix(".csv")
_REACH = 12
_CELLS_ACROSS, _BLOCK = 12, 3
_UNCLEAR, _CLEAR = 1.5, 4.0
"""Deviations that a block's best shift stands out by: no weight, and full weight."""
_OUTLIER_PX = 2.5


@dataclass(frozen=True, eq=False)
class Witness:
    """How the thermal pictures of a rig lie."""

    matrix: np.ndarray
    """Thermal to visible pixels."""
    corner_deviation_px: float
    """One deviation of the four corners, at 640 wide."""


def witnesses() -> dict[str, Witness]:
    """By rig, as in the table."""
    with TABLE.open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    numbers = {rig: [float(n) for n in row] for rig, *row in rows}
    return {rig: Witness(np.array(row[1:]).reshape(3, 3), row[0]) for rig, row in numbers.items()}


def unseen(pairs: Pairs) -> Pairs:
    """What `every_other` leaves out; all where it leaves out none."""
    return pairs[1::2] if len(pairs) > PAIRS // 2 else pairs


def look(pairs: Pairs) -> Witness:
    """Where the thermal pictures of these pairs (equal sizes) lie on the visible ones."""
    height, width = pairs[0][0].shape
    blocks = _blocks(_differences(pairs), (width, height))
    matrix = _fit(blocks, width)
    squares = []
    for column in range(3):
        for row in range(2):
            lies_in = (blocks.visible // [width / 3, height / 2] == [column, row]).all(1)
            squares.append(
                corner_error_px(_fit(blocks[~lies_in], width), matrix, (width, height)) ** 2
            )
    return Witness(matrix, float(np.sqrt(np.sum(squares) * 5 / 6)))


@dataclass(frozen=True, eq=False)
class _Blocks:
    visible: np.ndarray
    """N x 2, pixels."""
    thermal: np.ndarray
    """N x 2, where the same thing lies in the thermal pictures."""
    weight: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> _Blocks:
        return _Blocks(self.visible[chosen], self.thermal[chosen], self.weight[chosen])


def _self_similarity(picture: np.ndarray, radius: int = 2) -> np.ndarray:
    """HxWx8 `float32`: likeness of a pixel's four neighbours to itself and to each other, 0..1."""
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.8)
    height, width = picture.shape
    framed = cv2.copyMakeBorder(picture, *(radius,) * 4, cv2.BORDER_REPLICATE)
    up, down, left, right = (
        framed[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
        for dy, dx in ((-radius, 0), (radius, 0), (0, -radius), (0, radius))
    )
    compared = [(n, picture) for n in (left, right, up, down)]
    compared += [(left, up), (left, down), (right, up), (right, down)]
    differences = np.stack([cv2.GaussianBlur((a - b) ** 2, (0, 0), 1.5) for a, b in compared], -1)
    differences -= differences.min(-1, keepdims=True)
    usual = differences.mean(-1, keepdims=True)
    mean = float(usual.mean())
    return np.exp(-differences / np.clip(usual, 0.001 * mean, 1000 * mean))


def _differences(pairs: Pairs) -> np.ndarray:
    """Rows x columns x side x side: mean squared difference in each cell for each shift of the
    thermal pictures, down and across."""
    height, width = pairs[0][0].shape
    cells = (_CELLS_ACROSS, max(_BLOCK, round(_CELLS_ACROSS * height / width)))
    side = 2 * _REACH + 1
    sums = np.zeros((cells[1], cells[0], side, side), np.float32)
    fields = [tuple(map(_self_similarity, pair)) for pair in pairs]
    for dy in range(-_REACH, _REACH + 1):
        for dx in range(-_REACH, _REACH + 1):
            here = _window(dy, height), _window(dx, width)
            there = _window(-dy, height), _window(-dx, width)
            off, seen = np.zeros((2, height, width), np.float32)
            seen[here] = 1
            for visible, thermal in fields:
                apart = visible[here] - thermal[there]
                off[here] += np.einsum("ijk,ijk->ij", apart, apart)
            off, seen = (cv2.resize(m, cells, interpolation=cv2.INTER_AREA) for m in (off, seen))
            sums[:, :, dy + _REACH, dx + _REACH] = off / np.maximum(seen, 1e-3)
    return sums / len(pairs)


def _window(shift: int, length: int) -> slice:
    return slice(max(0, shift), length + min(0, shift))


def _blocks(differences: np.ndarray, size: tuple[int, int]) -> _Blocks:
    """Best shifts of overlapping blocks of cells, weighted by how far they stand out."""
    rows, columns = differences.shape[:2]
    visible, shifts, weights = [], [], []
    for row in range(rows - _BLOCK + 1):
        for column in range(columns - _BLOCK + 1):
            surface = differences[row : row + _BLOCK, column : column + _BLOCK].mean((0, 1))
            y, x = np.unravel_index(int(surface.argmin()), surface.shape)
            if not (0 < y < 2 * _REACH and 0 < x < 2 * _REACH):
                continue
            usual = np.median(surface)
            spread = 1.4826 * np.median(np.abs(surface - usual)) + 1e-9
            clear = (usual - surface[y, x]) / spread
            shift = [_lowest(surface[y, x - 1 : x + 2]), _lowest(surface[y - 1 : y + 2, x])]
            visible.append([(column + _BLOCK / 2) / columns, (row + _BLOCK / 2) / rows])
            shifts.append([x - _REACH + shift[0], y - _REACH + shift[1]])
            weights.append(np.clip((clear - _UNCLEAR) / (_CLEAR - _UNCLEAR), 0, 1))
    at = np.array(visible) * size - 0.5
    return _Blocks(at, at - np.array(shifts), np.array(weights))


def _lowest(three: np.ndarray) -> float:
    """Where the parabola through three equidistant values is lowest, from the middle one."""
    before, middle, after = (float(v) for v in three)
    bend = before - 2 * middle + after
    return 0.0 if bend <= 1e-12 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def _fit(blocks: _Blocks, width: int) -> np.ndarray:
    """The homography by weighted least squares, outliers let go bit by bit (Tukey's weights)."""
    scaling = np.diag([2 / width, 2 / width, 1.0])
    scaling[:2, 2] = -1
    (x, y), (u, v) = (p.T * 2 / width - 1 for p in (blocks.thermal, blocks.visible))
    one, none = np.ones_like(x), np.zeros_like(x)
    across = np.stack([x, y, one, none, none, none, -u * x, -u * y], 1)
    down = np.stack([none, none, none, x, y, one, -v * x, -v * y], 1)
    left, wanted = np.concatenate((across, down)), np.concatenate((u, v))
    weight, reach_px, matrix = blocks.weight, 6.0, np.eye(3)
    for _ in range(60):
        root = np.sqrt(np.tile(weight, 2))
        found = np.linalg.lstsq(left * root[:, None], wanted * root, rcond=None)[0]
        normalised = np.append(found, 1.0).reshape(3, 3)
        matrix = np.linalg.inv(scaling) @ normalised @ scaling
        off = cv2.perspectiveTransform(blocks.thermal[None], matrix)[0] - blocks.visible
        off_px = np.linalg.norm(off, axis=1) * 640 / width
        weight = blocks.weight * np.maximum(1 - (off_px / reach_px) ** 2, 0) ** 2
        reach_px = max(_OUTLIER_PX, reach_px * 0.93)
    return matrix / matrix[2, 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    header = [
        "rig",
        "corner_deviation_px",
        *(f"m{row}{column}" for row, column in np.ndindex(3, 3)),
    ]
    rows = []
    for rig, pairs in rigs(arguments.data).items():
        found = look(unseen(pairs))
        numbers = [f"{number:.9g}" for number in found.matrix.flat]
        rows.append([rig, f"{found.corner_deviation_px:.2f}", *numbers])
        off_px = corner_error_px(np.eye(3), found.matrix, pairs[0][0].shape[::-1])
        print(f"{rig}: corners of the data as they are {off_px:.1f} px off, "
              f"give or take {found.corner_deviation_px:.1f}", flush=True)  # fmt: skip
    with TABLE.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main()
