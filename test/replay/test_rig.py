# SPDX-License-Identifier: Apache-2.0
"""The verdict on a rig: the worst figure or finding of each question, with the next command."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml

from fusion_ros.parameters import FuseParameters
from fusion_ros.replay.job import Job
from fusion_ros.replay.rig import SCALES, answers, command_for, verdict_of

GOOD = {
    "fused_share": 1.0,
    "sync": {"skew_ms": {"p95": 3.0}},
    "alignment": {"score": {"p50": 0.97}, "shift_share": 0.002},
    "temporal": {
        "flicker_index": 1.0, "gain_jumps_per_minute": 0.0, "badly_exposed_share": 0.0,
        "average_flicker_index": 0.9,
    },
    "findings": [],
}  # fmt: skip


def finding(code: str, severity: str = "warning", **more: Any) -> dict[str, Any]:
    return {"code": code, "severity": severity, "title": code, "parameters": {}, "command": "",
            **more}  # fmt: skip


def words(summary: dict[str, Any]) -> dict[str, str]:
    found = answers(summary)
    return {a.name: a.word for a in found} | {"verdict": verdict_of(found)}


def test_a_good_rig_is_good_although_no_detector_ran() -> None:
    assert words(GOOD) == {
        "recording": "good", "time": "good", "geometry": "good", "exposure": "good",
        "detectors": "not measured", "verdict": "good",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "name", "word"),
    [
        ({"fused_share": 0.9}, "time", "usable"),
        ({"sync": {"skew_ms": {"p95": 51.0}}}, "time", "not usable"),
        ({"sync": {"skew_ms": {"p95": None}}, "fused_share": 0.0}, "time", "not usable"),
        ({"alignment": {"score": {"p50": 0.5}, "shift_share": 0.002}}, "geometry", "not usable"),
        ({"alignment": {"score": {"p50": 0.95}, "shift_share": 0.02}}, "geometry", "usable"),
        ({"alignment": {"score": {"p50": None}}}, "geometry", "not measured"),
        ({"detection": {"ap50_gain": -0.05}}, "detectors", "usable"),
        ({"findings": [finding("damaged_file", "error")]}, "recording", "not usable"),
        ({"findings": [finding("shutter", "info")]}, "exposure", "good"),
        ({"findings": [finding("gain_jump")]}, "exposure", "usable"),
    ],
)
def test_an_answer_is_its_worst_figure_or_finding(
    change: dict[str, Any], name: str, word: str
) -> None:
    found = words({**GOOD, **change})
    assert found[name] == word
    assert found["verdict"] == ("usable" if word == "not measured" else word)


def test_edges_that_agree_at_no_shift_are_explained() -> None:
    summary = {**GOOD, "alignment": {"score": {"p50": 0.0}, "shift_share": None}}
    answer = next(a for a in answers(summary) if a.name == "geometry")
    assert answer.word == "not usable"
    assert "rotation" in " ".join(answer.titles)
    shifted = {**summary, "findings": [finding("misaligned")]}
    answer = next(a for a in answers(shifted) if a.name == "geometry")
    assert answer.titles == ("misaligned",)


def test_each_figure_has_a_scale_and_the_value_of_the_average_image() -> None:
    figures = {f.name: f for a in answers(GOOD) for f in a.figures}
    assert len(figures) == sum(map(len, SCALES.values()))
    assert figures["skew, 95 % are below"].scale == "good: at most 17 ms; usable: 50 ms"
    assert figures["flicker index"].scale.endswith("average image: 0.9")


def test_a_finding_gives_a_command_and_a_block_that_the_node_accepts() -> None:
    remedy = {"thermal_offset_ms": -80.0, "stamp_source": "arrival"}
    found = finding("constant_offset", "error", parameters=remedy)
    answer = next(a for a in answers({**GOOD, "findings": [found]}) if a.name == "time")
    block = yaml.safe_load(answer.parameters)["/**"]["ros__parameters"]
    assert FuseParameters.from_values(block).thermal_offset_ms == -80.0
    # The parameters of this run are kept, except for defaults; those of the finding come last.
    given = {"tone_mode": "percentile", "engine": "auto", "thermal_offset_ms": 5.0}
    job = Job("a b.mcap", "out/", visible_topic="/rgb", parameters=given)
    words = shlex.split(command_for(answer.command, job.source, job.out, job.options))
    assert words == [
        "fusion-ros", "replay", "a b.mcap", "--visible-topic", "/rgb",
        "--set", "tone_mode=percentile", "--set", "thermal_offset_ms=5.0",
        "--set", "thermal_offset_ms=-80.0", "--set", "stamp_source=arrival",
        "--out", "out-next", "--compare", "out/",
    ]  # fmt: skip


def test_each_command_is_one_that_the_program_accepts() -> None:
    from fusion_ros.cli.main import parser

    gone = {**GOOD, "alignment": {}, "temporal": {}, "sync": {}}
    for answer in (*answers(gone), *answers({**GOOD, "findings": [finding("misaligned")]})):
        words = shlex.split(command_for(answer.command, "a.mcap", "out"))
        assert words[0] == "fusion-ros"
        parser().parse_args(words[1:])
