# SPDX-License-Identifier: Apache-2.0
"""Every code of the code base stands on docs/how-to/troubleshooting.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fusion_ros.imaging.encodings import RejectReason
from fusion_ros.imaging.pair_check import PairDoubt
from fusion_ros.nodes.fuse.reporting.rejections import PAIR_REASONS
from fusion_ros.replay.findings.codes import CODES, LIVE, OFFLINE
from fusion_ros.streams.content import Fault

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8")
REJECTING = {"Rejection", "reject", "_reject"}
"""Calls that take a reason code."""


def codes_in(heading: str) -> set[str]:
    """Return the codes in the first column of a section's table."""
    section = re.split(r"\n#+ ", PAGE.split(f"# {heading}\n")[1])[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {code for cell in firsts for code in re.findall(r"`([a-z0-9_]+)`", cell)}


def literals(folder: str, names: set[str]) -> set[str]:
    """Return the string arguments of calls with these names that look like codes."""
    found = set()
    for path in (REPOSITORY / "fusion_ros" / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in names:
                found |= {
                    value.value
                    for value in node.args
                    if isinstance(value, ast.Constant) and isinstance(value.value, str)
                }
    return {code for code in found if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", code)}


def reason_codes() -> set[str]:
    literal = literals("streams", REJECTING) | literals("nodes/fuse", REJECTING)
    assert {"shutter", "zero_stamp", "not_calibrated"} <= literal  # the search finds them
    return literal | set(PAIR_REASONS) | {reason.value for reason in RejectReason}


def test_every_reason_for_a_rejected_frame_is_explained() -> None:
    assert codes_in("Rejected frames") == reason_codes()


def test_every_fault_of_a_stream_is_explained() -> None:
    assert codes_in("Faults of a stream") == {fault.value for fault in Fault}


def test_every_finding_is_explained() -> None:
    assert codes_in("Findings of a replay") == set(OFFLINE)
    assert codes_in("With `--live`") == set(LIVE)


def test_every_doubt_about_a_pair_is_explained() -> None:
    assert {doubt.value for doubt in PairDoubt} <= set(OFFLINE)


@pytest.mark.parametrize("folder", ["replay"])
def test_findings_use_only_listed_codes(folder: str) -> None:
    emitted = literals(folder, {"Finding", "add"})
    assert "misaligned" in emitted
    assert {code for code in emitted if "_" in code or code in CODES} <= set(CODES)


def test_quoted_messages_exist() -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "fusion_ros").rglob("*.py")
    )
    joined = re.sub(r'"\s*\n\s*f?"', "", sources)  # adjacent literals
    quotes = re.findall(r'(?:^\| |log: )"([^"\n]+)"', PAGE, flags=re.MULTILINE)
    assert quotes
    longest = {
        quote: max(
            (part.strip(" ()") for part in re.split(r"\.\.\.|REASON|[/(,;]", quote)), key=len
        )
        for quote in quotes
    }
    assert not {quote: part for quote, part in longest.items() if part not in joined}
