# SPDX-License-Identifier: Apache-2.0
"""From the command line of `fusion-ros replay` to jobs, and from their results to a verdict."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from fusion_ros.parameter_files import read_parameters
from fusion_ros.replay.gate import Gate, Verdict
from fusion_ros.replay.job import Job, JobResult
from fusion_ros.replay.settings import BASELINES, QUICK_MEASURES, ReplaySettings


def run_offline(args: argparse.Namespace) -> int:
    """Replay every recording; 0 passed, 1 the gate failed, 2 one of them could not run."""
    values = parameter_values(args)
    gate = Gate.load(args.gate) if args.gate else None
    settings = settings_of(args, values)
    several = len(args.recordings) > 1
    names = _folder_names(args.recordings)
    jobs = [
        Job(
            recording=str(path),
            partner=str(args.thermal) if args.thermal else None,
            out=str(args.out / name if several else args.out),
            visible_topic=args.visible_topic,
            thermal_topic=args.thermal_topic,
            rate_hz=args.picture_rate,
            parameters=values,
            settings=settings,
            fused_bag=args.fused_bag,
            fused_video=args.fused_video,
            report=not args.no_report,
            detector=_detector_of(args),
            show_progress=not several or args.jobs == 1,
        )
        for path, name in zip(args.recordings, names, strict=True)
    ]
    results = _run_jobs(jobs, args)
    verdicts = [_conclude(result, gate, args) for result in results]
    if several:
        from fusion_ros.replay.index_page import write_index

        write_index(args.out, [(r, v) for r, v in zip(results, verdicts, strict=True)])
        print(f"replay: {args.out / 'index.html'}")
    return max(verdict.exit_code for verdict in verdicts)


def parameter_values(args: argparse.Namespace) -> dict[str, Any]:
    """The node's parameters: --params, then --set, then the options that stand for one.

    Raises:
        ValueError: names what is wrong.
    """
    values = read_parameters(args.params, args.set)
    for option, name in (
        ("preset", "preset"),
        ("engine", "engine"),
        ("device", "device"),
        ("tolerance_ms", "pairing_tolerance_ms"),
        ("thermal_offset_ms", "thermal_offset_ms"),
        ("stamp_source", "stamp_source"),
    ):
        if getattr(args, option) is not None:
            values[name] = getattr(args, option)
    if args.weights:
        values["weights"] = str(args.weights)
    return values


def settings_of(args: argparse.Namespace, values: dict[str, Any]) -> ReplaySettings:
    """What the replay itself needs of the parameters and options."""
    from fusion_ros.metrics import MEASURES
    from fusion_ros.parameters import FuseParameters

    parameters = FuseParameters.from_values(values)
    known = {"quick": QUICK_MEASURES, "all": tuple(MEASURES), "none": ()}
    measures = known.get(args.measures, tuple(args.measures.split(",")))
    if unknown := [name for name in measures if name not in MEASURES]:
        raise ValueError(f"--measures names {unknown}; allowed: quick, all, none, {list(MEASURES)}")
    from fusion_ros.baselines import BASELINES as ALL

    choices = {"default": BASELINES, "none": ()}
    baselines = choices.get(args.baselines, tuple(args.baselines.split(",")))
    if unknown := [name for name in baselines if name not in ALL]:
        raise ValueError(f"--baselines names {unknown}; allowed: default, none, {list(ALL)}")
    return ReplaySettings(
        tolerance_ns=round(parameters.pairing_tolerance_ms * 1e6),
        thermal_offset_ns=round(parameters.thermal_offset_ms * 1e6),
        queue_size=parameters.pairing_queue_size,
        stamp_source=parameters.stamp_source,
        detect_shutter=parameters.detect_shutter,
        quality_every=args.every,
        measures=measures,
        baselines=baselines,
        measure_in_background=args.jobs == 1 and not args.ray,
        max_frames=args.max_messages,
    )


def _detector_of(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.detector is None:
        return None
    return {
        "model": str(args.detector),
        "layout": args.detector_layout,
        "classes": str(args.classes) if args.classes else None,
        "labels": str(args.labels) if args.labels else None,
        "confidence": args.confidence,
    }


def _run_jobs(jobs: list[Job], args: argparse.Namespace) -> list[JobResult]:
    if args.ray:
        from fusion_ros.replay.many import run_on_ray

        return run_on_ray(jobs, args.ray)
    if args.jobs > 1 and len(jobs) > 1:
        from fusion_ros.replay.many import run_side_by_side

        return run_side_by_side(jobs, args.jobs)
    from fusion_ros.replay.job import run_job

    return [run_job(job) for job in jobs]


def _conclude(result: JobResult, gate: Gate | None, args: argparse.Namespace) -> Verdict:
    """Print what came out; compare; write the report."""
    label = Path(result.recording).name
    if result.error:
        print(f"replay: {label}: could not run: {result.error}", file=sys.stderr)
        return Verdict.could_not_run(result.error)
    summary = result.summary
    verdict = gate.judge(summary) if gate else Verdict.without_gate()
    comparison = None
    if args.compare:
        from fusion_ros.replay.compare import compare_runs, write_comparison

        comparison = compare_runs(args.compare, Path(result.out))
        write_comparison(Path(result.out), comparison)
        print(f"replay: {label}: compared with {args.compare}: {comparison.headline}")
    if not args.no_report:
        from fusion_ros.replay.report import write_report

        write_report(Path(result.out), result.material, verdict, comparison)
    print(
        f"replay: {label}: {summary['fused']} pairs fused of {summary['recorded']['visible']} "
        f"visible and {summary['recorded']['thermal']} thermal frames, "
        f"{summary['times']['real_time_factor'] or 0:.2f} x real time"
    )
    for finding in summary["findings"]:
        print(f"replay:   {finding['severity']}: {finding['code']}: {finding['title']}")
    for reason in verdict.reasons:
        print(f"replay:   {reason}")
    print(f"replay: {label}: {verdict.word} ({result.out})")
    return verdict


def _folder_names(recordings: list[Path]) -> list[str]:
    """A folder for each recording, named after it; equal names are told apart by a number."""
    names: list[str] = []
    for path in recordings:
        name = re.sub(r"[^\w.-]+", "_", path.stem if path.is_file() else path.name) or "recording"
        wanted, number = name, 2
        while name in names:
            name, number = f"{wanted}_{number}", number + 1
        names.append(name)
    return names
