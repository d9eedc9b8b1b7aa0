# SPDX-License-Identifier: Apache-2.0
"""Real pairs by rig, and known warps of their thermal pictures."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

Pairs = list[tuple[np.ndarray, np.ndarray]]
PAIRS = 16
"""At most so many of a rig, spread over what there is. Landmarks count them as they come here."""


def rigs(data: Path) -> dict[str, Pairs]:
    """Pairs of one rig each (`uint8`): every sequence, clip and camera position in the data."""
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


def every_other(pairs: Pairs) -> Pairs:
    """Eight of sixteen, as many as the calibration looks at; all where there are only eight."""
    return pairs[::2] if len(pairs) > PAIRS // 2 else pairs


def _folder(folder: Path) -> Pairs:
    files = sorted((folder / "vis").iterdir())
    chosen = np.unique(np.linspace(0, len(files) - 1, PAIRS).round().astype(int))
    pairs = []
    for file in (files[n] for n in chosen):
        partner = next((folder / "ir").glob(file.stem + ".*"))
        pairs.append(tuple(_at_most_640(cv2.imread(str(p), 0)) for p in (file, partner)))
    return pairs


def _at_most_640(picture: np.ndarray) -> np.ndarray:
    if picture.shape[1] <= 640:
        return picture
    size = (640, round(640 * picture.shape[0] / picture.shape[1]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _video(visible: Path) -> Pairs:
    thermal = visible.with_name(visible.name.replace("_vis", "_ir"))
    captures = [cv2.VideoCapture(str(p)) for p in (visible, thermal)]
    length = int(captures[0].get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(2, length - 3, PAIRS).round().astype(int).tolist())
    pairs = []
    for n in range(length):
        frames = [capture.read()[1] for capture in captures]
        if any(frame is None for frame in frames):
            break
        if n in wanted:
            grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
            pairs.append((grey[0], grey[1]))
    return pairs


def known_warps(rig: str, count: int, seed: int, size: tuple[int, int]) -> list[np.ndarray]:
    """No warp, and then `count` random ones: the same for a rig whatever else is run."""
    rng = np.random.default_rng([seed, zlib.crc32(rig.encode())])
    return [np.eye(3), *(random_warp(rng, *size) for _ in range(count))]


def random_warp(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Thermal to visible pixels: scale 0.8 to 1.25, shift up to 10 %, turn up to 3 degrees, corners
    moved by up to 1 % more."""
    scale = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    turn = np.deg2rad(rng.uniform(-3, 3))
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = rng.uniform(-0.1, 0.1, 2) * [width, height]
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    similarity = np.eye(3)
    similarity[:2, :2], similarity[:2, 2] = rotation, middle - rotation @ middle + shift
    corners = corners_of((width, height))[0].astype(np.float32)
    moved = corners + rng.uniform(-0.01, 0.01, (4, 2)).astype(np.float32) * width
    return similarity @ cv2.getPerspectiveTransform(corners, moved)


def warped(pairs: Pairs, matrix: np.ndarray) -> Pairs:
    """The pairs as a thermal camera would give them whose pixels `matrix` takes to visible ones."""
    keep = {
        "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        "borderMode": cv2.BORDER_REPLICATE,
    }
    return [(v, cv2.warpPerspective(t, matrix, t.shape[::-1], **keep)) for v, t in pairs]


def corners_of(size: tuple[int, int]) -> np.ndarray:
    """1x4x2, as OpenCV's transforms take points."""
    right, bottom = size[0] - 1.0, size[1] - 1.0
    return np.array([[[0, 0], [right, 0], [right, bottom], [0, bottom]]])


def corner_error_px(found: np.ndarray, right: np.ndarray, size: tuple[int, int]) -> float:
    """Mean distance of the four thermal corners under two homographies, scaled to 640 wide."""
    a, b = (cv2.perspectiveTransform(corners_of(size), m)[0] for m in (found, right))
    return float(np.linalg.norm(a - b, axis=1).mean() * 640 / size[0])


def overlap_error_px(found: np.ndarray, right: np.ndarray, size: tuple[int, int]) -> float:
    """The same, mean over the visible pixels (a grid of them) that the thermal camera sees."""
    width, height = size
    across, down = np.meshgrid(np.linspace(0, width - 1, 17), np.linspace(0, height - 1, 13))
    grid = np.stack((across.ravel(), down.ravel()), 1)[None]
    thermal = cv2.perspectiveTransform(grid, np.linalg.inv(right))
    seen = ((thermal >= 0) & (thermal <= [width - 1, height - 1])).all(2)
    off = np.linalg.norm(cv2.perspectiveTransform(thermal, found) - grid, axis=2)
    return float(off[seen].mean() * 640 / width)
