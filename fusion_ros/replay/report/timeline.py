# SPDX-License-Identifier: Apache-2.0
"""The timeline of a report: both streams' frames by fate, quality below, faults across."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

LEFT, RIGHT = 8.0, 992.0
_ROWS = {"visible": 14.0, "thermal": 44.0}
_ROW_HEIGHT = 14.0
_LINE_TOP, _LINE_BOTTOM = 72.0, 112.0
_COLUMNS = 492
_ORDER = ("rejected", "late", "duplicate", "unpaired", "superseded", "fused", "pending")
"""What a column of several frames shows: the worst of them."""


@dataclasses.dataclass(frozen=True)
class FrameTick:
    """One frame on the timeline."""

    stream: str
    at_s: float
    fate: str


def timeline_svg(
    ticks: Sequence[FrameTick],
    quality: Sequence[tuple[float, float]],
    marks: Sequence[float],
    end_s: float,
) -> str:
    """SVG text with the ids that `timeline.js` looks for: `time` and `cursor`."""
    end_s = end_s or 1.0
    width = (RIGHT - LEFT) / _COLUMNS

    def x(seconds: float) -> float:
        return LEFT + seconds / end_s * (RIGHT - LEFT)

    parts = []
    for stream, y in _ROWS.items():
        parts.append(f'<text x="{LEFT}" y="{y - 3}">{stream}</text>')
        columns: dict[int, str] = {}
        mine = [t for t in ticks if t.stream == stream]
        for tick in mine:
            column = min(_COLUMNS - 1, max(0, int(tick.at_s / end_s * _COLUMNS)))
            before = columns.get(column)
            if before is None or _ORDER.index(tick.fate) < _ORDER.index(before):
                columns[column] = tick.fate
        # Few frames get wide ticks, so that a short clip's row is not a comb.
        span = max(1, _COLUMNS // max(1, len(mine)))
        for first, last, fate in _runs(columns, span):
            parts.append(
                f'<rect style="fill:var({_COLOURS[fate]})" x="{LEFT + first * width:.1f}" y="{y}" '
                f'width="{(last - first + 1) * width:.1f}" height="{_ROW_HEIGHT}"/>'
            )
    if quality:
        low = min(value for _, value in quality)
        high = max(value for _, value in quality)
        room = (high - low) or 1.0
        points = " ".join(
            f"{x(at):.1f},{_LINE_BOTTOM - (v - low) / room * (_LINE_BOTTOM - _LINE_TOP):.1f}"
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
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(
            f'<text x="{x(share * end_s):.1f}" y="129" text-anchor="{anchor}">'
            f"{share * end_s:.1f} s</text>"
        )
    parts.append('<line id="cursor" x1="8" x2="8" y1="8" y2="114"/>')
    return (
        '<svg id="time" viewBox="0 0 1000 132" preserveAspectRatio="none" role="img" '
        f'aria-label="timeline">{"".join(parts)}</svg>'
    )


_COLOURS = {
    "fused": "--s3", "unpaired": "--s2", "rejected": "--bad", "late": "--s4", "duplicate": "--s1",
    "superseded": "--warn", "pending": "--soft",
}  # fmt: skip


def _runs(columns: dict[int, str], span: int) -> list[tuple[int, int, str]]:
    """Neighbouring columns of one fate as one: first, last, fate. A missing frame parts them."""
    between = max(2, span // 4)
    runs: list[list[int | str]] = []
    for column in sorted(columns):
        fate = columns[column]
        last = min(_COLUMNS - 1, column + span - 1)
        if runs and runs[-1][2] == fate and column <= int(runs[-1][1]) + between:
            runs[-1][1] = last
        else:
            runs.append([column, last, fate])
    return [(int(first), int(last), str(fate)) for first, last, fate in runs]
