# SPDX-License-Identifier: Apache-2.0
"""Measure how `fusion-ros calibrate --from-pairs` recovers a known homography, on real pairs.

    python -m benchmarks.registration DATA [--warps 6] [--seed 7] [--only RIG]

The thermal images of each rig are warped by known homographies, and the calibration estimates them
from the result. Errors are in pixels of a 640 wide visible image:

- corners: mean distance of the four thermal corners from their true places;
- overlap: mean distance over the visible pixels that both cameras see;
- edges: median distance of edges that were matched by eye (`registration_data/edges.csv`), measured
  across the edge.

Public pairs are not registered to the pixel. `registration_data/references.csv` holds the remaining
homography of each rig, from image self-similarity (M. P. Heinrich et al., MICCAI 2013,
doi:10.1007/978-3-642-40811-3_24) on frames that this benchmark does not use, with its standard
deviation at the corners. The true homography is the reference times the known warp.
docs/explanation/calibration.md has the results, and how both tables were made.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.calibration.from_pairs.estimate import Trust, estimate

Pairs = list[tuple[np.ndarray, np.ndarray]]
_EDGES = Path(__file__).parent / "registration_data" / "edges.csv"
_REFERENCES = Path(__file__).parent / "registration_data" / "references.csv"
_FRAMES = 16  # edges number the frames of a rig in this selection
_REPORT_WIDTH = 640


def rigs(data: Path) -> dict[str, Pairs]:
    """Return `uint8` pairs by rig: every sequence, clip and camera position in the data."""
    found: dict[str, Pairs] = {}
    for clip in sorted((data / "m3svd_seq").iterdir()):
        found[f"m3svd_seq {clip.name}"] = _folder(clip)
    for video in sorted((data / "m3svd_video").glob("*_vis.mp4")):
        found[f"m3svd_video {video.stem[:-4]}"] = _video(video)
    found["llvip"] = _folder(data / "llvip32")
    found["msrs"] = _folder(data / "msrs8")
    for sequence in ("nato_camp", "duine"):
        found[f"tno_seq {sequence}"] = _folder(data / "tno_seq" / sequence)
    return {name: pairs for name, pairs in found.items() if pairs}


def references() -> dict[str, np.ndarray]:
    """Return the 3x3 homography, thermal to visible pixels, that each rig's own pairs have."""
    with _REFERENCES.open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    return {rig: np.array([float(n) for n in row[1:]]).reshape(3, 3) for rig, *row in rows}


def edges() -> dict[str, np.ndarray]:
    """Return N x 6 by rig: frame, visible x and y, thermal x and y, direction of the normal."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    with _EDGES.open(encoding="utf-8") as lines:
        for rig, *numbers in list(csv.reader(lines))[1:]:
            found[rig].append([float(n) for n in numbers])
    return {rig: np.array(numbers) for rig, numbers in found.items()}


def known_warps(rig: str, count: int, seed: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Return `count` random warps that depend on the rig's name and the seed alone."""
    rng = np.random.default_rng([seed, zlib.crc32(rig.encode())])
    return [_random_warp(rng, *size) for _ in range(count)]


def warped(pairs: Pairs, matrix: np.ndarray) -> Pairs:
    """Return the pairs with each thermal image resampled by `matrix` (thermal to visible)."""
    keep = {
        "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        "borderMode": cv2.BORDER_REPLICATE,
    }
    return [(v, cv2.warpPerspective(t, matrix, t.shape[::-1], **keep)) for v, t in pairs]


def corner_error_px(found: np.ndarray, true: np.ndarray, size: tuple[int, int]) -> float:
    """Return the mean distance of the four thermal corners under two homographies."""
    a, b = (cv2.perspectiveTransform(_corners(size), m)[0] for m in (found, true))
    return float(np.linalg.norm(a - b, axis=1).mean() * _REPORT_WIDTH / size[0])


def overlap_error_px(found: np.ndarray, true: np.ndarray, size: tuple[int, int]) -> float:
    """Return the mean distance over a grid of visible pixels that the thermal camera sees."""
    width, height = size
    across, down = np.meshgrid(np.linspace(0, width - 1, 17), np.linspace(0, height - 1, 13))
    grid = np.stack((across.ravel(), down.ravel()), 1)[None]
    thermal = cv2.perspectiveTransform(grid, np.linalg.inv(true))
    seen = ((thermal >= 0) & (thermal <= [width - 1, height - 1])).all(2)
    off = np.linalg.norm(cv2.perspectiveTransform(thermal, found) - grid, axis=2)
    return float(off[seen].mean() * _REPORT_WIDTH / width)


def edge_distances_px(
    marks: np.ndarray, found: np.ndarray, warp: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the distance of each warped thermal edge from its visible one, across the edge.

    Edges that `warp` moved out of the thermal image are left out.
    """
    thermal = cv2.perspectiveTransform(marks[None, :, 3:5], np.linalg.inv(warp))
    seen = ((thermal[0] >= 0) & (thermal[0] <= [size[0] - 1, size[1] - 1])).all(1)
    off = cv2.perspectiveTransform(thermal, found)[0] - marks[:, 1:3]
    turn = np.deg2rad(marks[:, 5])
    across = off[:, 0] * np.cos(turn) + off[:, 1] * np.sin(turn)
    return np.abs(across[seen]) * _REPORT_WIDTH / size[0]


def measure(rig: str, pairs: Pairs, warps: int, seed: int) -> list[dict[str, float | bool]]:
    """Calibrate one rig under each known warp; return one row of errors a warp."""
    chosen = pairs[::2] if len(pairs) > _FRAMES // 2 else pairs
    height, width = chosen[0][0].shape
    size, marks, rows = (width, height), edges().get(rig), []
    for warp in known_warps(rig, warps, seed, size):
        result = estimate(warped(chosen, warp))
        found, true = result.calibration.matrix, references()[rig] @ warp
        row = {
            "corners_px": corner_error_px(found, true, size),
            "overlap_px": overlap_error_px(found, true, size),
            "good": result.verdict is Trust.GOOD,
        }
        if marks is not None:
            row["edges_px"] = float(np.median(edge_distances_px(marks, found, warp, size)))
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with m3svd_seq/, m3svd_video/, ...")
    parser.add_argument("--warps", type=int, default=6, help="known warps a rig (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of the warps (%(default)s)")
    parser.add_argument("--only", metavar="RIG", help="measure this rig alone")
    arguments = parser.parse_args()
    found = rigs(arguments.data)
    if arguments.only and arguments.only not in found:
        parser.error(f"--only is {arguments.only!r}, allowed: {', '.join(found)}")
    names = [arguments.only] if arguments.only else list(found)
    every: list[dict[str, float | bool]] = []
    print(
        "| rig | corners, px | overlap, px | edges, px | verdict good |\n|---|---:|---:|---:|---:|"
    )
    for rig in names:
        rows = measure(rig, found[rig], arguments.warps, arguments.seed)
        print(_table_row(rig, rows), flush=True)
        every += rows
    print(_table_row("all rigs", every))
    print(_table_row("all with verdict good", [row for row in every if row["good"]]))


def _table_row(name: str, rows: list[dict[str, float | bool]]) -> str:
    cells = []
    for key in ("corners_px", "overlap_px", "edges_px"):
        values = [row[key] for row in rows if key in row]
        cells.append(f"{np.median(values):.2f} (at most {max(values):.1f})" if values else "-")
    return f"| {name} | {' | '.join(cells)} | {sum(r['good'] for r in rows)} of {len(rows)} |"


def _folder(folder: Path) -> Pairs:
    files = sorted((folder / "vis").iterdir())
    chosen = np.unique(np.linspace(0, len(files) - 1, _FRAMES).round().astype(int))
    pairs = []
    for file in (files[n] for n in chosen):
        partner = next((folder / "ir").glob(file.stem + ".*"))
        pairs.append(
            (_at_most_640(cv2.imread(str(file), 0)), _at_most_640(cv2.imread(str(partner), 0)))
        )
    return pairs


def _at_most_640(image: np.ndarray) -> np.ndarray:
    if image.shape[1] <= 640:
        return image
    size = (640, round(640 * image.shape[0] / image.shape[1]))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _video(visible: Path) -> Pairs:
    thermal = visible.with_name(visible.name.replace("_vis", "_ir"))
    captures = [cv2.VideoCapture(str(p)) for p in (visible, thermal)]
    length = int(captures[0].get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(2, length - 3, _FRAMES).round().astype(int).tolist())
    pairs = []
    for n in range(length):
        frames = [capture.read()[1] for capture in captures]
        if any(frame is None for frame in frames):
            break
        if n in wanted:
            grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
            pairs.append((grey[0], grey[1]))
    return pairs


def _random_warp(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Draw scale 0.8 to 1.25, shift up to 10 %, turn up to 3 degrees, corners up to 1 % more."""
    scale = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    turn = np.deg2rad(rng.uniform(-3, 3))
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = rng.uniform(-0.1, 0.1, 2) * [width, height]
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    similarity = np.eye(3)
    similarity[:2, :2], similarity[:2, 2] = rotation, middle - rotation @ middle + shift
    corners = _corners((width, height))[0].astype(np.float32)
    moved = corners + rng.uniform(-0.01, 0.01, (4, 2)).astype(np.float32) * width
    return similarity @ cv2.getPerspectiveTransform(corners, moved)


def _corners(size: tuple[int, int]) -> np.ndarray:
    """Return 1x4x2, the form that OpenCV's transforms take."""
    right, bottom = size[0] - 1.0, size[1] - 1.0
    return np.array([[[0, 0], [right, 0], [right, bottom], [0, bottom]]])


if __name__ == "__main__":
    main()
