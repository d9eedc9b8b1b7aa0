# SPDX-License-Identifier: Apache-2.0
"""`live.html`: the figures of a live replay."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.live.rate_search import MOST_LOSS
from fusion_ros.replay.report.plots import line_plot
from fusion_ros.replay.report.rendering import (
    FATES,
    fates_of_stream,
    number,
    plot,
    tile,
    write_html,
)

_PERCENTILES = ("p50", "p95", "p99", "max")


def write_page(folder: Path, live: Mapping[str, Any], verdict: Verdict) -> Path:
    """Write `live.html` beside `live.json` and `live_frames.csv`.

    Args:
        folder: that of the two files.
        live: the content of `live.json`; the recording was played to its end.
        verdict: that of the gate, or of a replay without one.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    recording, engine = live["recording"], live["engine"]
    values = {
        "name": recording["name"],
        "subtitle": f"live · {live['seconds']:.1f} s at {live['rate']:g} times the recorded rate · "
        f"{engine['preset']} on {engine['engine']} ({engine['device']})",
        **_verdict(live, verdict),
        "headline": _headline(live),
        "tiles": _tiles(live),
        "findings": live["findings"],
        "streams": _streams(live),
        "fates": FATES,
        **_ages(folder, live),
        **_rates(live),
        "identity": _identity(live),
        "version": live["version"],
    }
    return write_html(folder / "live.html", "live.html.j2", values)


def _verdict(live: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    word, mood = verdict.word, verdict.word
    if verdict.word == "could not run":
        word, mood = "not finished", "failed"
    elif verdict.word == "no gate":
        bad = any(f["severity"] == "error" for f in live["findings"])
        word, mood = ("frames lost", "failed") if bad else ("no loss", "passed")
    return {
        "badge": word,
        "badge_class": mood,
        "verdict_word": verdict.word,
        "verdict_reasons": verdict.reasons,
    }


def _headline(live: Mapping[str, Any]) -> str:
    text = (
        f"{live['fused']} of {live['pairs_possible']} possible pairs were fused at "
        f"{live['asked_hz']:.1f} Hz."
    )
    if "highest" in live:
        text += f" Highest sustained rate: {_highest(live)}."
    return text


def _highest(live: Mapping[str, Any]) -> str:
    highest = live["highest"]
    if not highest["rate"]:
        return "none of those tried"
    limit = " or more (the player was the limit)" if highest["limited_by"] == "player" else ""
    return f"{highest['hz']:.1f} Hz{limit}"


def _tiles(live: Mapping[str, Any]) -> list[dict[str, str]]:
    age, highest = live["age_ms"], live.get("highest")
    tiles = [
        tile(f"{live['loss']:.2%}", "of the possible pairs lost",
             "good" if live["loss"] < MOST_LOSS else "bad"),
        *(tile(number(age[p], 1, " ms"), f"age, {p}") for p in ("p50", "p95", "p99")),
    ]  # fmt: skip
    if highest:
        plus = "+" if highest["limited_by"] == "player" else ""
        tiles.append(tile(f"{highest['hz']:.1f}{plus}", "Hz, highest sustained rate"))
    wire = sum(live["lost_on_the_wire"].values())
    tiles.append(tile(str(wire), "frames not received by the node", "bad" if wire else ""))
    return tiles


def _streams(live: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        fates_of_stream(
            stream,
            f"{live['lost_on_the_wire'][stream]} not received by the node",
            live["sent"][stream],
            counts,
        )
        for stream, counts in live["counts"].items()
    ]


def _ages(folder: Path, live: Mapping[str, Any]) -> dict[str, Any]:
    with (folder / "live_frames.csv").open(encoding="utf-8", newline="") as file:
        rows = [(float(r["at_s"]), float(r["age_ms"])) for r in csv.DictReader(file)]
    names = {
        "age_ms": "age: stamp to publishing of the fused image",
        "way_ms": "publishing of the visible to that of the fused image",
        "player_lag_ms": "delay of the player",
    }
    return {
        "age_note": "Time from the stamp of the visible frame to the publishing of the fused "
        "image. Recorded stamps are moved to the present by the same amount for both cameras; the "
        "frame with the least delay in the recording has age 0 when it is sent.",
        "ages": [
            [name, *(number(live[key][p], 2) for p in _PERCENTILES), live[key]["n"]]
            for key, name in names.items()
        ],
        "age_plots": [
            plot(
                "Age over time",
                "by due time of the visible frame",
                line_plot([("age", rows)], unit_y="ms", low=0.0),
            )
        ],
    }


def _rates(live: Mapping[str, Any]) -> dict[str, Any]:
    passes = sorted([live, *live["tried"]], key=lambda p: p["asked_hz"]) if live["tried"] else []
    return {
        "tried": [
            [
                f"{p['asked_hz']:.1f}",
                f"{p['rate']:.2f}",
                p["pairs_possible"],
                p["fused"],
                f"{p['loss']:.2%}",
                p["counts"]["visible"]["superseded"],
                sum(p["lost_on_the_wire"].values()),
                number(p["age_ms"]["p50"], 1, " ms"),
                number(p["age_ms"]["p95"], 1, " ms"),
            ]
            for p in passes
        ],
        "search_note": f"Doubled until {MOST_LOSS:.0%} of the possible pairs or more were lost, "
        f"then bisected; each rate for {live['search_s']:g} s, with the start of the recording "
        "repeated. A rate that lost frames was played twice and the better result counts.",
    }


def _identity(live: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    recording, engine, values = live["recording"], live["engine"], live["parameters"]
    return [
        ("recording", recording["path"], True),
        ("sha256", recording["sha256"], True),
        ("visible", recording["visible"], True),
        ("thermal", recording["thermal"], True),
        ("pairing", f"tolerance {values['pairing_tolerance_ms']:g} ms, thermal offset "
         f"{values['thermal_offset_ms']:g} ms, queue {values['pairing_queue_size']}", False),
        ("engine", f"{engine['engine']} on {engine['device']}, {engine['precision']}", False),
        ("weights", f"{engine['preset']} {engine['weights_sha256']}", True),
        ("not sent", f"{live['damaged_frames_not_sent']} damaged frames", False),
    ]  # fmt: skip
