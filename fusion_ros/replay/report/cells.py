# SPDX-License-Identifier: Apache-2.0
"""Figures, plots and markup as the templates take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def plot(
    title: str, text: str, svg: str, legend: Sequence[str] = (), first_colour: int = 0
) -> dict[str, Any]:
    """A plot with its heading, as the template takes it; says so where there is nothing."""
    shown = markup(svg) if svg else markup('<p class="soft">nothing to show</p>')
    names = list(enumerate(legend, first_colour))
    return {"title": title, "text": text, "svg": shown, "legend": names}


def number(value: float | None, digits: int, unit: str = "") -> str:
    """A figure to be read; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def markup(text: str) -> Any:
    """Text that is HTML already."""
    from markupsafe import Markup

    return Markup(text)
