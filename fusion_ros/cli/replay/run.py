# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay` offline: make jobs from the command line, and judge their results."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from fusion_ros.cli.exit_codes import DONE, STOPPED
from fusion_ros.cli.inputs import matching_of, show_files
from fusion_ros.cli.options import parameter_values
from fusion_ros.files.folders import discard, publish, reserved
from fusion_ros.files.writing import write_json
from fusion_ros.outside_text import error_line, printable, say
from fusion_ros.recordings.matching import MatchError
from fusion_ros.replay.findings.codes import INCOMPLETE
from fusion_ros.replay.gate import NO_GATE, Gate, Verdict
from fusion_ros.replay.job import RESULTS, Job, JobResult, run_job
from fusion_ros.replay.settings import BASELINES, QUICK_MEASURES, ReplaySettings, refuse_unsupported

PAIRING = {
    "tolerance_ms": "pairing_tolerance_ms",
    "thermal_offset_ms": "thermal_offset_ms",
    "stamp_source": "stamp_source",
}
"""Parameters of the fuse node that options of `replay` set."""


def run_offline(args: argparse.Namespace) -> int:
    """Replay every recording and return the exit code."""
    from fusion_ros.replay.many_recordings import run_side_by_side

    gate = Gate.load(args.gate) if args.gate else NO_GATE
    gate.refuse_unknown_paths(f"--gate {args.gate}")
    jobs = _jobs(args)
    for path in args.recordings or [None]:
        reported_by_the_job = () if args.dry_run else (MatchError, OSError)
        with contextlib.suppress(*reported_by_the_job):
            show_files(args, path)
    if args.dry_run:
        return DONE
    others = _other_runs(args, jobs)
    concluded: dict[str, tuple[JobResult, Verdict]] = {}
    with reserved(args.out):
        with _progress(args, len(jobs)) as bar:
            several = len(jobs) > 1
            for result in run_side_by_side(jobs, args.jobs) if several else map(run_job, jobs):
                with bar.external_write_mode():
                    out = result.job.out
                    concluded[out] = _conclude(result, gate, others.get(out), args)
                bar.update()
        outcomes = [concluded[job.out] for job in jobs]
        if len(jobs) > 1:
            from fusion_ros.replay.report.index_page import write_index

            say(f"replay: {write_index(args.out, outcomes)}")
    if any(result.stopped for result, _ in outcomes):
        return STOPPED
    return max(verdict.exit_code for _, verdict in outcomes)


def _jobs(args: argparse.Namespace) -> list[Job]:
    """Return a job for each recording.

    Raises:
        ValueError: options exclude each other, or a parameter is unusable.
    """
    values = parameter_values(args, **PAIRING)
    several = len(args.recordings) > 1
    for name in ("thermal", "rerun"):
        if several and getattr(args, name):
            raise ValueError(f"--{name} belongs to one recording, but several were given")
    if bool(args.recordings) == (args.pairs is not None):
        raise ValueError("give either RECORDING or --pairs")
    recordings = args.recordings or [args.pairs]
    names = _folder_names(recordings)
    settings, matching = settings_of(args, values), matching_of(args)
    return [
        Job(
            recording=str(path),
            partner=str(args.thermal) if args.thermal else None,
            out=str(args.out / name if several else args.out),
            visible_topic=args.visible_topic,
            thermal_topic=args.thermal_topic,
            rate_hz=args.frame_rate,
            matching=matching,
            parameters=values,
            settings=settings,
            fused_bag=args.fused_bag,
            fused_video=args.fused_video,
            rerun=str(args.rerun) if args.rerun else None,
            report=not args.no_report,
            detector=_detector_of(args),
            show_progress=not several or args.jobs == 1,
        )
        for path, name in zip(recordings, names, strict=True)
    ]


def settings_of(args: argparse.Namespace, values: dict[str, Any]) -> ReplaySettings:
    """Return the settings of the replay itself from the parameters and options."""
    from fusion_ros.metrics.baselines import BASELINES as ALL_BASELINES
    from fusion_ros.metrics.names import HIGHER_IS_BETTER as MEASURES
    from fusion_ros.parameters import FuseParameters
    from fusion_ros.streams.flow_options import FlowOptions

    parameters = FuseParameters.from_values(values)
    refuse_unsupported(parameters)
    groups = {"quick": QUICK_MEASURES, "all": tuple(MEASURES), "none": ()}
    measures = _names("--measures", args.measures, groups, MEASURES)
    if measures and not importlib.util.find_spec("torch"):
        raise ValueError(
            f"--measures is {args.measures}, which needs PyTorch, and it is not installed "
            "(pip install 'fusion_ros[replay]'); allowed without it: --measures none"
        )
    return ReplaySettings(
        **vars(FlowOptions.of(parameters)),
        quality_every=args.every,
        measures=measures,
        baselines=_names(
            "--baselines", args.baselines, {"default": BASELINES, "none": ()}, ALL_BASELINES
        ),
        measure_in_background=args.jobs == 1,
        max_frames=args.max_messages,
    )


def _names(
    option: str, text: str, groups: Mapping[str, tuple[str, ...]], known: Collection[str]
) -> tuple[str, ...]:
    """Return the names of a group, or those separated by commas."""
    names = groups.get(text, tuple(text.split(",")))
    if unknown := [name for name in names if name not in known]:
        allowed = ", ".join([*groups, *known])
        raise ValueError(f"{option} is {', '.join(unknown)}; allowed: {allowed}")
    return names


def _detector_of(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.detector is None:
        return None
    return {
        "model": str(args.detector),
        "layout": args.detector_layout,
        "classes": str(args.classes) if args.classes else None,
        "labels": str(args.labels) if args.labels else None,
        "confidence": args.confidence,
        "merge": {old: new for merged in args.merge_classes for old, new in merged.items()},
    }


def _progress(args: argparse.Namespace, recordings: int) -> Any:
    """Return a progress bar over recordings that do not show one each."""
    from tqdm import tqdm

    show = recordings > 1 and args.jobs > 1 and sys.stderr.isatty()
    return tqdm(total=recordings, unit="recording", disable=not show)


def _other_runs(args: argparse.Namespace, jobs: list[Job]) -> dict[str, Path]:
    """Return the earlier run for each job; check now, before hours are spent.

    Raises:
        ValueError: a folder holds no earlier run.
    """
    if not args.compare:
        return {}
    from fusion_ros.replay.compare import load_summary

    several = len(jobs) > 1
    others = {j.out: args.compare / Path(j.out).name if several else args.compare for j in jobs}
    for other in others.values():
        load_summary(other)
    return others


def _conclude(
    result: JobResult, gate: Gate, other: Path | None, args: argparse.Namespace
) -> tuple[JobResult, Verdict]:
    """Judge, compare, write the report and publish; a failure affects only its recording."""
    label = printable(Path(result.job.recording).name)
    comparison = None
    if not result.error:
        staging = Path(result.staged)
        try:
            verdict = _verdict(result, gate)
            if other:
                from fusion_ros.replay.compare import compare_runs

                comparison = compare_runs(other, staging)
                write_json(staging / "comparison.json", dataclasses.asdict(comparison))
            if not args.no_report:
                from fusion_ros.replay.report import write_report

                write_report(staging, result.material, verdict, result.job, comparison)
            publish(staging, RESULTS)
        except Exception as error:  # a full disk, an earlier run that cannot be compared
            result = JobResult(result.job, error=error_line(error))
        finally:
            discard(staging)
    if result.error:
        say(f"replay: {label}: could not run: {result.error}", error=True)
        return result, Verdict.could_not_run(result.error)
    if comparison:
        say(f"replay: {label}: compared with {other}: {comparison.headline}")
    _say_figures(label, result.summary)
    for reason in verdict.reasons:
        say(f"replay:   {reason}")
    say(f"replay: {label}: {verdict.word} ({result.job.out})")
    return result, verdict


def _say_figures(label: str, summary: Mapping[str, Any]) -> None:
    say(
        f"replay: {label}: {summary['fused']} pairs fused of {summary['recorded']['visible']} "
        f"visible and {summary['recorded']['thermal']} thermal frames, "
        f"{summary['times']['real_time_factor'] or 0:.2f} x real time"
    )
    say(f"replay:   topics: {summary['recording']['choice']}")
    rig = dict(summary["rig"])
    word = rig.pop("verdict")
    each = ", ".join(f"{name} {answer}" for name, answer in rig.items())
    say(f"replay: {label}: rig: {word} ({each})")
    for finding in summary["findings"]:
        say(f"replay:   {finding['severity']}: {finding['code']}: {finding['title']}")


def _verdict(result: JobResult, gate: Gate) -> Verdict:
    summary = result.summary
    if result.stopped:
        return Verdict.could_not_run("stopped before the end of the recording")
    unread = [
        finding["title"]
        for finding in summary["findings"]
        if finding["code"] in INCOMPLETE and finding["code"] not in gate.expect
    ]
    if unread and not summary["fused"]:
        # Without a measurement there is nothing to judge.
        return Verdict.could_not_run(f"no pair could be fused: {'; '.join(unread)}")
    return gate.judge(summary)


def _folder_names(recordings: list[Path]) -> list[str]:
    """Return a folder name for each recording; equal names get a number."""
    names: list[str] = []
    for path in recordings:
        name = re.sub(r"[^\w.-]+", "_", path.stem if path.is_file() else path.name) or "recording"
        wanted, number = name, 2
        while name in names:
            name, number = f"{wanted}_{number}", number + 1
        names.append(name)
    return names
