# SPDX-License-Identifier: Apache-2.0
"""A gate sets the exit code and names the cause; a comparison lists regressions first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from whole_runs import quick, read

from fusion_ros.replay.compare import compare_runs
from fusion_ros.replay.findings.codes import INCOMPLETE
from fusion_ros.replay.gate import _OPEN, NO_GATE, Gate, _figures, known_figures, look_up

GATE = {
    "limits": {"fused_share": {"min": 0.95}, "sync.skew_ms.p95": {"max": 5}},
    "forbid": ["time_jumped_back"],
    "forbid_severity": "error",
}


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({}, 0, "pass: sync.skew_ms.p95 is 0; allowed is at most 5"),
        ({"limits": {"fused": {"min": 1000}}}, 1, "FAIL: fused is 24; allowed is at least 1000"),
        ({"limits": {"detection.ap50_gain": {"min": 0}}}, 1, "ap50_gain was not measured"),
        ({"limits": {"sync.skew.p95": {"max": 15}}}, 2, "sync.skew_ms.p95"),
        ({"limits": {"zzz": {"min": 1}}}, 2, "summary.json"),
        ({"expect": ["gain_jump"]}, 1, "FAIL: finding gain_jump is absent; it must be present"),
        ({"forbid": ["gain_jump"]}, 0, "pass: finding gain_jump is absent; it must be absent"),
        ({"forbids": []}, 2, "forbid"),
        ({"limits": {"fused": 3}}, 2, "limits.fused is 3; allowed is"),
        ({"limits": [1]}, 2, "limits is [1]"),
        ({"limits": {"fused": {"min": float("nan")}}}, 2, "limits.fused"),
        ({"forbid": ["time_jumped_bak"]}, 2, "time_jumped_back"),
        ({"forbid": "stall"}, 2, "'stall'"),
        ({"expect": ["qqq"]}, 2, "damaged_file"),
        ({"forbid_severity": "errors"}, 2, "error, warning, info"),
    ],
)
def test_the_gate_sets_the_exit_code_and_names_the_cause(
    bag: Path, tmp_path: Path, capsys, change: dict[str, Any], code: int, word: str
) -> None:
    gate = tmp_path / "gate.yaml"
    gate.write_text(yaml.safe_dump({**GATE, **change}), encoding="utf-8")
    assert quick(bag, tmp_path / "out", "--no-report", "--gate", gate) == code
    printed = capsys.readouterr()
    assert word in printed.out + printed.err
    assert (tmp_path / "out").exists() == (code != 2)  # refused before the replay


def test_the_known_figures_are_those_of_a_replay(bag: Path, tmp_path: Path) -> None:
    assert quick(bag, tmp_path / "out", "--measures", "qw", "--baselines", "average") == 0
    summary = read(tmp_path / "out")
    texts = ("format", "complete", "output.sha256", "sync.offset_from", "version", "damage")
    lists = ("findings", "temporal.gain_jumps.")
    outside = (*texts, *lists, "engine.", "rig.", "recording.", *_OPEN)
    found = {path for path in _figures(summary) if not path.startswith(outside)}
    known = known_figures()
    assert found <= known
    unused = {path for path in known - found if not path.startswith("quality.")}
    assert unused == set()


def test_names_with_dots_are_found_in_a_summary() -> None:
    assert look_up({"a": {"b.c": {"d": 2}}}, "a.b.c.d") == 2
    assert look_up({"a": {"b": "text"}}, "a.b") is None


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "limits: {}\nforbid: []\n", "expect:\n"])
def test_a_gate_without_a_check_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="limits, forbid, forbid_severity, expect"):
        Gate.load(tmp_path / "gate.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "forbid: [stall]\nforbid: []\n",
        "forbid: [stall]\nforbid_severty:\n",
        "- 1",
        "limits: [",
        "a: !!int ''",
    ],
)
def test_an_invalid_gate_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"gate\.yaml"):
        Gate.load(tmp_path / "gate.yaml")


@pytest.mark.parametrize("code", sorted(INCOMPLETE))
def test_unread_data_never_pass(code: str) -> None:
    summary = {"fused": 12, "findings": [{"code": code, "severity": "error"}]}
    assert (NO_GATE.judge(summary).word, NO_GATE.judge(summary).exit_code) == ("incomplete", 2)
    limits = {"fused": {"min": 1}}
    assert Gate(limits).judge(summary).word == "failed"
    assert Gate(limits, expect=(code,)).judge(summary).word == "passed"


def test_a_mistyped_path_is_answered_with_the_nearest_one() -> None:
    summary = {"sync": {"skew_ms": {"p95": 1.0}, "offset_ms": None}, "findings": []}
    limits = {"sync.skew.p95": {"max": 15.0}, "sync.offset_ms": {"max": 1.0}}
    failed = [text for text in Gate(limits).judge(summary).reasons if text.startswith("FAIL")]
    unmeasured, mistyped = sorted(failed)
    assert "sync.skew_ms.p95" in mistyped
    assert "did you mean" not in unmeasured  # the path is right


def test_a_failed_check_names_the_finding_that_is_present() -> None:
    summary = {"findings": [{"code": "misaligned", "severity": "warning"}]}
    verdict = Gate({}, forbid=("misaligned",), forbid_severity="warning").judge(summary)
    assert verdict.word == "failed"
    failed = [reason for reason in verdict.reasons if reason.startswith("FAIL")]
    assert len(failed) == 2
    assert all("misaligned" in reason for reason in failed)
    assert any("present" in reason for reason in failed)


def test_without_a_gate_and_with_everything_read_there_is_no_verdict() -> None:
    summary = {"findings": [{"code": "swapped_topics", "severity": "error"}]}
    assert (NO_GATE.judge(summary).word, NO_GATE.judge(summary).exit_code) == ("no gate", 0)


def test_an_expected_finding_passes_a_gate_that_forbids_errors(tmp_path: Path) -> None:
    summary = {"findings": [{"code": "damaged_file", "severity": "error"}]}
    assert Gate({}, forbid_severity="error").judge(summary).word == "failed"
    gate = Gate({}, forbid_severity="error", expect=("damaged_file",))
    assert gate.judge(summary).word == "passed"


def test_a_comparison_puts_regressions_first_and_counts_equal_images(
    bag: Path, two_runs, tmp_path: Path
) -> None:
    assert quick(bag, tmp_path / "same", "--no-report", "--compare", two_runs[0]) == 0
    same = read(tmp_path / "same", "comparison.json")
    assert same["identical_frames"] == same["common_pairs"] == 24
    # Another run whose quality was better and whose fusing was quicker, by hand.
    better = read(two_runs[0])
    better["quality"]["candidates"]["fused"]["qw"]["mean"] += 0.2
    better["times"]["stages_ms"]["fuse"]["p50"] = 1e-3
    other = tmp_path / "other"
    other.mkdir()
    (other / "summary.json").write_text(json.dumps(better), encoding="utf-8")
    assert quick(bag, tmp_path / "now", "--compare", other) == 0
    comparison = read(tmp_path / "now", "comparison.json")
    rows = {row["name"]: row for row in comparison["rows"]}
    assert next(iter(rows)) == "fused qw"
    assert rows["fused qw"]["mood"] == "bad"
    # A thousand times slower is the larger change, but times do not repeat as figures do.
    assert rows["fusing p50, ms"]["worse_by"] > rows["fused qw"]["worse_by"]
    assert [row["mood"] for row in comparison["rows"]].count("bad") >= 1
    assert ">Compared with other<" in (tmp_path / "now" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "now", "mood"),
    [(8.0, 9.9, "soft"), (0.5, 2.0, "soft"), (8.0, 14.0, "bad"), (14.0, 8.0, "good")],
)
def test_changes_of_times_are_notable_from_a_quarter_and_two_milliseconds(
    two_runs, tmp_path: Path, before: float, now: float, mood: str
) -> None:
    folders = []
    for name, p50_ms in (("before", before), ("now", now)):
        summary = read(two_runs[0])
        summary["times"]["stages_ms"]["fuse"]["p50"] = p50_ms
        folder = tmp_path / name
        folder.mkdir()
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        folders.append(folder)
    comparison = compare_runs(*folders)
    rows = {row.name: row for row in comparison.rows}
    assert rows["fusing p50, ms"].mood == mood
    assert (f"{rows['fusing p50, ms'].now} ms" in comparison.headline) == (mood == "bad")


def test_the_earlier_run_is_checked_before_the_replay(bag: Path, tmp_path: Path, capsys) -> None:
    assert quick(bag, tmp_path / "out", "--compare", tmp_path) == 2
    assert str(tmp_path / "summary.json") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
