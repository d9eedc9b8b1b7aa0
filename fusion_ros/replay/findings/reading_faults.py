# SPDX-License-Identifier: Apache-2.0
"""Data of the recording that were not read: damaged files, lost messages, empty topics."""

from __future__ import annotations

from collections.abc import Iterator

from fusion_ros.accounting import Stream
from fusion_ros.recordings.damage import Damage, DamageKind
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity

INCOMPLETE = frozenset({"damaged_file", "missing_messages", "no_frames", "damaged_messages"})
"""Findings after which no verdict may be "passed": part of the recording was not read."""

_MOST_TEXTS = 5


def damaged_file(e: Evidence) -> Iterator[Finding]:
    """Files that are cut or changed."""
    for file, damages in _by_file(e, DamageKind.BYTES):
        yield Finding(
            "damaged_file",
            Severity.ERROR,
            f"{file} is damaged or cut",
            f"{_texts(damages)}. The rest was replayed.",
            "The recorder was killed, or the copy is incomplete: copy again, or record anew.",
            count=len(damages),
        )


def missing_messages(e: Evidence) -> Iterator[Finding]:
    """Messages that the recording counts and that were not read."""
    for file, damages in _by_file(e, DamageKind.MESSAGES):
        lost = sum(damage.lost for damage in damages)
        yield Finding(
            "missing_messages",
            Severity.ERROR,
            f"{lost} messages of {file} could not be read",
            f"{_texts(damages)}.",
            "Part of the recording is lost or lies elsewhere: copy it again, or record anew.",
            count=lost,
        )


def unfinished(e: Evidence) -> Iterator[Finding]:
    """Recordings that the recorder did not close; all that was written was read."""
    for file, damages in _by_file(e, DamageKind.UNFINISHED):
        yield Finding(
            "unfinished_recording",
            Severity.WARNING,
            f"{file} was not closed by its recorder",
            f"{_texts(damages)}.",
            "Everything in it was replayed. `ros2 bag reindex` makes a bag whole again.",
        )


def metadata(e: Evidence) -> Iterator[Finding]:
    """Parts that reading does not need, and that do not fit."""
    for file, damages in _by_file(e, DamageKind.METADATA):
        yield Finding(
            "bag_metadata",
            Severity.WARNING,
            f"{file} does not fit the rest of the bag",
            f"{_texts(damages)}.",
            "The messages were read without it. `ros2 bag reindex` writes a new metadata.yaml.",
        )


def empty_stream(e: Evidence) -> Iterator[Finding]:
    """A topic without a single frame."""
    for stream, entries in e.frames.items():
        if not entries:
            topic = e.identity.visible if stream is Stream.VISIBLE else e.identity.thermal
            yield Finding(
                "no_frames",
                Severity.ERROR,
                f"There is not one {stream.value} frame",
                f"Nothing could be read from {topic}.",
                "Choose the right topic, or record anew.",
            )


def not_finished(e: Evidence) -> Iterator[Finding]:
    """A replay that was stopped before the end."""
    if not e.result.complete:
        yield Finding(
            "partial",
            Severity.INFO,
            "The replay was stopped before the recording's end",
            f"{len(e.result.log.frames)} messages were replayed.",
            "Run it again for the whole recording.",
        )


def _by_file(e: Evidence, kind: DamageKind) -> Iterator[tuple[str, list[Damage]]]:
    damages = [damage for damage in e.damage if damage.kind is kind]
    for file in dict.fromkeys(damage.file for damage in damages):
        yield file, [damage for damage in damages if damage.file == file]


def _texts(damages: list[Damage]) -> str:
    said = list(dict.fromkeys(damage.what for damage in damages))
    more = f"; and {len(said) - _MOST_TEXTS} more" if len(said) > _MOST_TEXTS else ""
    return "; ".join(said[:_MOST_TEXTS]) + more
