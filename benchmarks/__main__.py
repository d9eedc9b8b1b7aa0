# SPDX-License-Identifier: Apache-2.0
"""Run the benchmarks that need no data, one after the other, and write a page of their tables.

    python -m benchmarks [--out bench] [--only NAME ...]

Each benchmark runs in its own process with a time limit. Ctrl-C ends the running one and keeps the
finished ones. The folder has a JSON file for each table and `summary.md` with all of them. Earlier
tables stay until they are measured again; each states its machine, date and commit.

Exit codes: 0 all succeeded, 1 one failed or missed a target, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.report.tables import load
from benchmarks.report.timing import LoadWatch
from fusion_ros.files.writing import write_text

#: A benchmark is ended after this multiple of the expected time plus this many seconds.
PATIENCE, PATIENCE_S = 3.0, 60.0
ENDING_S = 20.0
#: Share of the processors that other processes may use in a valid measurement.
MOST_OTHERS_PERCENT = 5.0


class Part(NamedTuple):
    """One benchmark: name of its JSON file, arguments of Python, duration, subject."""

    name: str
    command: str
    expected_s: float
    about: str = ""


_NODE = "-m benchmarks.node_latency"
_RIGS = "-m benchmarks.rigs --rates 10 20 30 --seconds 8"
PARTS = (
    Part("whole-path", "-m benchmarks.whole_path", 25, "bytes in to bytes out"),
    Part("passes", "-m benchmarks.passes", 5, "passes over pixels around the network"),
    Part("engines-compact", "-m benchmarks.engines --preset compact", 45, "engines and sizes"),
    Part("engines-paper", "-m benchmarks.engines --preset paper", 110, "the paper's network"),
    Part("rivals", "-m benchmarks.rivals", 40, "other methods and published networks' shapes"),
    Part("start-up", "-m benchmarks.start_up", 100, "process start to active, and memory"),
    Part("node-latency", _NODE, 200, "publish to publish, at 30 Hz"),
    Part("node-overload", f"{_NODE} --overload --seconds 15 --runs 1", 30, "too slow an engine"),
    Part("rigs", _RIGS, 150, "one, two and four rigs"),
)


def main() -> int:
    """Run the selected benchmarks and return the exit code."""
    names = [part.name for part in PARTS]
    lines = [f"  {part.name:16s} {part.expected_s:4.0f} s  {part.about}" for part in PARTS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(["NAME, duration on two idle cores, and subject:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("bench"), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    args = parser.parse_args()
    return run([part for part in PARTS if part.name in args.only], args.out)


def run(parts: list[Part], out: Path) -> int:
    """Run parts, write `summary.md` after each, and return the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    bad = []
    for number, part in enumerate(parts, 1):
        print(f"\n[{number}/{len(parts)}] {part.name}, about {part.expected_s:.0f} s", flush=True)
        try:
            result = _run_part(part, out)
        except KeyboardInterrupt:
            print(f"stopped; finished: {number - 1}, tables in {out / 'summary.md'}", flush=True)
            return 130
        if result:
            print(f"{part.name}: {result}", flush=True)
            bad.append(part.name)
        order = [each.name for each in PARTS]
        files = sorted(out.glob("*.json"), key=lambda path: (*order, path.stem).index(path.stem))
        tables = (load(path).markdown() for path in files)
        write_text(out / "summary.md", "\n\n".join(tables) + "\n")
    print(f"\ntables: {out / 'summary.md'}; failed or missed: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def _run_part(part: Part, out: Path) -> str:
    """Run one benchmark; its table replaces the earlier one only if it finished.

    Returns:
        A description of the failure, or "".
    """
    limit_s = PATIENCE * part.expected_s + PATIENCE_S
    unfinished = out / f".{part.name}.json"
    watch = LoadWatch()
    # In a new session, so that all its processes can be ended.
    process = subprocess.Popen(
        [sys.executable, *part.command.split(), "--json", str(unfinished)], start_new_session=True
    )
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return f"ended after {limit_s:.0f} s"
    finally:
        _end(process)
    if not unfinished.is_file():
        return f"failed, exit code {code}"
    others = watch.others_percent()
    table = load(unfinished)
    if others > MOST_OTHERS_PERCENT:
        busy = f"**Other processes took {others:.0f} % of the processors meanwhile.**"
        table = dataclasses.replace(table, notes=f"{table.notes}\n\n{busy}".strip())
    table.write(out / f"{part.name}.json")
    unfinished.unlink()
    return "a target was missed" if code else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children, by force after a delay; it may have ended already."""
    for number, patience_s in ((signal.SIGINT, ENDING_S), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


if __name__ == "__main__":
    sys.exit(main())
