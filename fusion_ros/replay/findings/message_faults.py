# SPDX-License-Identifier: Apache-2.0
"""Messages that are not what their topic or header says."""

from __future__ import annotations

from collections.abc import Iterator

from fusion_ros.accounting import Stream
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity, times
from fusion_ros.replay.topics import THERMAL_WORDS, VISIBLE_WORDS, name_fits

_WRONG_ENCODING = ("unknown_encoding", "bad_step", "bad_size", "zero_size", "too_large")


def swapped(e: Evidence) -> Iterator[Finding]:
    """The two topics look exchanged."""
    seen = e.result.watchers
    reasons = []
    if seen[Stream.THERMAL].is_colour and not seen[Stream.VISIBLE].is_colour:
        reasons.append(f"{e.identity.thermal} shows colours and {e.identity.visible} does not")
    deep = [kind for kind in seen[Stream.VISIBLE].kinds if kind != "uint8"]
    if deep:
        reasons.append(f"{e.identity.visible} carries {deep[0]}, as thermal cameras do")
    if name_fits(e.identity.visible, THERMAL_WORDS) and name_fits(
        e.identity.thermal, VISIBLE_WORDS
    ):
        reasons.append("the topics' names say the opposite")
    if reasons:
        yield Finding(
            "swapped_topics",
            Severity.ERROR,
            "The two cameras look swapped",
            f"{'; '.join(reasons)[:1].upper()}{'; '.join(reasons)[1:]}.",
            f"Replay with --visible-topic {e.identity.thermal} --thermal-topic "
            f"{e.identity.visible}, and swap the remappings on the robot.",
        )


def wrong_encoding(e: Evidence) -> Iterator[Finding]:
    """Pixels that do not fit the encoding, told by what cannot be read."""
    for stream, entries in e.frames.items():
        bad = [f for f in entries if f.reason in _WRONG_ENCODING]
        if bad:
            message = e.result.rejections.get(f"{stream.value}:{bad[0].reason}", "")
            yield Finding(
                "wrong_encoding",
                Severity.ERROR,
                f"{len(bad)} {stream.value} frames do not fit their encoding",
                f"{message}.",
                "The driver fills the message's header wrongly, or publishes an encoding that is "
                "not read here.",
                e.places(bad),
                len(bad),
            )


def rejections(e: Evidence) -> Iterator[Finding]:
    """Frames that were left out, by reason."""
    told = {
        "truncated": ("damaged_messages", "are cut or damaged", "The transport or the recorder "
                      "lost bytes; look at its disk and at DDS fragmentation."),
        "zero_stamp": ("zero_stamps", "carry no time", "Replay with --stamp-source arrival, and "
                       "set stamp_source to 'arrival' on the robot."),
        "shutter": ("shutter", "have no content (a closed shutter)", "Normal for cameras with a "
                    "shutter; the fuse node leaves these frames out."),
        "not_8_bit": ("visible_not_8_bit", "are not 8-bit pictures", "Choose another topic, or "
                      "let the driver publish rgb8, bgr8 or mono8."),
        "engine_error": ("engine_error", "could not be fused", "Look at the engine's message."),
        "unusable_pair": ("unusable_pair", "could not be fused", "Look at sizes and types."),
    }  # fmt: skip
    for stream, entries in e.frames.items():
        for reason, (code, what, fix) in told.items():
            bad = [f for f in entries if f.reason == reason]
            if bad:
                key = f"{stream.value}:{reason}"
                message = e.result.rejections.get(key) or e.result.rejections.get(f"pair:{reason}")
                yield Finding(
                    code,
                    Severity.INFO
                    if reason == "shutter" and len(bad) <= len(entries) / 2
                    else Severity.ERROR,
                    f"{len(bad)} {stream.value} frames {what}",
                    f"The first one: {message}.",
                    fix,
                    e.places(bad),
                    len(bad),
                )


def odd_bytes(e: Evidence) -> Iterator[Finding]:
    """Headers that can be read, but do not fit the pixels."""
    for stream, seen in e.result.watchers.items():
        if seen.odd_steps > seen.frames / 2:
            yield Finding(
                "wrong_encoding",
                Severity.ERROR,
                f"The {stream.value} frames' rows are twice as long as their encoding needs",
                f"Named {next(iter(seen.formats))}, but half or more of every row is not used: "
                "the pixels are of another encoding than the header says.",
                "Correct the encoding that the driver names (mono16 for 16-bit, rgb8 for colour).",
                count=seen.odd_steps,
            )
        if seen.odd_byte_order > seen.frames / 2:
            yield Finding(
                "wrong_byte_order",
                Severity.ERROR,
                f"The {stream.value} frames' bytes look swapped",
                "Read as the header says, neighbouring pixels have nothing to do with each other; "
                "with the two bytes of each pixel swapped they do.",
                "Correct is_bigendian in the driver.",
                count=seen.odd_byte_order,
            )


def format_changes(e: Evidence) -> Iterator[Finding]:
    """Size or encoding changes on the way."""
    for stream, seen in e.result.watchers.items():
        if seen.format_changes:
            index, before, after = seen.format_changes[0]
            changed = {i for i, _, _ in seen.format_changes}
            yield Finding(
                "format_changed",
                Severity.WARNING,
                f"The {stream.value} stream changes its format ({times(len(seen.format_changes))})",
                f"At frame {index}: from {before} to {after}.",
                "Two publishers on one topic, or a driver that was restarted with other settings.",
                e.places([f for f in e.frames[stream] if f.index in changed]),
                len(seen.format_changes),
            )
