# SPDX-License-Identifier: Apache-2.0
"""The one word for a replay, and its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusion_ros.replay.gate import Verdict

MOODS = ("failed", "warning", "passed")
"""CSS classes, worst first."""


def badge(verdict: Verdict, findings: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Word and mood: the verdict's, or without a gate what the worst finding says."""
    if verdict.word != "no gate":
        return verdict.word, "passed" if verdict.word == "passed" else "failed"
    there = {finding["severity"] for finding in findings}
    if "error" in there:
        return "errors found", "failed"
    return ("warnings", "warning") if "warning" in there else ("no faults", "passed")
