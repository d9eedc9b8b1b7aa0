# SPDX-License-Identifier: Apache-2.0
"""Findings about messages that contradict their topic or header."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from fusion_ros.outside_text import printable
from fusion_ros.recordings.topics import IMAGE_TYPES
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity, sentence, times
from fusion_ros.streams.content import Fault
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.topic_names import THERMAL_WORDS, VISIBLE_WORDS, score, thermal_beside

_NO_ENCODING = (
    "wrong_encoding",
    "do not fit their encoding",
    "The driver sets wrong header fields, or publishes an encoding that is not supported.",
)
_LOST_BYTES = "The transport or the recorder lost bytes; look at its disk and at DDS fragmentation."
_REJECTIONS = {
    **dict.fromkeys(
        ("unknown_encoding", "bad_step", "bad_size", "zero_size", "too_large"), _NO_ENCODING
    ),
    "malformed": ("damaged_messages", "are no messages of their type", "The recorder lost bytes, "
                  "or another type was recorded under the topic's name."),
    "truncated": ("damaged_messages", "are cut or damaged", _LOST_BYTES),
    "bad_stamp": ("bad_stamps", "have an invalid stamp", "Correct the driver, or replay with "
                  "--stamp-source arrival."),
    "zero_stamp": ("zero_stamps", "have no stamp", "Replay with --stamp-source arrival, and set "
                   "stamp_source to 'arrival' on the robot."),
    "frozen": ("frozen", "repeat one image although the camera should send new ones",
               "Restart the camera; for a simulated one without noise set frozen_after_ms=0."),
    "shutter": ("shutter", "have no content (closed shutter)", "Normal for cameras with a "
                "shutter; the fuse node rejects these frames."),
    "not_8_bit": ("visible_not_8_bit", "are not 8-bit images", "Choose another topic, or let the "
                  "driver publish rgb8, bgr8 or mono8."),
    "engine_error": ("engine_error", "could not be fused", "See the engine's message."),
    "unusable_pair": ("unusable_pair", "could not be fused", "Check sizes and types."),
}  # fmt: skip
"""By reason of the rejection: code, title and remedy."""
_REMEDIES: dict[str, dict[str, float | str]] = {
    "zero_stamps": {"stamp_source": "arrival"},
    "bad_stamps": {"stamp_source": "arrival"},
}


def swapped(e: Evidence) -> Iterator[Finding]:
    """Find swapped cameras."""
    seen = e.result.watchers
    reasons = []
    if seen[Stream.THERMAL].is_colour and not seen[Stream.VISIBLE].is_colour:
        reasons.append(f"{e.identity.thermal} shows colours and {e.identity.visible} does not")
    deep = [kind for kind in seen[Stream.VISIBLE].kinds if kind != "uint8"]
    if deep:
        reasons.append(f"{e.identity.visible} carries {deep[0]}, as thermal cameras do")
    if score(e.identity.visible, THERMAL_WORDS) and score(e.identity.thermal, VISIBLE_WORDS):
        reasons.append("the topics have the names of the other camera")
    if reasons:
        options = (
            f"--visible-topic {shlex.quote(e.identity.thermal)} "
            f"--thermal-topic {shlex.quote(e.identity.visible)}"
        )
        yield Finding(
            "swapped_topics",
            Severity.ERROR,
            "The two cameras look swapped",
            sentence("; ".join(reasons)),
            f"Replay with {options}, and swap the remappings on the robot.",
            command=f"fusion-ros replay RECORDING {options} --out OUT",
        )


def rejections(e: Evidence) -> Iterator[Finding]:
    """Find rejected frames by reason."""
    for stream, entries in e.frames.items():
        for reason, (code, what, fix) in _REJECTIONS.items():
            bad = [f for f in entries if f.reason == reason]
            if not bad:
                continue
            messages = e.result.rejections
            message = messages.get(f"{stream.value}:{reason}") or messages.get(f"pair:{reason}")
            usual = reason == "shutter" and len(bad) <= len(entries) / 2
            yield Finding(
                code,
                Severity.INFO if usual else Severity.ERROR,
                f"{len(bad)} {stream.value} frames {what}",
                f"The first one: {message}.",
                fix,
                e.places(bad),
                len(bad),
                _REMEDIES.get(code, {}),
            )


def content_faults(e: Evidence) -> Iterator[Finding]:
    """Find faults in the pixels of readable messages."""
    visible_in_colour = e.result.watchers[Stream.VISIBLE].is_colour
    images = [t.name for t in e.identity.topics if t.message_type in IMAGE_TYPES and t.messages]
    beside = (name for name in images if name != e.identity.visible)
    thermal_topics = thermal_beside(e.identity.thermal, beside)
    for stream, seen in e.result.watchers.items():
        for fault in dict.fromkeys(change.fault for _, change in seen.faults):
            others = thermal_topics if fault is Fault.COLOURS else []
            if fault is Fault.COLOURS and not (visible_in_colour or others):
                continue  # `swapped` reports this
            at = {index for index, change in seen.faults if change.fault is fault}
            encoding = next(c.encoding for _, c in seen.faults if c.fault is fault)
            remedy = fault.remedy
            if others:
                remedy += f"; here: --thermal-topic {' or '.join(map(printable, others))}"
            yield Finding(
                fault.value,
                Severity.ERROR if fault.is_error else Severity.WARNING,
                f"{sentence(fault.text)[:-1]} ({stream.value})",
                f"Seen on {printable(e.identity.chosen(stream))}, encoding {printable(encoding)}.",
                sentence(remedy),
                e.places([f for f in e.frames[stream] if f.index in at]),
                len(at),
            )


def format_changes(e: Evidence) -> Iterator[Finding]:
    """Find changes of size or encoding."""
    for stream, seen in e.result.watchers.items():
        if seen.format_changes:
            index, before, after = seen.format_changes[0]
            changed = {i for i, _, _ in seen.format_changes}
            yield Finding(
                "format_changed",
                Severity.WARNING,
                f"The {stream.value} stream changes its format ({times(len(seen.format_changes))})",
                f"At frame {index}: from {before} to {after}.",
                "Two publishers on one topic, or a driver restarted with other settings.",
                e.places([f for f in e.frames[stream] if f.index in changed]),
                len(seen.format_changes),
            )
