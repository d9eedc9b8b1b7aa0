# SPDX-License-Identifier: Apache-2.0
"""Plots and the timeline as SVG text, coloured by the CSS of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]
Series = tuple[str, Sequence[Point]]
"""Name and points in order of x; the position in the list selects the colour."""

WIDTH, HEIGHT = 640.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 28.0, 26.0
_MOST_POINTS = 1200

LEFT, RIGHT = 8.0, 992.0
_ROWS = {"visible": 14.0, "thermal": 44.0}
_ROW_HEIGHT = 14.0
_LINE_TOP, _LINE_BOTTOM = 72.0, 112.0
_COLUMNS = 492
_COLOURS = {
    "rejected": "--bad", "late": "--s4", "duplicate": "--s1", "unpaired": "--s2",
    "superseded": "--warn", "held": "--s5", "fused": "--s3", "pending": "--soft",
}  # fmt: skip
"""Colour of each fate; of several frames in one column, the first of these is shown."""
_ORDER = tuple(_COLOURS)
Tick = tuple[str, float, str]
"""Stream, time in seconds and fate of one frame."""


def line_plot(
    series: Sequence[Series],
    *,
    unit_y: str = "",
    marks: Sequence[float] = (),
    dots: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> str:
    """Return lines, or dots, over a time axis in seconds; "" without points.

    `marks` are vertical lines (findings); `low` and `high` replace the range of the points.
    """
    points = [p for _, line in series for p in line]
    if not points:
        return ""
    xs = [p[0] for p in points]
    ys = [p[1] for p in points]
    frame = _Frame(min(xs), max(xs), *_padded(ys, low, high))
    parts = [frame.axes(unit_y)]
    parts += [
        f'<line class="mark" x1="{frame.x(m):.1f}" x2="{frame.x(m):.1f}" '
        f'y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        for m in marks
        if frame.x_low <= m <= frame.x_high
    ]
    for number, (name, line) in enumerate(series):
        kept = _thinned(line)
        if dots:
            parts += [
                f'<circle class="d s{number}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="1.8"/>'
                for x, y in kept
            ]
            continue
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in kept)
        parts.append(
            f'<polyline class="l s{number}" points="{path}"><title>{escape(name)}</title>'
            "</polyline>"
        )
    box = f"0 0 {WIDTH:g} {HEIGHT:g}"
    return f'<svg class="plot" viewBox="{box}" role="img">{"".join(parts)}</svg>'


class _Frame:
    """Maps data to pixels and draws the axes, with ticks at round numbers."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self.x_low, self.x_high = (x_low, x_high) if x_high > x_low else (x_low - 1, x_low + 1)
        self.y_low, self.y_high = (y_low, y_high) if y_high > y_low else (y_low - 1, y_low + 1)

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (HEIGHT - _TOP - _BOTTOM)

    def axes(self, unit_y: str) -> str:
        parts = []
        for tick in _ticks(self.y_low, self.y_high, 4):
            y = self.y(tick)
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="t" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}'
                "</text>"
            )
        ticks = _ticks(self.x_low, self.x_high, 6)
        for tick in ticks:
            x = min(self.x(tick), WIDTH - _RIGHT - 4)
            unit = " s" if tick == ticks[-1] else ""
            anchor = "end" if tick == ticks[-1] and x > WIDTH - 60 else "middle"
            parts.append(
                f'<text class="t" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">'
                f"{_short(tick)}{unit}</text>"
            )
        if unit_y:
            parts.append(f'<text class="t u" x="2" y="13">{escape(unit_y)}</text>')
        return "".join(parts)


def _padded(ys: Sequence[float], low: float | None, high: float | None) -> tuple[float, float]:
    least, most = min(ys), max(ys)
    margin = 0.08 * (most - least) or max(0.05 * abs(most), 0.5)
    return (least - margin if low is None else low), (most + margin if high is None else high)


def _ticks(low: float, high: float, about: int) -> list[float]:
    rough = (high - low) / about
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough)
    first = math.ceil(low / step)
    return [round(n * step, 12) for n in range(first, math.floor(high / step) + 1)]


def _short(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e5 else f"{value:.1e}"


def _thinned(line: Sequence[Point]) -> list[Point]:
    """Return at most `_MOST_POINTS`: minimum and maximum of each interval, to keep peaks."""
    if len(line) <= _MOST_POINTS:
        return list(line)
    size = math.ceil(2 * len(line) / _MOST_POINTS)
    kept = []
    for at in range(0, len(line), size):
        part = line[at : at + size]
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def timeline_svg(
    ticks: Sequence[Tick],
    quality: Sequence[tuple[float, float]],
    marks: Sequence[float],
    end_s: float,
) -> str:
    """Return the SVG; `timeline.js` uses its ids `time` and `cursor`."""
    end_s = end_s or 1.0

    def x(seconds: float) -> float:
        return LEFT + seconds / end_s * (RIGHT - LEFT)

    parts = _rows(ticks, end_s)
    if quality:
        values = [value for _, value in quality]
        low, high = min(values), max(values)
        scale = (_LINE_BOTTOM - _LINE_TOP) / ((high - low) or 1.0)
        points = " ".join(
            f"{x(at):.1f},{_LINE_BOTTOM - (v - low) * scale:.1f}" for at, v in quality
        )
        parts.append(f'<polyline class="l s0" fill="none" points="{points}"/>')
        parts.append(f'<text x="{RIGHT}" y="{_LINE_TOP + 4}" text-anchor="end">{high:.3f}</text>')
        parts.append(f'<text x="{RIGHT}" y="{_LINE_BOTTOM}" text-anchor="end">{low:.3f}</text>')
    parts += [
        f'<line style="stroke:var(--bad);stroke-width:1.5;opacity:.75" x1="{x(at):.1f}" '
        f'x2="{x(at):.1f}" y1="62" y2="114"/>'
        for at in marks
    ]
    for quarter, anchor in enumerate(("start", "middle", "middle", "middle", "end")):
        at_s = quarter / 4 * end_s
        parts.append(f'<text x="{x(at_s):.1f}" y="129" text-anchor="{anchor}">{at_s:.1f} s</text>')
    parts.append('<line id="cursor" x1="8" x2="8" y1="8" y2="114"/>')
    return (
        '<svg id="time" viewBox="0 0 1000 132" preserveAspectRatio="none" role="img" '
        f'aria-label="timeline">{"".join(parts)}</svg>'
    )


def _rows(ticks: Sequence[Tick], end_s: float) -> list[str]:
    """Return a row of coloured columns for each stream."""
    width = (RIGHT - LEFT) / _COLUMNS
    parts = []
    for stream, y in _ROWS.items():
        parts.append(f'<text x="{LEFT}" y="{y - 3}">{stream}</text>')
        columns: dict[int, str] = {}
        mine = [(at_s, fate) for name, at_s, fate in ticks if name == stream]
        for at_s, fate in mine:
            column = min(_COLUMNS - 1, max(0, int(at_s / end_s * _COLUMNS)))
            columns[column] = min(columns.get(column, fate), fate, key=_ORDER.index)
        # The overlap hides jitter; a missing frame leaves a gap.
        tick_width = width * max(1.0, 1.25 * _COLUMNS / max(1, len(mine)))
        for column, fate in sorted(columns.items()):
            left = LEFT + column * width
            parts.append(
                f'<rect style="fill:var({_COLOURS[fate]})" x="{left:.1f}" y="{y}" '
                f'width="{min(tick_width, RIGHT - left):.1f}" height="{_ROW_HEIGHT}"/>'
            )
    return parts
