# SPDX-License-Identifier: Apache-2.0
"""Text from outside stays on its line and is short, wherever it is printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.cli.main import main
from fusion_ros.outside_text import printable, printable_lines
from fusion_ros.replay.findings.evidence import Finding, Severity

HOSTILE = "x\n[FATAL] forged \x1b[2J\x07\u202e\u2028" + "A" * 20_000


@given(text=st.text(), limit=st.integers(1, 200))
def test_whatever_comes_is_one_printable_line_of_limited_length(text, limit):
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit + len(f"... ({len(text)} characters)")
    shown.encode("utf-8")
    if text.isprintable() and len(text) <= limit:
        assert shown == text


def test_a_lone_surrogate_of_a_file_name_can_be_encoded():
    assert printable("a\udcff").encode() == b"a\\udcff"


def test_lines_of_ours_stay_lines():
    assert printable_lines("a\nb\x1b") == "a\nb\\x1b"


def test_a_finding_holds_no_control_characters():
    finding = Finding("code", Severity.ERROR, HOSTILE, HOSTILE, HOSTILE)
    for text in (finding.title, finding.detail, finding.fix):
        assert text.isprintable()
        assert len(text) < 1100


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "{name}", "--out", "{tmp}/out"],
        ["fuse", "--visible", "{name}", "--thermal", "{name}2", "--out", "{tmp}/out"],
        ["record", "{name}", "{tmp}/out"],
        ["calibrate", "--pairs", "{name}", "--out", "{tmp}/out.yaml"],
        ["build-engine", "--weights", "{name}", "--out", "{tmp}/out"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_command_prints_a_name_raw(arguments, tmp_path, capfd):
    name = str(tmp_path / "x\n[FATAL] forged \x1b[2J.mcap")
    texts = [argument.format(name=name, tmp=tmp_path) for argument in arguments]
    try:
        code = main(texts)
    except SystemExit as stop:
        code = stop.code
    assert code
    out, err = capfd.readouterr()
    assert err
    for line in (out + err).splitlines():
        assert not line.startswith("[FATAL]")
        assert "\x1b" not in line
