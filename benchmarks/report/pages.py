# SPDX-License-Identifier: Apache-2.0
"""Render the measured tables of the documentation from docs/measurements/*.json.

    python -m benchmarks.report.pages   # render the JSON files in the pages
    python -m benchmarks.report.pages --bench bench   # first take the tables of a run

A page marks a table's place with `<!-- table: NAME -->` and `<!-- /table -->`; NAME.json holds it.
Tables of a run without a place are left out. No figure is copied by hand: a test compares the pages
with the JSON files.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from benchmarks.report.tables import REPOSITORY, load
from fusion_ros.files.writing import write_text

MEASUREMENTS = REPOSITORY / "docs" / "measurements"
_PLACE = re.compile(r"<!-- table: (?P<name>\S+) -->\n.*?<!-- /table -->", flags=re.DOTALL)


def fill(page: str, folder: Path) -> str:
    """Return a page with every marked place filled from its JSON file.

    Raises:
        ValueError: see `load`.
    """

    def place(match: re.Match[str]) -> str:
        table = load(folder / f"{match['name']}.json").markdown()
        return f"<!-- table: {match['name']} -->\n{table}\n<!-- /table -->"

    return _PLACE.sub(place, page)


def pages() -> list[Path]:
    """Return the pages that may hold tables: the README and everything below docs/."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("**/*.md"))]


def main() -> int:
    """Fill the pages; return 1 if a file is missing or damaged."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", type=Path, metavar="DIR", help="folder that make bench wrote")
    args = parser.parse_args()
    try:
        if args.bench:
            text = "".join(page.read_text(encoding="utf-8") for page in pages())
            for path in sorted(args.bench.glob("*.json")):
                if f"<!-- table: {path.stem} -->" in text:
                    load(path)
                    shutil.copyfile(path, MEASUREMENTS / path.name)
        for page in pages():
            before = page.read_text(encoding="utf-8")
            after = fill(before, MEASUREMENTS)
            if after != before:
                write_text(page, after)
                print(f"filled {page.relative_to(REPOSITORY)}")
    except (OSError, ValueError) as error:
        print(f"benchmarks.report.pages: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
