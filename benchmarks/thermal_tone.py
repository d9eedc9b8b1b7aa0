# SPDX-License-Identifier: Apache-2.0
"""What the ways to bring thermal counts to 8 bits keep, what they flicker and what they cost.

    python -m benchmarks.thermal_tone DATA [--json FILE] [--pictures DIR]

DATA holds `thermal16/*.png` (16-bit counts) and `m3svd_video/0117_1620_ir.mp4` (8 bits, with a real
jump of the camera's gain). Columns of the first table, means over the pictures:

- levels: grey levels in use;
- hot contrast: how much brighter the hottest 0.5 % of pixels are than a ring around them, in greys;
- inside hot: spread of the greys among those pixels (0: all white, nothing can be told apart);
- texture: mean local contrast of everything else (3x3 deviation), in greys;
- noise: what a deviation of one count's worth of sensor noise becomes, in greys;
- ms: median time of one frame at 640x512 on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.imaging import thermal_scene
from benchmarks.timing import machine, measure
from fusion_ros.files.images import write_image
from fusion_ros.files.writing import write_json
from fusion_ros.thermal.tone import ThermalToneMapper, ToneOptions
from fusion_ros.thermal.tone_curve import distribution

FRAME_NS = 33_333_333
Mapping = Callable[[np.ndarray], np.ndarray]


def mapped(**options: object) -> Callable[[], Mapping]:
    """A maker of fresh mappers that see each frame alone."""
    return lambda: ThermalToneMapper(ToneOptions(**options))


def _min_max(counts: np.ndarray) -> np.ndarray:
    return cv2.normalize(counts, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)


WAYS: dict[str, Callable[[], Mapping]] = {
    "cv_bridge (x 255 / 65535)": lambda: lambda c: (c * (255.0 / 65535)).astype(np.uint8),
    "min to max": lambda: _min_max,
    "percentile 0.5 - 99.5": mapped(mode="percentile"),
    "percentile 0.1 - 99.9": mapped(mode="percentile", low_percent=0.1, high_percent=99.9),
    "percentile 2 - 98": mapped(mode="percentile", low_percent=2, high_percent=98),
    "histogram, full equalisation": mapped(plateau_percent=100, linear_percent=0),
    "histogram (default: plateau 0.5, linear 25)": mapped(),
    "histogram, linear 0": mapped(linear_percent=0),
    "histogram, linear 50": mapped(linear_percent=50),
    "histogram, plateau 1": mapped(plateau_percent=1),
    "histogram, plateau 3": mapped(plateau_percent=3),
    "histogram, headroom 0.5": mapped(headroom=0.5),
    "histogram, headroom 2": mapped(headroom=2.0),
    "histogram, no headroom limit": mapped(headroom=0),
    "percentile 0.5 - 99.5, no headroom limit": mapped(mode="percentile", headroom=0),
    "histogram, detail 1": mapped(detail_gain=1.0),
    "clahe 2": mapped(mode="clahe"),
}


def still_figures(counts: np.ndarray, grey: np.ndarray) -> dict[str, float]:
    """The columns of the first table for one picture."""
    hot = counts >= np.percentile(counts, 99.5)
    near = cv2.dilate(hot.astype(np.uint8), np.ones((15, 15))) > 0
    ring = near & (counts < np.percentile(counts, 98))
    floats = grey.astype(np.float32)
    mean = cv2.blur(floats, (3, 3))
    local = np.sqrt(np.maximum(cv2.blur(floats * floats, (3, 3)) - mean * mean, 0))
    sigma = distribution(counts, float(counts.min()), float(counts.max())).noise
    slopes = local[~near].mean() / max(_local_deviation(counts)[~near].mean(), 1e-9)
    return {
        "levels": float(len(np.unique(grey))),
        "hot contrast": float(floats[hot].mean() - floats[ring].mean()) if ring.any() else 0.0,
        "inside hot": float(floats[hot].std()),
        "texture": float(local[~near].mean()),
        "noise": float(slopes * sigma),
    }


def _local_deviation(counts: np.ndarray) -> np.ndarray:
    values = counts.astype(np.float64)
    mean = cv2.blur(values, (3, 3))
    return np.sqrt(np.maximum(cv2.blur(values * values, (3, 3)) - mean * mean, 0))


def walking_figures(options: ToneOptions, scene: np.ndarray) -> dict[str, float]:
    """A hot object of 4 % of the picture walks into a still scene: what the rest of it does."""
    mapper, rng = ThermalToneMapper(options), np.random.default_rng(0)
    height, width = scene.shape
    side = int((scene.size * 0.04) ** 0.5)
    heat = int(scene.max()) + int(np.percentile(scene, 99) - np.percentile(scene, 1)) * 2
    means = []
    for n in range(150):
        frame = scene + rng.normal(0, 2, scene.shape)
        column = int((n - 30) / 120 * width)
        if n > 30:
            frame[height // 3 : height // 3 + side, max(column - side, 0) : max(column, 1)] = heat
        grey = mapper(np.clip(frame, 0, 65535).astype(np.uint16), n * FRAME_NS)
        means.append(float(grey[-height // 4 :].mean()))  # the object never gets there
    steps = np.abs(np.diff(means))
    return {"largest step": float(steps.max()), "in all": float(max(means) - min(means))}


def change_figures(options: ToneOptions, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Frames until the mapping of another scene is within 5 greys of where it settles."""
    mapper = ThermalToneMapper(options)
    settled = ThermalToneMapper(options)(second).astype(np.float32)
    for n in range(30):
        mapper(first, n * FRAME_NS)
    for n in range(30, 300):
        if np.abs(mapper(second, n * FRAME_NS) - settled).mean() < 5:
            break
    return {"frames": float(n - 30)}


def gain_figures(video: Path, eight_bit: str) -> dict[str, float]:
    """Flicker of an 8-bit clip: changes of the pixels' median from frame to frame, in greys."""
    capture, mapper, before = cv2.VideoCapture(str(video)), None, None
    mapper = ThermalToneMapper(ToneOptions(eight_bit=eight_bit))
    steps, times_ms, n = [], [], 0
    while True:
        there, frame = capture.read()
        if not there:
            break
        frame = np.ascontiguousarray(frame[:, :, 0])
        begin = time.perf_counter()
        frame = mapper(frame, n * FRAME_NS)
        times_ms.append((time.perf_counter() - begin) * 1e3)
        if before is not None:
            steps.append(abs(float((frame.astype(np.int16) - before).mean())))
        before, n = frame.astype(np.int16), n + 1
    return {
        "largest step": max(steps),
        "99th percentile": float(np.percentile(steps, 99)),
        "mean step": float(np.mean(steps)),
        "median ms": float(np.median(times_ms)),
    }


def _table(title: str, rows: dict[str, dict[str, float]]) -> None:
    columns = list(next(iter(rows.values())))
    print(f"\n{title}\n\n| way | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{row[c]:.2f}' for c in columns)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path, help="write one contact sheet a way here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    counts = [cv2.imread(str(p), -1) for p in sorted((arguments.data / "thermal16").glob("*.png"))]
    scene = thermal_scene(512, 640)
    stills = {}
    for name, make in WAYS.items():
        rows = [still_figures(c, make()(c)) for c in counts]
        stills[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            sheet = [cv2.resize(make()(c), (240, 180)) for c in counts[:24]]
            sheet = np.vstack([np.hstack(sheet[i : i + 6]) for i in range(0, 24, 6)])
            write_image(arguments.pictures / f"{name.replace('/', 'over')}.png", sheet)
    print(machine())
    ways = {name: make() for name, make in WAYS.items()}
    calls = {name: lambda way=way: way(scene) for name, way in ways.items()}
    for name, sample in measure(calls, runs=60, warm_up=5).items():
        stills[name]["ms"] = sample.median_ms
    smooth = {
        "percentile, every frame alone": ToneOptions(mode="percentile", smoothing_s=0),
        "percentile, 2 s": ToneOptions(mode="percentile"),
        "histogram, every frame alone": ToneOptions(smoothing_s=0),
        "histogram, 2 s": ToneOptions(),
        "histogram, 2 s, no headroom limit": ToneOptions(headroom=0),
    }
    base = cv2.resize(counts[12], (320, 256)).astype(np.float64)
    walking = {name: walking_figures(options, base) for name, options in smooth.items()}
    change = {n: change_figures(o, counts[1], counts[13]) for n, o in smooth.items()}
    clip = arguments.data / "m3svd_video" / "0117_1620_ir.mp4"
    gain = {way: gain_figures(clip, way) for way in ("pass", "stabilise")}
    tables = {
        "Thermal counts, one by one": stills,
        "A hot object walks in: the rest of the picture, greys": walking,
        "Another scene: frames until settled": change,
        "8-bit clip with a gain jump: mean change between frames, greys": gain,
    }
    for title, rows in tables.items():
        _table(title, rows)
    if arguments.json:
        write_json(arguments.json, tables)


if __name__ == "__main__":
    main()
