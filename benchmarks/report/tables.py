# SPDX-License-Identifier: Apache-2.0
"""The measured table of a benchmark, as docs/measurements/*.json and the pages hold it."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.report.timing import Sample, machine
from fusion_ros.cli.argument_types import image_size
from fusion_ros.files.writing import write_text

REPOSITORY = Path(__file__).resolve().parents[2]
#: Medians of fewer runs than this are marked.
FEW_RUNS = 5


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One measured table.

    Attributes:
        title: subject of the table.
        command: what measured it.
        machine: processor, cores and, where they matter, versions.
        date: day of the measurement (year-month-day).
        commit: of the measured code; for a run over several commits the newest.
        columns: header.
        rows: cells as they are displayed; times in ms unless the header has another unit.
        notes: conditions, targets and conclusions, below the table.
    """

    title: str
    command: str
    machine: str
    date: str
    commit: str
    columns: list[str]
    rows: list[list[str]]
    notes: str = ""

    def __post_init__(self) -> None:
        """Check that each row has a cell for each column.

        Raises:
            ValueError: a row is shorter or longer than the header.
        """
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(row)} cells for {len(self.columns)} columns: {row}")

    def markdown(self) -> str:
        """Return title, table, notes and origin."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        origin = f"*`{self.command}`; {self.date}, commit {self.commit}, {self.machine}.*"
        return "\n\n".join(filter(None, (f"**{self.title}**", table, self.notes, origin)))

    def write(self, path: Path) -> None:
        """Write one row of the table in each line, so that changes are readable."""
        fields = {n: json.dumps(v, ensure_ascii=False) for n, v in vars(self).items()}
        rows = (f"    {json.dumps(row, ensure_ascii=False)}" for row in self.rows)
        fields["rows"] = "[\n" + ",\n".join(rows) + "\n  ]"
        lines = (f"  {json.dumps(name)}: {text}" for name, text in fields.items())
        write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def load(path: Path) -> Measurement:
    """Read a measurement.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    try:
        return Measurement(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error


@dataclasses.dataclass(frozen=True)
class Target:
    """A target and the measured value: "whole path in at most 33 ms", "6.7 ms"."""

    asked: str
    measured: str
    is_met: bool

    def __str__(self) -> str:
        return f"- {self.asked}: {self.measured}, {'met' if self.is_met else '**missed**'}"


def ms(value: float) -> str:
    """Format a time with three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(sample: Sample) -> str:
    """Format median and best as "4.10 (3.80)", with the number of runs if they are few."""
    few = f", {sample.runs} runs" if sample.runs < FEW_RUNS else ""
    return f"{ms(sample.median_ms)} ({ms(sample.best_ms)}{few})"


def options(about: str | None, size: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with `--json`, and `--size` if a default is given."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if size:
        parser.add_argument("--size", type=image_size, default=size, metavar="WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path, help="write the table to this file")
    return parser


def report(
    path: Path | None,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    notes: Iterable[str] = (),
    targets: Sequence[Target] = (),
) -> int:
    """Print the table of a benchmark and write it as JSON if a path is given.

    Returns:
        The exit code: 1 if a target is missed.
    """
    git = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    given = [o for o in sys.argv[1:] if o not in ("--json", str(path))]
    measurement = Measurement(
        title=title,
        command=" ".join(["python -m", f"benchmarks.{Path(sys.argv[0]).stem}", *given]),
        machine=machine(),
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        commit=found.stdout.strip() or "unknown",
        columns=list(columns),
        rows=[list(row) for row in rows],
        notes="\n\n".join(filter(None, (*notes, "\n".join(map(str, targets))))),
    )
    print(f"\n{measurement.markdown()}")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        measurement.write(path)
    return int(any(not target.is_met for target in targets))
