# SPDX-License-Identifier: Apache-2.0
"""Measured tables of the documentation, rendered from docs/measurements/*.json.

    python -m benchmarks.pages                 # render the JSON files into the pages
    python -m benchmarks.pages --bench bench   # first replace the tables that a run measured

A page marks a table's place with `<!-- table: NAME -->` and `<!-- /table -->`; NAME.json holds it.
No figure is copied by hand: a test compares the pages with the JSON files.

Exit codes: 0 every place was filled, 1 a file is missing or damaged.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import summary, tables
from fusion_ros.files.writing import write_text

REPOSITORY = Path(__file__).resolve().parents[1]
MEASUREMENTS = Path("docs/measurements")
_PLACE = re.compile(r"<!-- table: (?P<name>\S+) -->\n.*?<!-- /table -->", flags=re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One measured table, as its JSON file holds it.

    Attributes:
        title: subject of the table.
        command: what measured it.
        machine: processor, cores and, where they matter, versions.
        date: day of the measurement (year-month-day).
        commit: of the measured code; for a run over several commits the newest.
        columns: header.
        rows: cells as they are displayed; times in ms unless the header has another unit.
        notes: conditions and conclusions, below the table.
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
        origin = f"*`{self.command}`; {self.date}, commit {self.commit}, {self.machine}.*"
        parts = [f"**{self.title}**", tables.table(self.columns, self.rows), self.notes, origin]
        return "\n\n".join(filter(None, parts))


def load(name: str, folder: Path = REPOSITORY / MEASUREMENTS) -> Measurement:
    """Read a measurement.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    path = folder / f"{name}.json"
    try:
        return Measurement(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error


def fill(page: str, folder: Path = REPOSITORY / MEASUREMENTS) -> str:
    """Return a page with every marked place filled from its JSON file.

    Raises:
        ValueError: see `load`.
    """

    def place(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- table: {name} -->\n{load(name, folder).markdown()}\n<!-- /table -->"

    return _PLACE.sub(place, page)


def pages(repository: Path = REPOSITORY) -> list[Path]:
    """Return the pages that may hold tables: the README and everything below docs/."""
    return [repository / "README.md", *sorted((repository / "docs").glob("**/*.md"))]


def take_over(bench: Path, folder: Path) -> list[str]:
    """Write each section of a `make bench` run as a JSON file. Return the sections' names.

    Raises:
        ValueError: the folder holds no run, or a damaged one.
    """
    run = json.loads((bench / "run.json").read_text(encoding="utf-8"))
    sections = summary.sections(bench)
    commit = _commit()
    for name, text in sections.items():
        parts = summary.SECTIONS[name].parts if name in summary.SECTIONS else tuple(run["parts"])
        measured = [run["parts"][part] for part in parts if part in run["parts"]]
        columns, rows, notes = _split(text)
        measurement = Measurement(
            title=summary.SECTIONS[name].title if name in summary.SECTIONS else "Machine and load",
            command=f"make bench ARGS='--only {' '.join(parts)}'",
            machine=f"{run['machine']['cpu']}, {run['machine']['cores']} cores",
            date=max(part["date"] for part in measured)[:10],
            commit=commit,
            columns=columns,
            rows=rows,
            notes=notes,
        )
        write(measurement, folder / f"{name}.json")
    return list(sections)


def write(measurement: Measurement, path: Path) -> None:
    """Write a measurement with one row of the table in each line, so that changes are readable."""
    fields: dict[str, Any] = dataclasses.asdict(measurement)
    lines = []
    for name, value in fields.items():
        text = json.dumps(value, ensure_ascii=False)
        if name == "rows":
            rows = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in value)
            text = f"[\n    {rows}\n  ]"
        lines.append(f"  {json.dumps(name)}: {text}")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _split(markdown: str) -> tuple[list[str], list[list[str]], str]:
    """Return header, rows and the remaining text of a section with one table."""
    lines = markdown.split("\n")
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    notes = "\n".join(line for line in lines if not line.startswith("|")).strip()
    return cells[0], cells[2:], re.sub(r"\n{3,}", "\n\n", notes)


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def main() -> int:
    """Fill the pages; see the module's exit codes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bench", type=Path, metavar="DIR", help="folder that make bench wrote")
    args = parser.parse_args()
    try:
        if args.bench:
            print(f"taken over: {', '.join(take_over(args.bench, REPOSITORY / MEASUREMENTS))}")
        for path in pages():
            before = path.read_text(encoding="utf-8")
            after = fill(before)
            if after != before:
                write_text(path, after)
                print(f"filled {path.relative_to(REPOSITORY)}")
    except (OSError, KeyError, ValueError) as error:
        print(f"benchmarks.pages: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
