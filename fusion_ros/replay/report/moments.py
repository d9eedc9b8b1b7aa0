# SPDX-License-Identifier: Apache-2.0
"""Images of single moments: the clickable timeline and the gallery."""

from __future__ import annotations

import base64
import json
from typing import Any

from fusion_ros.replay.gallery import PANELS, Moment
from fusion_ros.replay.report.material import MAIN_MEASURE, Material
from fusion_ros.replay.report.plots import LEFT, RIGHT, timeline_svg
from fusion_ros.replay.report.rendering import FATES

MOST_ON_TIMELINE = 40


def timeline(m: Material) -> dict[str, Any]:
    """Return the timeline: frames by fate, the main measure, and findings."""
    line = [
        (at, value) for at, pair in m.timed_pairs if (value := m.main_measure(pair)) is not None
    ]
    ticks = [
        (f.stream.value, m.evidence.seconds(f.arrived_ns), f.fate.value)
        for f in m.evidence.result.log.frames
        if f.fate is not None
    ]
    seen = {fate for _, _, fate in ticks}
    fates = [fate for fate in FATES if fate in seen]
    svg = timeline_svg(ticks, line, m.marks, m.summary["duration_s"])
    return {"svg": svg, "measure": MAIN_MEASURE, "fates": fates}


def moments_json(m: Material) -> str:
    """Return the images that a click on the timeline shows, for `timeline.js`."""
    moments = [
        {
            "at": m.timed_pairs[moment.pair][0],
            "text": _text(m, moment),
            "panels": [_base64(moment.panels[name]) for name in PANELS],
        }
        for moment in _spread(m.evidence.result.moments)
    ]
    data = {"moments": moments, "end": m.summary["duration_s"], "left": LEFT, "right": RIGHT}
    return json.dumps(data).replace("</", "<\\/")


def gallery(m: Material) -> list[dict[str, Any]]:
    """Return the best, typical and worst moment, and the first gain jumps."""
    moments = m.evidence.result.moments
    values = [(m.main_measure(m.timed_pairs[moment.pair][1]), moment) for moment in moments]
    scored = [(value, moment) for value, moment in values if value is not None]
    scored.sort(key=lambda item: item[0])
    places = (("best", -1, 1), ("typical", len(scored) // 2, 3), ("worst", 0, 2))
    picked = [(why, scored[at][1]) for why, at, least in places if len(scored) >= least]
    picked += [(moment.why, moment) for moment in moments if moment.why][:2]
    picked = picked or [("first", moment) for moment in moments[:1]]
    return [_shown(m, moment, why) for why, moment in picked]


def misses(m: Material) -> list[dict[str, Any]]:
    """Return the moments with the most labelled objects that the detector missed."""
    return [_shown(m, moment, "") for moment in m.misses]


def _shown(m: Material, moment: Moment, why: str) -> dict[str, Any]:
    panels = [{"name": name, "data": _base64(moment.panels[name])} for name in PANELS]
    return {"why": why, "text": _text(m, moment), "panels": panels}


def _spread(moments: list[Moment]) -> list[Moment]:
    """Return `MOST_ON_TIMELINE` moments at most, evenly spread, and all with a reason."""
    plain = [moment for moment in moments if not moment.why]
    picked = plain[:: -(-len(plain) // MOST_ON_TIMELINE) or 1]
    picked += [moment for moment in moments if moment.why]
    return sorted(picked, key=lambda moment: moment.pair)


def _text(m: Material, moment: Moment) -> str:
    at_s, pair = m.timed_pairs[moment.pair]
    value = m.main_measure(pair)
    text = f"{at_s:.2f} s · pair {pair.index} · skew {pair.skew_ms:+.1f} ms"
    text += f" · {MAIN_MEASURE} {value:.3f}" if value is not None else ""
    return f"{text} · {moment.why}" if moment.why else text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
