# SPDX-License-Identifier: Apache-2.0
"""What could not be read whole: cut files, empty topics, a replay that was stopped."""

from __future__ import annotations

from collections.abc import Iterator

from fusion_ros.accounting import Stream
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity


def damaged_file(e: Evidence) -> Iterator[Finding]:
    """Files that are cut or broken."""
    for file in dict.fromkeys(damage.file for damage in e.damage):
        said = [damage.what for damage in e.damage if damage.file == file]
        yield Finding(
            "damaged_file",
            Severity.ERROR,
            f"{file} is damaged or cut",
            f"{'; '.join(said)}. What could be read was replayed.",
            "The recorder was stopped hard or the copy is incomplete: copy again, or record anew.",
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
