# SPDX-License-Identifier: Apache-2.0
"""Damaged parts of a recording, and the error for a recording that cannot be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum


class RecordingError(RuntimeError):
    """Error of a recording that cannot be read at all; it names the file and the remedy."""


class DamageKind(str, Enum):
    """Kind of damage, by what it implies about missing data.

    BYTES: bytes of a file are missing or changed.
    MESSAGES: fewer messages were read than the recording counts.
    UNFINISHED: the recorder did not close the recording; nothing is known to be missing.
    METADATA: a part that reading does not need is invalid or inconsistent.
    """

    BYTES = "bytes"
    MESSAGES = "messages"
    UNFINISHED = "unfinished"
    METADATA = "metadata"


@dataclasses.dataclass(frozen=True)
class Damage:
    """A part of a recording that could not be read; the rest was read.

    Attributes:
        file: name of the file, or of the recording.
        what: description for users.
        kind: see `DamageKind`.
        lost: number of messages known to be missing, else 0.
    """

    file: str
    what: str
    kind: DamageKind = DamageKind.BYTES
    lost: int = 0


DamageReporter = Callable[[DamageKind, str], object]
"""Callback that receives the damage of one file."""
