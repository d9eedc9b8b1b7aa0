# SPDX-License-Identifier: Apache-2.0
"""How well `calibrate --from-pairs` recovers a known warp, on real pairs.

    python -m benchmarks.registration_bars DATA --runs RUNS.jsonl [--warps 6] [--seed 7]
        [--only RIG] [--methods] [--roadscene 20] [--strangers]

Each rig's thermal pictures are warped by a known homography (`registration_rigs`) and the
calibration is asked for it. Every run is added to RUNS.jsonl, and what is there already is not run
again. In pixels of a 640 wide visible picture it is told

- how far the thermal corners are off, and how far the visible pixels that both cameras see, where
  `registration_witness` says that the data's own pairs lie;
- the same as if they lay on each other exactly, which they do not (`raw`);
- how far the edges of `registration_landmarks` are off, which are where they are by eye;
- recovered: how far the corners are from what the method itself says of the unwarped pairs.

`--methods` compares ways to refine the same first guess.
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
from benchmarks.registration_landmarks import distances_px, landmarks
from benchmarks.registration_rigs import (
    Pairs,
    corner_error_px,
    every_other,
    known_warps,
    overlap_error_px,
    rigs,
    warped,
)
from benchmarks.registration_witness import witnesses
from fusion_ros.calibration.from_pairs import PairEstimate, Verdict, estimate

MEASURES = (
    "corners_px",
    "overlap_px",
    "edges_median_px",
    "edges_90_px",
    "recovered_px",
    "raw_corners_px",
    "raw_overlap_px",
)


def run_bars(pairs_of: dict[str, Pairs], warps: int, seed: int, file: Path) -> None:
    """All runs that are not in the file yet, added to it as they come."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    done = {(r["rig"], r["warp"], r["seed"]) for r in map(json.loads, lines)}
    for rig, every in pairs_of.items():
        pairs = every_other(every)
        size = pairs[0][0].shape[::-1]
        for number, matrix in enumerate(known_warps(rig, warps, seed, size)):
            if (rig, number, seed) in done:
                continue
            begin = time.perf_counter()
            result = estimate(warped(pairs, matrix))
            run = {
                "rig": rig,
                "warp": number,
                "seed": seed,
                "size": size,
                "known": matrix.tolist(),
                "found": result.calibration.matrix.tolist(),
                "seconds": round(time.perf_counter() - begin, 1),
                **result.figures(),
            }
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(run) + "\n")
            print(f"{rig}, warp {number}: {result.verdict.value}", flush=True)


def scored(runs: list[dict]) -> list[dict]:
    """The runs with their errors (`MEASURES`)."""
    marks, witnessed = landmarks(), witnesses()
    own = {run["rig"]: np.array(run["found"]) for run in runs if run["warp"] == 0}
    answers = []
    for run in runs:
        known, found, size = np.array(run["known"]), np.array(run["found"]), tuple(run["size"])
        right = witnessed[run["rig"]].matrix @ known
        errors = {
            "corners_px": corner_error_px(found, right, size),
            "overlap_px": overlap_error_px(found, right, size),
            "recovered_px": corner_error_px(found, own[run["rig"]] @ known, size),
            "raw_corners_px": corner_error_px(found, known, size),
            "raw_overlap_px": overlap_error_px(found, known, size),
        }
        if run["rig"] in marks:
            off = distances_px(marks[run["rig"]], found, known, size)
            errors["edges_median_px"], errors["edges_90_px"] = np.percentile(off, [50, 90])
            as_is = distances_px(marks[run["rig"]], np.eye(3), np.eye(3), size)
            errors["edges_as_is_px"] = float(np.median(as_is))
        answers.append({**run, **errors})
    return answers


def print_rigs(runs: list[dict]) -> None:
    """A row a rig: medians over its warps."""
    header = ["rig", "witness, px", "corners", "overlap", "edges, number", "edges as they are"]
    header += ["edges", "recovered", "raw corners", "raw overlap"]
    print("| " + " | ".join([*header, "says `good`"]) + " |")
    print("|---" + "|---:" * len(header) + "|")
    marks, witnessed = landmarks(), witnesses()
    for rig in dict.fromkeys(run["rig"] for run in runs):
        some = [run for run in runs if run["rig"] == rig and run["warp"]]
        good = sum(run["verdict"] == Verdict.GOOD.value for run in some)
        keys = ("corners_px", "overlap_px", "edges_as_is_px", "edges_median_px", "recovered_px")
        keys += ("raw_corners_px", "raw_overlap_px")
        cells = [f"{np.median([r[k] for r in some]):.2f}" if k in some[0] else "-" for k in keys]
        cells.insert(0, f"{witnessed[rig].corner_deviation_px:.1f}")
        cells.insert(3, str(len(marks.get(rig, []))))
        print(f"| {rig} | {' | '.join(cells)} | {good} of {len(some)} |")


def print_bars(runs: list[dict]) -> None:
    """A row a measure, for all rigs and for either half of them (every other one by name)."""
    asked = [run for run in runs if run["warp"]]
    names = sorted({run["rig"] for run in asked})
    halves = [] if len(names) < 4 else [("half A", names[::2]), ("half B", names[1::2])]
    for what, some in (("all rigs", names), *halves):
        print(f"\n{what}: {', '.join(some)}\n")
        print("| | runs | median | 90 % | `good` | their median | within 4 px | worst |")
        print("|---" + "|---:" * 7 + "|")
        for key in MEASURES:
            known = [run for run in asked if run["rig"] in some and key in run]
            if not known:
                continue
            every = np.array([run[key] for run in known])
            good = np.array([r[key] for r in known if r["verdict"] == Verdict.GOOD.value])
            cells = f"{len(every)} | {np.median(every):.2f} | {np.percentile(every, 90):.1f}"
            said = (
                f"{len(good)} | {np.median(good):.2f} | {(good <= 4).mean():.0%} | {good.max():.1f}"
                if good.size
                else "0 | - | - | -"
            )
            print(f"| {key} | {cells} | {said} |")


def run_methods(pairs_of: dict[str, Pairs], seed: int) -> None:
    """Ways to refine the same first guess, one warp a rig: errors of the corners."""
    errors: dict[str, list[float]] = {}
    witnessed = witnesses()
    for rig, every in pairs_of.items():
        pairs = every_other(every)
        size = pairs[0][0].shape[::-1]
        known = known_warps(rig, 1, seed, size)[1]
        for way, found in registration_methods.refined(warped(pairs, known)).items():
            off_px = corner_error_px(found, witnessed[rig].matrix @ known, size)
            errors.setdefault(way, []).append(off_px)
    for way, off in errors.items():
        print(f"| {way} | {np.median(off):.1f} | {np.percentile(off, 90):.1f} | {max(off):.1f} |")


def run_roadscene(data: Path, count: int) -> None:
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
    median, ninety = np.percentile(errors, [50, 90])
    print(f"roadscene: scale off by {median:.1f} % (median), {ninety:.1f} % (90 %); "
          f"{_counted(verdicts)}")  # fmt: skip


def run_strangers(pairs_of: dict[str, Pairs]) -> None:
    """Verdicts on pairs whose halves come from different rigs, each rig with the next three."""
    verdicts, names = [], list(pairs_of)
    for distance in (1, 2, 3):
        for number, name in enumerate(names):
            other = names[(number + distance) % len(names)]
            halves = every_other(pairs_of[name]), every_other(pairs_of[other])
            result = estimate([(v, t) for (v, _), (_, t) in zip(*halves, strict=True)])
            verdicts.append(result.verdict.value)
            print(f"{name} with {other}: {verdicts[-1]} ({'; '.join(result.reasons)})", flush=True)
    print(f"strangers: {_counted(verdicts)}")


def _counted(verdicts: list[str]) -> str:
    return ", ".join(f"{verdicts.count(v)} {v}" for v in sorted(set(verdicts)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, required=True, help="file that runs are kept in")
    parser.add_argument("--warps", type=int, default=6, help="known warps a rig (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of the warps (%(default)s)")
    parser.add_argument("--only", metavar="RIG", help="run this rig alone")
    parser.add_argument("--methods", action="store_true", help="compare ways to refine, too")
    parser.add_argument(
        "--roadscene", type=int, default=0, metavar="N", help="pairs of unequal size"
    )
    parser.add_argument("--strangers", action="store_true", help="pairs of different places, too")
    arguments = parser.parse_args()
    pairs_of = rigs(arguments.data)
    if arguments.only and arguments.only not in pairs_of:
        parser.error(f"--only is {arguments.only!r}; there are {', '.join(pairs_of)}")
    asked = {arguments.only: pairs_of[arguments.only]} if arguments.only else pairs_of
    run_bars(asked, arguments.warps, arguments.seed, arguments.runs)
    lines = arguments.runs.read_text(encoding="utf-8").splitlines()
    runs = scored([r for r in map(json.loads, lines) if r["seed"] == arguments.seed])
    print_rigs(runs)
    print_bars(runs)
    if arguments.methods:
        run_methods(asked, arguments.seed)
    if arguments.roadscene:
        run_roadscene(arguments.data, arguments.roadscene)
    if arguments.strangers:
        run_strangers(pairs_of)


if __name__ == "__main__":
    main()
