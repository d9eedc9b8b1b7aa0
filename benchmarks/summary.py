# SPDX-License-Identifier: Apache-2.0
"""Write a page of tables from the JSON files of a run.

    python -m benchmarks.summary [--folder bench]

Writes `summary.md` in the folder. `benchmarks.pages` moves the tables to the documentation.
Exit codes: 0 written, 1 the folder holds no run, or a damaged one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import tables
from benchmarks.bars import Document, Row
from benchmarks.load import MOST_LOAD_BEFORE, MOST_OTHERS_PERCENT
from fusion_ros.files.writing import write_text


@dataclasses.dataclass(frozen=True)
class Section:
    """A table of the page.

    Attributes:
        title: heading of the table.
        parts: benchmarks that provide documents; one of them suffices.
        make: function from documents, by the benchmarks' names, to Markdown.
    """

    title: str
    parts: tuple[str, ...]
    make: Callable[[Mapping[str, Document]], str]


def _of_rows(title: str, part: str, make: Callable[[list[Row]], str]) -> Section:
    """Return a section for the rows of one benchmark."""
    return Section(title, (part,), lambda documents: make(documents[part]["rows"]))


_NODE = ("node_latency", "node_overload")
SECTIONS = {
    "bars": Section("Bars", ("whole_path", "rivals", *_NODE), tables.met),
    "whole-path": _of_rows("Whole path, bytes in to bytes out", "whole_path", tables.whole_path),
    "precision": _of_rows("Errors on real pairs", "precision", tables.precision),
    "engines-compact": _of_rows("Engines, `compact`", "engines_compact", tables.engines),
    "engines-paper": _of_rows("Engines, `paper`", "engines_paper", tables.engines),
    "rivals": _of_rows("Methods in turn in one process", "rivals", tables.rivals),
    "start-up": _of_rows("Start and memory of the node", "start_up", tables.start_up),
    "imaging": _of_rows("Each step between sensor and network", "imaging", tables.imaging),
    "node": Section("Publish to publish, through the node", _NODE, tables.node),
}


def sections(folder: Path) -> dict[str, str]:
    """Markdown of every section that this folder has figures for, by name; "run" among them.

    Raises:
        ValueError: there was no run in this folder, or a file of it is damaged.
    """
    run = _read(folder / "run.json")
    found = {"run": machine_and_load(run)}
    for name, section in SECTIONS.items():
        documents = {
            part: _read(folder / f"{part}.json")
            for part in section.parts
            if part in run["parts"] and (folder / f"{part}.json").is_file()
        }
        if documents:
            found[name] = section.make(documents)
    return found


def machine_and_load(run: Document) -> str:
    """Return machine, dates, and load during the measurements."""
    machine, parts = run["machine"], run["parts"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    bfloat16 = "with" if machine["bfloat16"] else "without"
    lines = [
        f"{machine['cpu']}, {cores}, {bfloat16} bfloat16 in hardware; "
        f"Python {machine['python']}, {versions}.",
        "",
        tables.table(
            ["benchmark", "date", "s", "load before", "after", "others took", "result"],
            [
                [
                    name,
                    part["date"],
                    f"{part['seconds']:.0f}",
                    f"{part['load_before']:.1f}",
                    f"{part['load_after']:.1f}",
                    "-" if part["others_percent"] is None else f"{part['others_percent']:.0f} %",
                    part["result"],
                ]
                for name, part in parts.items()
            ],
        ),
    ]
    if disturbed := disturbances(parts):
        lines += ["", f"**WARNING: the machine was busy**: {'; '.join(disturbed)}."]
    return "\n".join(lines)


def disturbances(parts: dict[str, Document]) -> list[str]:
    """Return the signs of other load during the measurements."""
    found = []
    for name, part in parts.items():
        if not part.get("is_timed", True):
            continue
        # Later benchmarks begin under the load of the previous ones.
        if part["begins_run"] and part["load_before"] > MOST_LOAD_BEFORE:
            found.append(f"the load average was {part['load_before']:.1f} before {name}")
        if (part["others_percent"] or 0) > MOST_OTHERS_PERCENT:
            share = part["others_percent"]
            found.append(f"others took {share:.0f} % of the processors during {name}")
    return found


def write_summary(folder: Path) -> Path:
    """Write `summary.md`; see `sections`."""
    parts = ["# Benchmarks"]
    for name, text in sections(folder).items():
        title = "Machine and load" if name == "run" else SECTIONS[name].title
        parts.append(f"## {title}\n\n{text}")
    path = folder / "summary.md"
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def main() -> int:
    """Write the page; see the module's exit codes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.summary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="default: bench")
    args = parser.parse_args()
    try:
        print(f"wrote {write_summary(args.folder)}")
    except (ValueError, OSError) as error:
        print(f"benchmarks.summary: {error}", file=sys.stderr)
        return 1
    return 0


def _read(path: Path) -> Document:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); run `make bench` first") from error


if __name__ == "__main__":
    sys.exit(main())
