# SPDX-License-Identifier: Apache-2.0
"""Comparison of two runs, for example of two weights, engines or commits. Regressions first."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusion_ros.files.limits import MAX_TEXT_BYTES
from fusion_ros.files.reading import parse_json, parse_text, read_bytes
from fusion_ros.metrics.names import HIGHER_IS_BETTER
from fusion_ros.outside_text import printable
from fusion_ros.replay.gate import look_up

MAX_TABLE_BYTES = 1 << 30
MEASURE = "fused.qw"
_MOST_FRAMES = 8
# Name, path in the summary, and whether more is better.
_FIGURES: tuple[tuple[str, str, bool], ...] = (
    ("fusion score", "quality.score.fused", True),
    ("alignment", "alignment.score.p50", True),
    ("share of pairs fused", "fused_share", True),
    ("skew p95, ms", "sync.skew_ms.p95", False),
    ("flicker index", "temporal.flicker_index", False),
    ("excess flicker, mean", "temporal.excess_flicker.mean", False),
    ("excess flicker, worst", "temporal.excess_flicker.max", False),
)
_TIME = ("fusing p50, ms", "times.stages_ms.fuse.p50", False)
"""The median: higher percentiles vary more between equal runs than between engines."""
_NOTABLE, _NOTABLE_STEP = 0.005, 0.001
"""Least notable change: share of the larger value, and difference in the figure's unit."""
_NOTABLE_TIME, _NOTABLE_MS = 0.25, 2.0
"""Least notable change of times: equal runs on a loaded machine differ by this much."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure of both runs; `mood` is "good", "bad" or "soft" (no notable change)."""

    name: str
    before: str
    now: str
    change: str
    mood: str
    worse_by: float


@dataclasses.dataclass(frozen=True)
class FrameChange:
    """`MEASURE` of one fused frame in both runs."""

    pair: int
    at_s: float
    before: float
    now: float

    @property
    def change(self) -> float:
        """Difference of the measure; more is better."""
        return self.now - self.before


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Comparison of two runs.

    Attributes:
        other: folder name of the earlier run.
        headline: summary in one sentence.
        same_recording: whether both runs replayed the same bytes.
        identical_frames: number of `common_pairs` whose fused images are bit-identical.
        rows: figures, regressions first; the time is last among equals.
        frames: frames measured in both runs, in time order.
        worst: the frames with the largest losses.
        measure: name of the measure of `frames`.
    """

    other: str
    headline: str
    same_recording: bool
    identical_frames: int
    common_pairs: int
    rows: list[Row]
    frames: list[FrameChange]
    worst: list[FrameChange]
    measure: str = MEASURE


def compare_runs(other: Path, this: Path) -> Comparison:
    """Compare the folders of two replays.

    Raises:
        ValueError: a folder has no summary of this format.
    """
    before, now = load_summary(other), load_summary(this)
    measures = [
        (f"fused {name}", f"quality.candidates.fused.{name}.mean", is_higher)
        for name, is_higher in HIGHER_IS_BETTER.items()
    ]
    figures = [*_FIGURES, *measures]
    compared = (_row(before, now, *figure, _NOTABLE, _NOTABLE_STEP) for figure in figures)
    rows = sorted((row for row in compared if row is not None), key=lambda row: -row.worse_by)
    time = _row(before, now, *_TIME, _NOTABLE_TIME, _NOTABLE_MS)
    frames, identical, pairs = _frame_changes(other, this)
    lost = sorted((f for f in frames if f.change < -0.001), key=lambda f: f.change)
    same = before["recording"].get("sha256") == now["recording"].get("sha256")
    worse, better = (sum(row.mood == mood for row in rows) for mood in ("bad", "good"))
    headline = (
        f"{worse} {'figure is' if worse == 1 else 'figures are'} worse, {better} better; "
        f"{identical} of {pairs} fused images are identical"
    )
    if time is not None and time.mood == "bad":
        headline += f"; fusing is slower ({time.before} ms before, {time.now} ms now)"
    if not same:
        headline += "; the recordings are not the same"
    old, new = ({f["code"] for f in run["findings"]} for run in (before, now))
    for what, codes in (("new findings", new - old), ("findings gone", old - new)):
        if codes:
            headline += f"; {what}: {', '.join(sorted(codes))}"
    # The time comes after equally bad figures, since it does not repeat exactly.
    rows = sorted([*rows, *([time] if time else [])], key=lambda row: row.mood != "bad")
    worst = lost[:_MOST_FRAMES]
    return Comparison(other.name, headline, same, identical, pairs, rows, frames, worst)


def load_summary(folder: Path) -> dict[str, Any]:
    """Return the summary in the folder of a replay.

    Raises:
        ValueError: there is no summary of this format.
    """
    path = folder / "summary.json" if folder.is_dir() else folder
    try:
        summary = parse_json(read_bytes(path, MAX_TEXT_BYTES))
        if not isinstance(summary, dict) or summary.get("format") != 1:
            raise ValueError("it has no format 1")
        for name, kind in (("recording", dict), ("quality", dict), ("findings", list)):
            if not isinstance(summary.get(name), kind):
                raise ValueError(f"its entry {name!r} is missing or of another type")
        findings = summary["findings"]
        if not all(isinstance(f, dict) and isinstance(f.get("code"), str) for f in findings):
            raise ValueError("one of its findings has no code")
    except (OSError, ValueError) as error:
        raise ValueError(f"{printable(path, 300)} is no summary of a replay: {error}") from error
    return summary


def _row(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    name: str,
    path: str,
    more_is_better: bool,
    notable: float,
    notable_step: float,
) -> Row | None:
    """Return one figure of both summaries, or None; `notable` is a share of the larger value."""
    a, b = look_up(before, path), look_up(now, path)
    if a is None or b is None or not all(abs(value) < 1e300 for value in (a, b)):
        return None
    worse_by = (a - b if more_is_better else b - a) / max(abs(a), abs(b), 1e-9)
    mood = "soft"
    if abs(worse_by) > notable and abs(b - a) > notable_step:
        mood = "bad" if worse_by > 0 else "good"
    return Row(name, f"{a:.4g}", f"{b:.4g}", f"{b - a:+.4g}", mood, worse_by)


def _frame_changes(other: Path, this: Path) -> tuple[list[FrameChange], int, int]:
    """Return the frames measured in both, and the counts of equal images and of common pairs."""
    before = {row["visible_stamp_ns"]: row for row in _rows(other)}
    frames = []
    identical = pairs = 0
    for row in _rows(this):
        then = before.get(row["visible_stamp_ns"])
        if then is None:
            continue
        pairs += 1
        identical += row["fused_sha256"] == then["fused_sha256"]
        if row.get(MEASURE) and then.get(MEASURE):
            try:
                values = float(then[MEASURE]), float(row[MEASURE])
                frames.append(FrameChange(int(row["pair"]), float(row["arrived_s"]), *values))
            except (TypeError, ValueError) as error:
                text = printable(error, 200)
                raise ValueError(f"pairs.csv of {other} or {this}: {text}") from error
    return frames, identical, pairs


def _rows(folder: Path) -> list[dict[str, str]]:
    path = folder / "pairs.csv"
    if not path.exists():
        return []
    try:
        text = parse_text(read_bytes(path, MAX_TABLE_BYTES))
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, ValueError, csv.Error) as error:
        text = f"{printable(path, 300)} cannot be read: {printable(error, 300)}"
        raise ValueError(text) from error
    if rows and not {"visible_stamp_ns", "fused_sha256", "pair", "arrived_s"} <= set(rows[0]):
        raise ValueError(f"{printable(path, 300)} is no table of a replay's pairs")
    return rows
