# SPDX-License-Identifier: Apache-2.0
"""Edges that lie in both pictures of a pair, told by eye: where real pairs really meet.

    python -m benchmarks.registration_landmarks DATA --pictures DIR

draws all of them, enlarged, so that anybody can look at what was taken for the same edge.

`registration_landmarks.csv` was made so: in each picture by itself the clear straight edges were
looked for (the steepest place along the gradient, averaged over 9 to 11 pixels along the edge, of
a picture blurred by 1.2 pixels); for each visible edge all thermal ones of about its direction
within 10 pixels were drawn into enlarged cut-outs; which of them is the same edge of the same
thing, or none, was said by eye (that of the language model that wrote this), before any
calibration's answer was seen at them. What was not clear was left out: most. Nine edges of `llvip`
were pointed at by hand in both pictures instead, and then put on the steepest place. 73 edges,
towards the borders, were added when the two estimators' scores at the first 179 had been seen. No
measure of likeness between the two pictures takes part, so that no estimator is favoured.

An edge says where it is across itself and not along: a distance here is along `normal_deg`.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from benchmarks.registration_rigs import rigs

TABLE = Path(__file__).with_suffix(".csv")
_HALF, _TIMES = 24, 5


def landmarks() -> dict[str, np.ndarray]:
    """By rig, N x 6: which pair, visible x and y, thermal x and y, direction of the normal."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    with TABLE.open(encoding="utf-8") as lines:
        for rig, *numbers in list(csv.reader(lines))[1:]:
            found[rig].append([float(n) for n in numbers])
    return {rig: np.array(numbers) for rig, numbers in found.items()}


def distances_px(
    marks: np.ndarray, found: np.ndarray, warp: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """How far `found` puts each edge of warped thermal pictures from the visible one, at 640 wide.

    `warp` takes warped thermal pixels to those of the data. Edges that it moved out of the thermal
    picture are left out.
    """
    thermal = cv2.perspectiveTransform(marks[None, :, 3:5], np.linalg.inv(warp))
    seen = ((thermal[0] >= 0) & (thermal[0] <= [size[0] - 1, size[1] - 1])).all(1)
    off = cv2.perspectiveTransform(thermal, found)[0] - marks[:, 1:3]
    turn = np.deg2rad(marks[:, 5])
    across = off[:, 0] * np.cos(turn) + off[:, 1] * np.sin(turn)
    return np.abs(across[seen]) * 640 / size[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=Path, required=True, help="folder to draw into")
    arguments = parser.parse_args()
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    pairs = rigs(arguments.data)
    for rig, marks in landmarks().items():
        tiles = []
        for number, *places, turn in marks:
            both = zip(pairs[rig][int(number)], (places[:2], places[2:]), strict=True)
            tiles.append(np.hstack([_cut_out(picture, at, turn) for picture, at in both]))
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
        rows = [np.hstack(tiles[n : n + 4]) for n in range(0, len(tiles), 4)]
        cv2.imwrite(str(arguments.pictures / f"{rig.replace(' ', '_')}.png"), np.vstack(rows))


def _cut_out(picture: np.ndarray, at: list[float], normal_deg: float) -> np.ndarray:
    """What lies around a point, enlarged, with both ends of the edge through it drawn."""
    x, y = (round(c) for c in at)
    framed = cv2.copyMakeBorder(picture, *(_HALF,) * 4, cv2.BORDER_CONSTANT)
    part = framed[y : y + 2 * _HALF + 1, x : x + 2 * _HALF + 1]
    part = cv2.normalize(part, None, 0, 255, cv2.NORM_MINMAX)
    large = cv2.resize(part, None, fx=_TIMES, fy=_TIMES, interpolation=cv2.INTER_CUBIC)
    large = cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)
    turn = np.deg2rad(normal_deg)
    along = np.array([-np.sin(turn), np.cos(turn)])
    middle = np.array(at) - [x, y] + _HALF + 0.5
    for side in (-1, 1):
        near, far = ((middle + side * px * along) * _TIMES for px in (5, 11))
        cv2.line(large, tuple(near.astype(int)), tuple(far.astype(int)), (0, 220, 255))
    return cv2.copyMakeBorder(large, 2, 2, 2, 2, cv2.BORDER_CONSTANT)


if __name__ == "__main__":
    main()
