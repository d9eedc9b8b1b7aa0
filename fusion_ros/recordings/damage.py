# SPDX-License-Identifier: Apache-2.0
"""Records of what could not be read of a recording, and the error for one that cannot be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum


class RecordingError(RuntimeError):
    """A recording that cannot be read at all; the message names the file and the remedy."""


class DamageKind(str, Enum):
    """How much a damage says about missing data.

    BYTES: bytes of a file are missing or changed.
    MESSAGES: fewer messages were read than the recording itself counts.
    UNFINISHED: the recorder did not close the recording; nothing is known to be missing.
    METADATA: a part that is not needed for reading could not be understood or does not fit.
    """

    BYTES = "bytes"
    MESSAGES = "messages"
    UNFINISHED = "unfinished"
    METADATA = "metadata"


@dataclasses.dataclass(frozen=True)
class Damage:
    """A part of a recording that could not be read. The rest was read all the same.

    Attributes:
        file: name of the file, or of the recording.
        what: for people.
        kind: see `DamageKind`.
        lost: messages that are known to be missing, 0 where that is not known.
    """

    file: str
    what: str
    kind: DamageKind = DamageKind.BYTES
    lost: int = 0


DamageReporter = Callable[[DamageKind, str], object]
"""Receives the damage of one file."""
