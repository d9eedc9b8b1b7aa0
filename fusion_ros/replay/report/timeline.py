# SPDX-License-Identifier: Apache-2.0
"""The timeline of a report: frames by fate, the main measure below, findings across."""

from __future__ import annotations

from collections.abc import Sequence

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
        low = min(value for _, value in quality)
        high = max(value for _, value in quality)
        span = (high - low) or 1.0
        points = " ".join(
            f"{x(at):.1f},{_LINE_BOTTOM - (v - low) / span * (_LINE_BOTTOM - _LINE_TOP):.1f}"
            for at, v in quality
        )
        parts.append(f'<polyline class="l s0" fill="none" points="{points}"/>')
        parts.append(f'<text x="{RIGHT}" y="{_LINE_TOP + 4}" text-anchor="end">{high:.3f}</text>')
        parts.append(f'<text x="{RIGHT}" y="{_LINE_BOTTOM}" text-anchor="end">{low:.3f}</text>')
    parts += [
        f'<line style="stroke:var(--bad);stroke-width:1.5;opacity:.75" x1="{x(at):.1f}" '
        f'x2="{x(at):.1f}" y1="62" y2="114"/>'
        for at in marks
    ]
    for share, anchor in ((0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"),
                          (1.0, "end")):  # fmt: skip
        at_s = share * end_s
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
