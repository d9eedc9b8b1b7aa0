# SPDX-License-Identifier: Apache-2.0
"""One page of tables from the JSON files of a run: for reading, and for the docs.

    python -m benchmarks.summary [--folder bench] [--into docs/performance.md]

Writes `summary.md` in the folder. With `--into`, each table also takes the place of what stands in
that file between `<!-- bench: NAME -->` and `<!-- /bench -->`, so that no figure is copied by hand.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.load import MOST_LOAD_BEFORE, MOST_OTHERS_PERCENT

Document = dict[str, Any]

#: Section: its title, the benchmarks it needs one of, and what makes it of their documents.
SECTIONS: dict[str, tuple[str, tuple[str, ...], Callable[[list[Document]], str]]] = {
    "whole-path": ("Whole path, bytes in to bytes out", ("whole_path",), tables.whole_path),
    "engines-compact": ("Engines, `compact`", ("engines_compact",), tables.engines),
    "engines-paper": ("Engines, `paper`", ("engines_paper",), tables.engines),
    "batch": ("Several camera pairs, ms a pair", ("batch",), tables.batch),
    "rivals": ("Side by side, one process, taking turns", ("rivals",), tables.rivals),
    "limits": ("Distance to the limit", ("limits",), tables.limits),
    "first-frame": ("The first pair of a size, in a new process", ("first_frame",), tables.first),
    "imaging": ("Each step between sensor and network", ("imaging",), tables.imaging),
    "node": (
        "Publish to publish, through the node",
        ("node_latency", "node_overload"),
        tables.node,
    ),
}


def sections(folder: Path) -> dict[str, str]:
    """Markdown of every section that this folder has figures for, by name; "run" among them.

    Raises:
        ValueError: there was no run in this folder, or a file of it is damaged.
    """
    run = _read(folder / "run.json")
    found = {"run": machine_and_load(run)}
    for name, (_, needed, make) in SECTIONS.items():
        documents = [
            _read(folder / f"{part}.json")
            for part in needed
            if part in run["parts"] and (folder / f"{part}.json").is_file()
        ]
        if documents:
            found[name] = make(documents)
    return found


def machine_and_load(run: Document) -> str:
    """On what machine, when, and whether it was quiet."""
    machine, parts = run["machine"], run["parts"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    bfloat16 = "with" if machine["bfloat16"] else "without"
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {bfloat16} bfloat16 in hardware; "
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
        lines += ["", f"**WARNING: the machine was not quiet**: {'; '.join(disturbed)}."]
    return "\n".join(lines)


def disturbances(parts: dict[str, Document]) -> list[str]:
    """What says that figures were taken beside other work."""
    found = []
    for name, part in parts.items():
        # Later ones begin under the load of those before them, which is our own.
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
        title = "Machine and load" if name == "run" else SECTIONS[name][0]
        parts.append(f"## {title}\n\n{text}")
    path = folder / "summary.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def fill(page: str, found: dict[str, str]) -> tuple[str, list[str]]:
    """A page with the sections in their marked places, and the names of those that it had none for.

    Raises:
        ValueError: the page marks a place by a name that no section has.
    """
    missing = []

    def place(match: re.Match[str]) -> str:
        name = match["name"]
        if name != "run" and name not in SECTIONS:
            raise ValueError(f"no section is called {name!r}; allowed: run, {', '.join(SECTIONS)}")
        if name not in found:
            missing.append(name)
            return match[0]
        return f"<!-- bench: {name} -->\n{found[name]}\n<!-- /bench -->"

    pattern = r"<!-- bench: (?P<name>\S+) -->\n.*?<!-- /bench -->"
    return re.sub(pattern, place, page, flags=re.DOTALL), missing


def main() -> None:
    """Write, and fill where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("bench"))
    parser.add_argument("--into", type=Path, metavar="PAGE.md")
    args = parser.parse_args()
    print(f"wrote {write_summary(args.folder)}")
    if args.into:
        page = args.into.read_text(encoding="utf-8")
        filled, missing = fill(page, sections(args.folder))
        args.into.write_text(filled, encoding="utf-8")
        print(f"filled {args.into}; left as they were: {', '.join(missing) or 'none'}")


def _read(path: Path) -> Document:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); run `make bench` first") from error


if __name__ == "__main__":
    main()
