# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a recording, in words: each fault by name, where it is, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fusion_ros.replay.findings import effect_faults as effect
from fusion_ros.replay.findings import message_faults as message
from fusion_ros.replay.findings import picture_faults as picture
from fusion_ros.replay.findings import reading_faults as reading
from fusion_ros.replay.findings import time_faults as time
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity

__all__ = ["Evidence", "Finding", "Severity", "find_faults"]

# In the order in which findings of one severity are told: causes before what they cause.
_CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    reading.damage, reading.empty_stream, message.swapped, message.wrong_encoding,
    effect.doubtful_pairing, effect.doubtful_calibration, effect.without_effect,
    time.looped, time.offset, time.missing_frames, time.unpaired, picture.gain_jumps,
    message.rejections, message.content_faults, message.format_changes, picture.frozen, time.stalls,
    time.doubles, picture.misaligned, picture.flicker, reading.not_finished,
)  # fmt: skip


def find_faults(evidence: Evidence) -> list[Finding]:
    """Everything found, worst first."""
    found = [finding for check in _CHECKS for finding in check(evidence)]
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))
