# SPDX-License-Identifier: Apache-2.0
"""How well `calibrate --from-pairs` recovers a known warp, on real pairs.

    python -m benchmarks.registration_bars DATA [--warps 3] [--methods] [--roadscene 20]
        [--strangers]

Each rig's thermal pictures are warped by a known homography (scale 0.8 to 1.25, shift up to 10 %,
turn up to 3 degrees, corners moved by up to 1 % more) and the calibration is asked for it. Three
errors, all the mean distance of the four thermal corners in pixels of a 640 wide visible picture,
against the known warp on top of

- raw: nothing, as if the data's own pairs lay on each other exactly (they do not);
- referred: how the pairs really lie, by another measure (`registration_reference`), where that is
  sure of itself;
- recovered: what the method itself says of the unwarped pairs.

The limits of the verdict are looked at apart from what they were chosen by: for each half of the
rigs the widest limits are taken that keep the bars there, and judged on the other half.

`--methods` compares ways to refine the same first guess (raw errors, which favour none of them).
`--roadscene` asks for the scale between `roadscene/vis_hr` and `roadscene/ir`, pair by pair.
`--strangers` puts the visible pictures of each rig beside thermal ones of others: never `good`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks import registration_methods
from benchmarks.registration_reference import corner_error_px, reference
from fusion_ros.calibration.from_pairs import PairEstimate, Verdict, VerdictLimits, estimate

Pairs = list[tuple[np.ndarray, np.ndarray]]
PAIRS = 8


def rigs(data: Path, count: int = PAIRS) -> dict[str, Pairs]:
    """Pairs of one rig each: every sequence, clip and camera position in the data."""
    found: dict[str, Pairs] = {}
    for clip in sorted((data / "m3svd_seq").iterdir()):
        found[f"m3svd_seq {clip.name}"] = _folder(clip, count)
    for video in sorted((data / "m3svd_video").glob("*_vis.mp4")):
        found[f"m3svd_video {video.stem[:-4]}"] = _video(video, count)
    found["llvip"] = _folder(data / "llvip32", count)
    found["msrs"] = _folder(data / "msrs8", count)
    for sequence in ("nato_camp", "duine"):
        found[f"tno_seq {sequence}"] = _folder(data / "tno_seq" / sequence, count)
    return {name: pairs for name, pairs in found.items() if pairs}


def _folder(folder: Path, count: int) -> Pairs:
    files = sorted((folder / "vis").iterdir())
    chosen = np.unique(np.linspace(0, len(files) - 1, count).round().astype(int))
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


def _video(visible: Path, count: int) -> Pairs:
    captures = [cv2.VideoCapture(str(p)) for p in (visible, _thermal_of(visible))]
    length = int(captures[0].get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(2, length - 3, count).round().astype(int).tolist())
    pairs = []
    for n in range(length):
        frames = [capture.read()[1] for capture in captures]
        if any(frame is None for frame in frames):
            break
        if n in wanted:
            grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
            pairs.append((grey[0], grey[1]))
    return pairs


def _thermal_of(visible: Path) -> Path:
    return visible.with_name(visible.name.replace("_vis", "_ir"))


def random_warp(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Thermal to visible pixels, within the bounds that this file names."""
    scale = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    turn = np.deg2rad(rng.uniform(-3, 3))
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = rng.uniform(-0.1, 0.1, 2) * [width, height]
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    similarity = np.eye(3)
    similarity[:2, :2], similarity[:2, 2] = rotation, middle - rotation @ middle + shift
    right, bottom = width - 1, height - 1
    corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float32)
    moved = corners + rng.uniform(-0.01, 0.01, (4, 2)).astype(np.float32) * width
    return similarity @ cv2.getPerspectiveTransform(corners, moved)


def warped(pairs: Pairs, matrix: np.ndarray) -> Pairs:
    """The pairs as a thermal camera would give them whose pixels `matrix` takes to visible ones."""
    keep = {
        "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        "borderMode": cv2.BORDER_REPLICATE,
    }
    return [(v, cv2.warpPerspective(t, matrix, t.shape[::-1], **keep)) for v, t in pairs]


def run_bars(data: Path, warps: int, seed: int, methods: bool) -> dict:
    """All runs, printed as they come."""
    rng = np.random.default_rng(seed)
    runs: list[dict] = []
    compared: dict[str, list[float]] = {}
    print("| rig | warp | raw px | referred px | recovered px | says | expected px | s |")
    print("|---|---|---:|---:|---:|---|---:|---:|")
    for name, every in rigs(data, 2 * PAIRS).items():
        pairs = every[::2] if len(every) > PAIRS else every
        height, width = pairs[0][0].shape
        refers = reference(every)
        own = np.eye(3)
        for number in range(warps + 1):
            matrix = random_warp(rng, width, height) if number else np.eye(3)
            moved = warped(pairs, matrix)
            begin = time.perf_counter()
            result = estimate(moved)
            seconds = time.perf_counter() - begin
            found = result.calibration.matrix
            if number == 0:
                own = found
            referred_px = corner_error_px(found, refers.matrix @ matrix, width, height)
            run = {
                "rig": name,
                "warp": number or "data",
                "raw_px": corner_error_px(found, matrix, width, height),
                "referred_px": referred_px if refers.is_sure else None,
                "recovered_px": corner_error_px(found, own @ matrix, width, height),
                "reference_px": corner_error_px(refers.matrix, np.eye(3), width, height),
                "reference_halves_differ_px": refers.halves_differ_px,
                "reference_expected_px": refers.expected_corner_error_px,
                **result.figures(),
            }
            runs.append(run)
            referred = f"{referred_px:.2f}" if refers.is_sure else "-"
            print(
                f"| {name} | {run['warp']} | {run['raw_px']:.2f} | {referred} | "
                f"{run['recovered_px']:.2f} | {result.verdict.value} | "
                f"{result.expected_corner_error_px:.2f} | {seconds:.1f} |",
                flush=True,
            )
            if methods and number:
                for way, other in registration_methods.refined(moved).items():
                    error = corner_error_px(other, matrix, width, height)
                    compared.setdefault(way, []).append(error)
    return {
        "runs": runs,
        "summary": _summary(runs),
        "limits chosen on one half of the rigs, judged on the other": _held_out(runs),
        "methods": _methods(compared),
    }


def _summary(runs: list[dict]) -> dict:
    asked = [run for run in runs if run["warp"] != "data"]
    summary: dict[str, object] = {}
    for key in ("raw_px", "referred_px", "recovered_px"):
        known = [run for run in asked if run[key] is not None]
        every = np.array([run[key] for run in known])
        summary[key] = {
            "runs": len(known),
            "median": float(np.median(every)),
            "90th percentile": float(np.percentile(every, 90)),
            **_good([run for run in known if run["verdict"] == Verdict.GOOD.value], key),
        }
    return summary


def _good(runs: list[dict], key: str) -> dict:
    """The figures of runs that say `good`."""
    errors = np.array([run[key] for run in runs])
    if not runs:
        return {"good runs": 0}
    return {
        "good runs": len(runs),
        "good: median": float(np.median(errors)),
        "good: share within 4 px": float((errors <= 4).mean()),
        "good: worst": float(errors.max()),
    }


def _held_out(runs: list[dict]) -> list[dict]:
    asked = [run for run in runs if run["warp"] != "data" and run["referred_px"] is not None]
    names = sorted({run["rig"] for run in asked})
    answers = []
    for chosen, judged in ((names[::2], names[1::2]), (names[1::2], names[::2])):
        widest = None
        for width in np.arange(2.0, 0.35, -0.1):
            good = [run for run in asked if run["rig"] in chosen and _would_say_good(run, width)]
            figures = _good(good, "referred_px")
            holds = good and figures["good: share within 4 px"] >= 0.9
            if holds and figures["good: worst"] <= 10:
                widest = width
                break
        if widest is not None:
            other = [run for run in asked if run["rig"] in judged]
            good = [run for run in other if _would_say_good(run, widest)]
            factor = {"limits, times those in use": round(float(widest), 1), "runs": len(other)}
            answers.append({**factor, **_good(good, "referred_px")})
    return answers


def _would_say_good(run: dict, width: float) -> bool:
    """With the two limits that decide most runs made wider by a factor."""
    limits = VerdictLimits()
    return (
        run["expected_corner_error_px_at_640"] <= width * limits.most_corner_error_px
        and run["residual_px_at_640"] <= width * limits.most_residual_px
        and run["agreeing_blocks"] >= limits.fewest_agreeing
        and run["clear_blocks"] >= limits.fewest_blocks
        and run["margin"] >= limits.least_margin
    )


def _methods(compared: dict[str, list[float]]) -> dict:
    return {
        way: {
            "median": float(np.median(errors)),
            "90th percentile": float(np.percentile(errors, 90)),
            "worst": float(max(errors)),
        }
        for way, errors in compared.items()
    }


def run_roadscene(data: Path, count: int) -> dict:
    """Scale found between `vis_hr` and `ir`, against the ratio of their sizes."""
    errors, verdicts = [], []
    files = sorted((data / "roadscene" / "ir").iterdir())
    for file in files[:: max(1, len(files) // count)][:count]:
        thermal = cv2.imread(str(file), 0)
        visible = cv2.imread(str(next((data / "roadscene" / "vis_hr").glob(file.stem + ".*"))), 0)
        result: PairEstimate = estimate([(visible, thermal)])
        scale = result.calibration.scale
        true = np.array([visible.shape[1] / thermal.shape[1], visible.shape[0] / thermal.shape[0]])
        errors.append(np.abs(np.array(scale) / true - 1) * 100)
        verdicts.append(result.verdict.value)
        print(f"roadscene {file.stem}: scale {scale[0]:.3f} {scale[1]:.3f}, true {true[0]:.3f} "
              f"{true[1]:.3f}, {result.verdict.value}", flush=True)  # fmt: skip
    errors = np.array(errors)
    return {
        "pairs": len(errors),
        "median error of the scale, percent": float(np.median(errors)),
        "90th percentile, percent": float(np.percentile(errors, 90)),
        "verdicts": {v: verdicts.count(v) for v in sorted(set(verdicts))},
    }


def run_strangers(data: Path) -> dict:
    """Verdicts on pairs whose halves come from different rigs, each rig with the next three."""
    every = {name: pairs for name, pairs in rigs(data).items() if len(pairs) == PAIRS}
    verdicts = []
    for distance in (1, 2, 3):
        for number, (name, pairs) in enumerate(every.items()):
            other = list(every)[(number + distance) % len(every)]
            mixed = [(v, t) for (v, _), (_, t) in zip(pairs, every[other], strict=True)]
            result = estimate(mixed)
            verdicts.append(result.verdict.value)
            print(f"{name} with {other}: {verdicts[-1]} ({'; '.join(result.reasons)})", flush=True)
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--warps", type=int, default=3, help="known warps a rig (default 3)")
    parser.add_argument("--seed", type=int, default=2026, help="of the warps (default 2026)")
    parser.add_argument("--methods", action="store_true", help="compare ways to refine, too")
    parser.add_argument(
        "--roadscene", type=int, default=0, metavar="N", help="pairs of unequal size"
    )
    parser.add_argument("--strangers", action="store_true", help="pairs of different places, too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = (
        run_bars(arguments.data, arguments.warps, arguments.seed, arguments.methods)
        if arguments.warps
        else {}
    )
    if arguments.roadscene:
        figures["roadscene"] = run_roadscene(arguments.data, arguments.roadscene)
    if arguments.strangers:
        figures["strangers"] = run_strangers(arguments.data)
    print(json.dumps({k: v for k, v in figures.items() if k != "runs"}, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
