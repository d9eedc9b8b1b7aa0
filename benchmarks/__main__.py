# SPDX-License-Identifier: Apache-2.0
"""Run all benchmarks that need no data, one after the other, and write a page of their tables.

    python -m benchmarks [--out bench] [--only NAME ...] [--pairs VISIBLE THERMAL]

Each benchmark runs in its own process with a time limit. Ctrl-C ends the running one and keeps the
finished ones: `summary.md` is written after each from the JSON files in the folder. Earlier results
stay in it until they are measured again.

Exit codes: 0 all succeeded, 1 one failed or missed a bar, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.load import MOST_LOAD_BEFORE, LoadWatch
from benchmarks.summary import write_summary
from benchmarks.timing import machine
from fusion_ros.files.writing import write_text

RUN_FILE = "run.json"
#: A benchmark is ended after this multiple of the expected time plus this many seconds.
PATIENCE, PATIENCE_S = 3.0, 60.0
_ENDING_S = 20.0


@dataclasses.dataclass(frozen=True)
class Part:
    """One benchmark of the run.

    Attributes:
        name: name of its JSON file and in the summary.
        command: arguments of Python, without `--json`.
        expected_s: duration on two idle cores.
        answers: subject, for `--help`.
        is_timed: whether other load on the machine affects the results.
    """

    name: str
    command: tuple[str, ...]
    expected_s: float
    answers: str = ""
    is_timed: bool = True


def _part(name: str, line: str, expected_s: float, answers: str) -> Part:
    return Part(name, ("-m", *f"benchmarks.{line}".split()), expected_s, answers)


PARTS = (
    _part("whole_path", "whole_path", 25, "bytes in to bytes out, by stage, and memory a frame"),
    _part("engines_compact", "engines --presets compact", 45, "engines x precisions x sizes"),
    _part("engines_paper", "engines --presets paper", 110, "the same for the paper's network"),
    _part("rivals", "rivals", 55, "classical methods, published networks' shapes, plain eager"),
    _part("imaging", "imaging", 5, "each step between sensor and network"),
    _part("start_up", "start_up", 80, "process start to active, and memory of the node"),
    _part("node_latency", "node_latency --seconds 20", 35, "publish to publish, at 30 Hz"),
    _part("node_overload", "node_latency --seconds 10 --overload", 25, "with too slow an engine"),
)
_PRECISION_S = 240


def precision_part(sets: list[list[Path]]) -> Part:
    """Return the benchmark that needs data: errors of lower precisions on sets of pairs."""
    options = [word for pair in sets for word in ("--pairs", *map(str, pair))]
    command = ("-m", "benchmarks.precision", *options)
    answers = "errors of engines on real pairs"
    return Part("precision", command, _PRECISION_S, answers, is_timed=False)


def main() -> int:
    """Run the selected benchmarks and return the exit code."""
    lines = [f"  {p.name:16s} {p.expected_s:4.0f} s  {p.answers}" for p in PARTS]
    examples = """
  precision         240 s  errors of engines on real pairs (with --pairs)

examples:
  python -m benchmarks                          # all, nothing else should run meanwhile
  python -m benchmarks --only rivals imaging
  python -m benchmarks --only --pairs rgb/ thermal/
  python -m benchmarks.engines --presets compact --sizes 640x512 --precisions float32
  python -m benchmarks.pages --bench bench       # move the results to the documentation

Each benchmark has --help."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(["NAME, duration on two idle cores, and subject:", *lines]) + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), metavar="DIR", help="default: bench"
    )
    known = [part.name for part in PARTS]
    parser.add_argument(
        "--only", nargs="*", choices=known, default=known, metavar="NAME", help="default: all"
    )
    parser.add_argument(
        "--pairs",
        nargs=2,
        type=Path,
        action="append",
        metavar=("VISIBLE", "THERMAL"),
        help="folders of real pairs for the errors of engines; may be repeated",
    )
    args = parser.parse_args()
    parts = [part for part in PARTS if part.name in args.only]
    if args.pairs:
        parts.append(precision_part(args.pairs))
    if not parts:
        parser.error("--only without a NAME needs --pairs")
    return run(parts, args.out)


def run(parts: list[Part], out: Path) -> int:
    """Run parts, write `run.json` and `summary.md` after each, and return the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    is_timed = any(part.is_timed for part in parts)
    before, where = _earlier(out, machine(), is_timed=is_timed)
    expected_s = [_expected_s(part, before) for part in parts]
    print(
        f"{len(parts)} benchmarks, about {_minutes(sum(expected_s))} in all; nothing else should "
        "run meanwhile. Ctrl-C keeps the finished ones.",
        flush=True,
    )
    if os.getloadavg()[0] > MOST_LOAD_BEFORE:
        print(f"WARNING: the load average is {os.getloadavg()[0]:.1f}: the machine is busy")
    done, bad = dict(before), 0
    for number, part in enumerate(parts):
        left = _minutes(sum(expected_s[number:]))
        print(
            f"\n[{number + 1}/{len(parts)}] {part.name}, about {expected_s[number]:.0f} s "
            f"(remaining: {left})",
            flush=True,
        )
        record = _run_part(part, out, limit_s=PATIENCE * expected_s[number] + PATIENCE_S)
        if record["result"] == "stopped":
            print(f"stopped; {number} finished, tables in {out / 'summary.md'}", flush=True)
            return 130
        bad += record["result"] != "ok"
        done[part.name] = {**record, "begins_run": number == 0, "is_timed": part.is_timed}
        _write(out / RUN_FILE, {"machine": where, "parts": done})
        write_summary(out)
    print(f"\ntables: {out / 'summary.md'}", flush=True)
    return 1 if bad else 0


def _earlier(
    out: Path, here: dict[str, Any], *, is_timed: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the earlier results of this folder, and the machine that the page names.

    A page never combines times of two machines: before anything is timed here, times of another
    machine are left out. Results without times are valid on every machine.
    """
    run = _read(out / RUN_FILE)
    parts = run.get("parts", {})
    timed = [name for name, part in parts.items() if part.get("is_timed", True)]
    if not timed:
        return parts, here
    there = run["machine"]
    if not is_timed:
        return parts, there
    differs = [name for name in ("cpu", "cores") if there[name] != here[name]]
    if not differs:
        return parts, here
    facts = ", ".join(f"{name} {there[name]!r}, here {here[name]!r}" for name in differs)
    print(f"left out: {', '.join(timed)} in {out}, of another machine ({facts})", flush=True)
    return {name: part for name, part in parts.items() if name not in timed}, here


def _run_part(part: Part, out: Path, limit_s: float) -> dict[str, Any]:
    """Run one benchmark; its results replace earlier ones only if it finished."""
    unfinished = out / f".{part.name}.json"
    watch = LoadWatch()
    begun_s = time.monotonic()
    # In a new session, so that Ctrl-C is passed on to the process and its children from here.
    process = subprocess.Popen(
        [sys.executable, *part.command, "--json", str(unfinished)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    overdue = threading.Event()
    timer = threading.Timer(limit_s, lambda: (overdue.set(), _end(process)))
    timer.start()
    stopped = False
    try:
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
        process.wait()
    except KeyboardInterrupt:
        stopped = True
    finally:
        timer.cancel()
        _end(process)
        process.stdout.close()
    seconds = time.monotonic() - begun_s
    if stopped:
        result = "stopped"
    elif overdue.is_set():
        result = f"ended after {limit_s:.0f} s"
    elif not unfinished.is_file():
        result = f"failed, exit code {process.returncode}"
    else:
        result = "ok" if process.returncode == 0 else "a bar was missed, see its output"
        os.replace(unfinished, out / f"{part.name}.json")
    unfinished.unlink(missing_ok=True)
    if result != "ok":
        print(f"  {part.name}: {result}", flush=True)
    return {
        "command": list(part.command),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(seconds, 1),
        "result": result,
        **watch.stop(),
    }


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and its children, by force after a delay; it may have ended already."""
    for number, patience_s in ((signal.SIGINT, _ENDING_S), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


def _expected_s(part: Part, before: dict[str, Any]) -> float:
    """Return the duration of the last run of the same command here, or the documented one."""
    last = before.get(part.name, {})
    same = last.get("command") == list(part.command) and last.get("result") == "ok"
    return float(last["seconds"]) if same else part.expected_s


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
