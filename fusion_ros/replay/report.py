# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one file that opens anywhere, with all that a person wants to see of it."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

from fusion_ros.accounting import Fate, Stream
from fusion_ros.metrics import MEASURES
from fusion_ros.replay.compare import Comparison
from fusion_ros.replay.findings import Evidence
from fusion_ros.replay.gallery import PANELS, Moment
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.log import PairEntry
from fusion_ros.replay.plots import histogram, line_plot
from fusion_ros.replay.quality import FUSED
from fusion_ros.replay.timeline import FrameTick, timeline_svg

PAGES = Path(__file__).parent / "pages"
MOST_ON_TIMELINE = 40
_BADGES = {
    "passed": ("passed", "passed"),
    "failed": ("failed", "failed"),
}
_FACE = "qw"  # the measure that stands for quality on the timeline and in the gallery


@dataclasses.dataclass(frozen=True)
class Material:
    """What the report is made of: figures and small pictures, fit to be sent from a worker."""

    summary: dict[str, Any]
    ticks: list[FrameTick]
    pairs: list[PairEntry]
    at_s: list[float]
    moments: list[Moment]
    offsets: list[tuple[float, float]]
    intervals: dict[str, list[tuple[float, float]]]
    detections: dict[str, list[tuple[float, float]]]

    @classmethod
    def of(cls, summary: dict[str, Any], evidence: Evidence, detector: Any = None) -> Material:
        """Collect it. `detector` is a `DetectorSink` or None."""
        visible = evidence.frames[Stream.VISIBLE]
        log = evidence.result.log
        at_s = [evidence.seconds(visible[p.visible_index].arrived_ns) for p in log.pairs]
        intervals = {}
        for stream, frames in evidence.frames.items():
            stamped = [f for f in frames if f.stamp_ns]
            intervals[stream.value] = [
                (evidence.seconds(b.arrived_ns), (b.stamp_ns - a.stamp_ns) / 1e6)
                for a, b in itertools.pairwise(stamped)
            ]
        ticks = [
            FrameTick(f.stream.value, evidence.seconds(f.arrived_ns), f.fate.value)
            for f in log.frames
        ]
        detections = detector.over_time(at_s) if detector is not None else {}
        offsets = [(evidence.seconds(ns), value) for ns, value in log.offsets_ms]
        return cls(
            summary, ticks, log.pairs, at_s, evidence.result.moments, offsets, intervals, detections
        )


def write_report(
    folder: Path, material: Material, verdict: Verdict, comparison: Comparison | None = None
) -> Path:
    """Write `report.html` into a folder.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    values = _Values(material, verdict, comparison).all()
    safe = {
        "css": Markup((PAGES / "style.css").read_text(encoding="utf-8")),
        "js": Markup((PAGES / "timeline.js").read_text(encoding="utf-8")),
    }
    page = environment.get_template("report.html.j2").render(**values, **safe)
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


class _Values:
    """What the template shows, in its order."""

    def __init__(self, material: Material, verdict: Verdict, comparison: Comparison | None) -> None:
        self.m = material
        self.s = material.summary
        self.verdict = verdict
        self.comparison = comparison
        self.marks = sorted({at for f in self.s["findings"] for at in f["at_s"]})

    def all(self) -> dict[str, Any]:
        recording = self.s["recording"]
        label, mood = _BADGES.get(self.verdict.word) or self._mood()
        gallery = self._gallery()
        return {
            "name": recording["name"],
            "subtitle": f"{recording['kind']} · {self.s['duration_s']:.1f} s · "
            f"{self.s['engine']['preset']} on {self.s['engine']['name']} "
            f"({self.s['engine']['device']})",
            "badge": label,
            "badge_class": mood,
            "headline": self._headline(),
            "tiles": self._tiles(),
            "verdict_reasons": self.verdict.reasons,
            "comparison": self.comparison,
            "findings": self.s["findings"],
            "has_moments": bool(self.m.moments),
            "timeline": self._timeline(),
            "gallery": gallery,
            "gallery_note": f"Best, typical and worst of {self.s['quality']['frames']} measured "
            f"frames by {_FACE}, and what happened at gain jumps.",
            "streams": self._streams(),
            "fates": [fate.value for fate in Fate],
            "time_plots": self._time_plots(),
            "quality": self._quality(),
            "temporal_plots": self._temporal_plots(),
            "detection": self._detection(),
            "cost": self._cost(),
            "identity": self._identity(),
            "version": self.s["version"],
            "moments_json": self._moments_json(),
        }

    def _mood(self) -> tuple[str, str]:
        """The badge where there was no gate."""
        there = {finding["severity"] for finding in self.s["findings"]}
        if "error" in there:
            return "errors found", "failed"
        return ("warnings", "warning") if "warning" in there else ("no faults", "passed")

    def _headline(self) -> str:
        worst = {s: [f for f in self.s["findings"] if f["severity"] == s] for s in
                 ("error", "warning")}  # fmt: skip
        parts = []
        for severity, found in worst.items():
            if found:
                parts.append(f"{len(found)} {severity}{'s' if len(found) > 1 else ''}")
        fused = f"{self.s['fused']} pairs were fused"
        text = f"{fused}; {' and '.join(parts)} found." if parts else f"{fused}; nothing is wrong."
        return text if self.s["complete"] else f"{text} The replay was stopped early."

    def _tiles(self) -> list[dict[str, str]]:
        sync, face = self.s["sync"], self._fused_mean(_FACE)
        share = self.s["fused_share"]
        skew = sync["skew_ms"]["p95"]
        flicker = self.s["temporal"]["flicker_index"]
        factor = self.s["times"]["real_time_factor"]
        rates = [sync["streams"][stream.value]["rate_hz"] for stream in Stream]
        return [
            _tile(f"{share:.1%}", "of the possible pairs fused", "good" if share > 0.97 else "bad"),
            _tile(_number(skew, 1, " ms"), "skew, 95 % of pairs"),
            _tile(f"{rates[0]:.1f} / {rates[1]:.1f}", "Hz, visible / thermal"),
            _tile(_number(face, 3), f"{_FACE}, mean of the fused"),
            _tile(_number(flicker, 2), "flicker index (1: as its sources)"),
            _tile(_number(factor, 2, "×"), "real time, measuring included"),
        ]

    def _fused_mean(self, measure: str) -> float | None:
        candidates = self.s["quality"]["candidates"]
        return candidates.get(FUSED, {}).get(measure, {}).get("mean")

    def _timeline(self) -> dict[str, Any]:
        line = [
            (at, pair.quality[FUSED][_FACE])
            for at, pair in zip(self.m.at_s, self.m.pairs, strict=True)
            if _FACE in pair.quality.get(FUSED, {})
        ]
        fates = [f.value for f in Fate if any(t.fate == f.value for t in self.m.ticks)]
        svg = timeline_svg(self.m.ticks, line, self.marks, self.s["duration_s"])
        return {"svg": _markup(svg), "measure": _FACE, "fates": fates}

    def _chosen(self, most: int) -> list[Moment]:
        """Moments spread evenly, with those that have a reason of their own."""
        plain = [m for m in self.m.moments if not m.why]
        step = max(1.0, len(plain) / most)
        picked = [plain[int(i * step)] for i in range(min(most, len(plain)))]
        return sorted(
            [*picked, *(m for m in self.m.moments if m.why)], key=lambda moment: moment.pair
        )

    def _moments_json(self) -> Any:
        moments = [
            {
                "at": self.m.at_s[m.pair],
                "text": self._moment_text(m),
                "panels": [_base64(m.smaller().panels[name]) for name in PANELS],
            }
            for m in self._chosen(MOST_ON_TIMELINE)
        ]
        data = {"moments": moments, "begin": 0.0, "end": self.s["duration_s"], "left": 8,
                "right": 992}  # fmt: skip
        return _markup(json.dumps(data).replace("</", "<\\/"))

    def _moment_text(self, moment: Moment) -> str:
        pair = self.m.pairs[moment.pair]
        value = pair.quality.get(FUSED, {}).get(_FACE)
        text = f"{self.m.at_s[moment.pair]:.2f} s · pair {pair.index} · skew {pair.skew_ms:+.1f} ms"
        text += f" · {_FACE} {value:.3f}" if value is not None else ""
        return f"{text} · {moment.why}" if moment.why else text

    def _gallery(self) -> list[dict[str, Any]]:
        scored = [m for m in self.m.moments if _FACE in self.m.pairs[m.pair].quality.get(FUSED, {})]
        scored.sort(key=lambda m: self.m.pairs[m.pair].quality[FUSED][_FACE])
        picked: list[tuple[str, Moment]] = []
        if scored:
            picked.append(("best", scored[-1]))
        if len(scored) > 2:
            picked.append(("typical", scored[len(scored) // 2]))
        if len(scored) > 1:
            picked.append(("worst", scored[0]))
        picked += [(m.why, m) for m in self.m.moments if m.why][:2]
        if not picked and self.m.moments:
            picked = [("first", self.m.moments[0])]
        return [
            {
                "why": why,
                "text": self._moment_text(m),
                "panels": [{"name": name, "data": _base64(m.panels[name])} for name in PANELS],
            }
            for why, m in picked
        ]

    def _streams(self) -> list[dict[str, Any]]:
        rows = []
        for stream in Stream:
            counts = self.s["counts"][stream.value]
            facts = self.s["sync"]["streams"][stream.value]
            formats = ", ".join(self.s["formats"][stream.value]) or "nothing readable"
            reasons = counts["rejected_by_reason"]
            rows.append(
                {
                    "name": stream.value,
                    "text": f"{formats} · {facts['rate_hz']:.2f} Hz, jitter "
                    f"{facts['jitter_ms']:.2f} ms · {facts['missing']} missing",
                    "counts": counts,
                    "recorded": self.s["recorded"][stream.value],
                    "received": counts["received"],
                    "sum": sum(counts[fate.value] for fate in Fate) + counts["pending"],
                    "parts": [
                        {"fate": fate.value, "count": counts[fate.value]}
                        for fate in Fate
                        if counts[fate.value]
                    ],
                    "reasons": ", ".join(f"{n} {why}" for why, n in reasons.items()),
                }
            )
        return rows

    def _time_plots(self) -> list[dict[str, Any]]:
        skews = list(zip(self.m.at_s, (p.skew_ms for p in self.m.pairs), strict=True))
        signed = self.s["sync"]["signed_skew_ms"]
        drift, offset = self.s["sync"]["drift_ms_per_min"], self.s["sync"]["offset_ms"]
        about = f"p50 {_number(signed['p50'], 2)} ms"
        about += f", drift {drift:+.2f} ms a minute" if drift is not None else ""
        about += f"; constant offset by {self.s['sync']['offset_from']}: {offset:+.1f} ms" if (
            offset is not None) else ""  # fmt: skip
        gaps = [(name, self.m.intervals[name]) for name in ("visible", "thermal")]
        ceiling = _ceiling([y for _, line in gaps for _, y in line])
        return [
            _plot(
                "Skew of each pair",
                about,
                line_plot([("skew", skews)], unit_y="ms", dots=True, marks=self.marks),
            ),
            _plot(
                "Skew, how often",
                "thermal stamp − visible stamp",
                histogram([y for _, y in skews], unit_x="ms"),
            ),
            _plot(
                "Distance between stamps",
                "visible orange, thermal blue; peaks are missing frames",
                line_plot(gaps, unit_y="ms", dots=True, low=min(0.0, *ceiling), high=ceiling[1]),
            ),
            _plot(
                "Estimated constant offset",
                "what to add to thermal stamps, by stamps and arrival",
                line_plot([("offset", self.m.offsets)], unit_y="ms") if self.m.offsets else "",
            ),
        ]

    def _quality(self) -> dict[str, Any]:
        candidates = self.s["quality"]["candidates"]
        if not candidates or not candidates.get(FUSED):
            return {"table": []}
        table = []
        for name in candidates[FUSED]:
            better_high = MEASURES[name].higher_is_better
            means = [candidates[c][name]["mean"] for c in candidates]
            known = [value for value in means if value is not None]
            best = (max if better_high else min)(known) if known else None
            cells = [{"text": _number(v, 3), "best": v is not None and v == best} for v in means]
            table.append({"name": name, "direction": "↑" if better_high else "↓", "cells": cells})
        plots = []
        for name in [n for n in ("qw", "qe", "Qabf", "MI") if n in candidates[FUSED]]:
            lines = []
            for candidate in candidates:
                points = [
                    (at, p.quality[candidate][name])
                    for at, p in zip(self.m.at_s, self.m.pairs, strict=True)
                    if p.quality and p.quality[candidate][name] == p.quality[candidate][name]
                ]
                lines.append((candidate, points))
            svg = _markup(line_plot(lines, unit_y=name))
            plots.append({"title": f"{name} over time", "legend": list(candidates), "svg": svg})
        note = (
            f"Every {self.s['quality']['every']}. pair was measured ({self.s['quality']['frames']} "
            "frames), on luma at full size; means below, the best of each row in bold. visible and "
            "thermal alone score high where a measure rewards copying one source."
        )
        return {"candidates": list(candidates), "table": table, "plots": plots, "note": note}

    def _temporal_plots(self) -> list[dict[str, Any]]:
        m = self.m
        names = ("fused", "visible", "thermal")
        order = (2, 0, 1)
        means = [
            (name, [(at, p.means[i]) for at, p in zip(m.at_s, m.pairs, strict=True)])
            for name, i in zip(names, order, strict=True)
        ]
        changes = [
            (name, [(at, p.changes[i]) for at, p in zip(m.at_s, m.pairs, strict=True) if p.changes])
            for name, i in zip(names, order, strict=True)
        ]
        excess = [
            (at, p.excess_flicker)
            for at, p in zip(m.at_s, m.pairs, strict=True)
            if p.excess_flicker is not None
        ]
        looked = [(at, p.alignment) for at, p in zip(m.at_s, m.pairs, strict=True) if p.alignment]
        alignment = self.s["alignment"]
        jumps = self.s["temporal"]["gain_jumps"]
        jump_marks = [jump["at_s"] for stream in Stream for jump in jumps[stream.value]]
        shift = (alignment["shift_x_px"]["p50"], alignment["shift_y_px"]["p50"])
        shifted = (
            f"best at a shift of {shift[0]:+.1f}, {shift[1]:+.1f} px (median)"
            if shift[0] is not None
            else "no clear place found"
        )
        return [
            _plot("Brightness", f"mean grey level; {len(jump_marks)} gain jumps",
                  line_plot(means, marks=jump_marks), list(names)),
            _plot("Change from pair to pair", "mean |change| in grey levels: the fused picture "
                  "should not be more restless than its sources", line_plot(changes), list(names)),
            _plot("Flicker beyond both sources", "grey levels a pair that neither source explains",
                  line_plot([("excess", excess)], low=0.0)),
            _plot("Alignment", f"agreement of edges, 0 to 1, as it is and at the best place; "
                  f"{shifted}",
                  line_plot([("as it is", [(at, a["score"]) for at, a in looked]),
                             ("at the best shift", [(at, a["best_score"]) for at, a in looked])],
                            low=0.0), ["as it is", "at the best shift"]),
        ]  # fmt: skip

    def _detection(self) -> dict[str, Any] | None:
        found = self.s.get("detection")
        if not found:
            return None
        rows = [
            [
                picture,
                facts["detections"],
                _number(facts["per_frame"], 2),
                _number(facts["confidence"]["mean"], 3),
                _number(facts["agreement_with_fused"], 2),
                _number(facts.get("ap50"), 3),
                _number(facts.get("ap"), 3),
            ]
            for picture, facts in found["pictures"].items()
        ]
        lines = [(name, self.m.detections[name]) for name in found["pictures"]]
        return {
            "note": f"{found['model']} ({found['layout']}), confidence at least "
            f"{found['confidence']:g}, on {found['frames']} frames. {found['labels_note']}",
            "head": [
                "picture",
                "detections",
                "a frame",
                "mean confidence",
                "agree with fused",
                "AP50",
                "AP50-95",
            ],
            "rows": rows,
            "plots": [
                {
                    "title": "Detections a frame",
                    "legend": list(found["pictures"]),
                    "svg": _markup(line_plot(lines, low=0.0)),
                }
            ],
        }

    def _cost(self) -> dict[str, Any]:
        times = self.s["times"]
        rows = [
            [stage, *(_number(d[k], 2) for k in ("p50", "p95", "p99", "max")), d["n"]]
            for stage, d in times["stages_ms"].items()
        ]
        return {
            "note": f"{times['wall_s']:.1f} s for {self.s['duration_s']:.1f} s of recording, "
            f"{times['peak_memory_mib']:.0f} MiB at most. Times are this machine's and differ "
            "from run to run; everything else on this page does not.",
            "rows": rows,
        }

    def _identity(self) -> list[tuple[str, str, bool]]:
        recording, engine, machine = self.s["recording"], self.s["engine"], self.s["machine"]
        packages = ", ".join(f"{k} {v}" for k, v in machine["packages"].items())
        detail = ", ".join(f"{k} {v}" for k, v in machine["engine_detail"].items())
        topics = ", ".join(f"{t['name']} ({t['messages']})" for t in recording["topics"])
        settings = self.s["settings"]
        return [
            ("recording", recording["path"], True),
            ("sha256", recording["sha256"], True),
            ("size", f"{recording['size_bytes'] / 1e6:.1f} MB", False),
            ("topics", topics, False),
            ("visible", recording["visible"], True),
            ("thermal", recording["thermal"], True),
            ("chosen", recording["choice"], False),
            ("pairing", f"tolerance {settings['tolerance_ns'] / 1e6:g} ms, thermal offset "
             f"{settings['thermal_offset_ns'] / 1e6:g} ms, queue {settings['queue_size']}", False),
            ("engine", f"{engine['name']} on {engine['device']}, {engine['precision']}; {detail}",
             False),
            ("weights", f"{engine['preset']} {engine['weights_sha256']}", True),
            ("fused", f"{self.s['output']['frames']} pictures, {self.s['output']['sha256']}", True),
            ("machine", f"{machine['system']}, {machine['cores']} cores, Python "
             f"{machine['python']}", False),
            ("versions", packages, False),
        ]  # fmt: skip


def _tile(value: str, label: str, mood: str = "") -> dict[str, str]:
    return {"value": value, "label": label, "mood": mood}


def _plot(title: str, text: str, svg: str, legend: list[str] | None = None) -> dict[str, Any]:
    shown = _markup(svg) if svg else _markup('<p class="soft">nothing to show</p>')
    return {"title": title, "text": text, "svg": shown, "legend": legend or []}


def _ceiling(values: list[float]) -> tuple[float, float]:
    """The range to show of distances that may hold one absurd value."""
    if not values:
        return 0.0, 1.0
    ordered = sorted(values)
    usual = ordered[len(ordered) // 2]
    return max(ordered[0], -2 * usual), min(ordered[-1], 12 * usual) * 1.1


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)
