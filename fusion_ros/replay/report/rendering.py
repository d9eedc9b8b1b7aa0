# SPDX-License-Identifier: Apache-2.0
"""Parts of the HTML pages and their templates; a page needs no other file and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusion_ros.files.writing import write_text
from fusion_ros.replay.rig import GOOD, NOT_MEASURED, NOT_USABLE, USABLE
from fusion_ros.streams.ledger import Fate

PAGES = Path(__file__).parent / "pages"
FATES = (*(fate.value for fate in Fate), "pending")
MOOD_OF = {GOOD: "passed", USABLE: "warning", NOT_USABLE: "failed", NOT_MEASURED: "none"}


def write_html(path: Path, template: str, values: dict[str, Any]) -> Path:
    """Fill a template of `pages/` and write the page.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.filters["listed"] = lambda values: ", ".join(f"{k} {v}" for k, v in values.items())
    css = (PAGES / "style.css").read_text(encoding="utf-8")
    write_text(path, environment.get_template(template).render(**values, css=css))
    return path


def number(value: float | None, digits: int, unit: str = "") -> str:
    """Return a figure as text; a dash for a missing one."""
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def plot(title: str, text: str, svg: str, legend: Sequence[str] = ()) -> dict[str, Any]:
    """Return a plot with its heading; `svg` is empty without data."""
    shown = svg or '<p class="soft">no data</p>'
    return {"title": title, "text": text, "svg": shown, "legend": list(enumerate(legend))}


def fates_of_stream(name: str, text: str, frames: int, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the table of fates; `frames` are those recorded or sent."""
    reasons = counts.get("rejected_by_reason", {})
    return {
        "name": name,
        "text": text,
        "frames": frames,
        "counts": counts,
        "sum": sum(counts[fate] for fate in FATES),
        "reasons": ", ".join(f"{n} {reason}" for reason, n in reasons.items()),
    }
