# SPDX-License-Identifier: Apache-2.0
"""Findings about unread data: damaged files, lost messages, empty topics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusion_ros.recordings.recording import Damage, DamageKind
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity

_MOST_TEXTS = 5
_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
# Code, severity, title and remedy.
_TEXTS = {
    DamageKind.BYTES: (
        "damaged_file", _ERROR, "{file} is damaged or cut",
        "The rest was replayed. The recorder was killed, or the copy is incomplete: copy it again, "
        "or repeat the recording.",
    ),
    DamageKind.MESSAGES: (
        "missing_messages", _ERROR, "{file}: {lost} of its messages could not be read",
        "Part of the recording is lost or stored elsewhere: copy it again, or repeat the "
        "recording.",
    ),
    DamageKind.UNFINISHED: (
        "unfinished_recording", _WARNING, "{file} was not closed by its recorder",
        "All of its data were replayed. `ros2 bag reindex` repairs a bag.",
    ),
    DamageKind.METADATA: (
        "bag_metadata", _WARNING, "{file} does not fit the rest of the bag",
        "`ros2 bag reindex` writes a new metadata.yaml; to read a file that is not listed there, "
        "name it instead of the folder.",
    ),
}  # fmt: skip


def of_damage(damages: Sequence[Damage]) -> Iterator[Finding]:
    """Find damage of files: one finding for each file and kind."""
    for kind, (code, severity, title, fix) in _TEXTS.items():
        for file in dict.fromkeys(d.file for d in damages if d.kind is kind):
            here = [d for d in damages if d.kind is kind and d.file == file]
            lost = sum(damage.lost for damage in here)
            texts = list(dict.fromkeys(damage.what for damage in here))
            more = f"; and {len(texts) - _MOST_TEXTS} more" if len(texts) > _MOST_TEXTS else ""
            yield Finding(
                code,
                severity,
                title.format(file=file, lost=lost),
                f"{'; '.join(texts[:_MOST_TEXTS])}{more}.",
                fix,
                count=lost or len(here),
            )


def unread(e: Evidence) -> Iterator[Finding]:
    """Find damage of files, and topics without a frame."""
    yield from of_damage(e.damage)
    for stream, entries in e.frames.items():
        if not entries:
            yield Finding(
                "no_frames",
                Severity.ERROR,
                f"There is no {stream.value} frame",
                f"Nothing could be read from {e.identity.chosen(stream)}.",
                "Choose another topic, or repeat the recording.",
            )


def not_finished(e: Evidence) -> Iterator[Finding]:
    """Find a replay that was stopped early."""
    if not e.result.complete:
        yield Finding(
            "partial",
            Severity.INFO,
            "The replay was stopped before the recording's end",
            f"{len(e.result.log.frames)} messages were replayed.",
            "Run it again for the whole recording.",
        )
