# SPDX-License-Identifier: Apache-2.0
"""Findings: faults of a recording with code, places and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fusion_ros.replay.findings import image_faults as image
from fusion_ros.replay.findings import message_faults as message
from fusion_ros.replay.findings import reading_faults as reading
from fusion_ros.replay.findings import time_faults as time
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity

__all__ = ["Evidence", "Finding", "Severity", "find_faults"]

# In reporting order within one severity: causes before their effects.
_CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    reading.unread, message.swapped,
    image.doubtful_inputs, image.without_effect,
    time.looped, time.offset, time.missing_frames, time.unpaired, image.gain_jumps,
    message.rejections, message.content_faults, message.format_changes, image.frozen, time.stalls,
    time.doubles, image.misaligned, image.flicker, reading.not_finished,
)  # fmt: skip


def find_faults(evidence: Evidence) -> list[Finding]:
    """Return all findings, worst first."""
    found = [finding for check in _CHECKS for finding in check(evidence)]
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))
