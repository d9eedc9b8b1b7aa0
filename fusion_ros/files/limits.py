# SPDX-License-Identifier: Apache-2.0
"""Size limits of external data, checked before memory is allocated.

Headers of images, compressed messages and bag chunks can state any size. Readers compare the stated
size with these limits first, and stop where the data exceed it.
"""

from __future__ import annotations

MAX_PIXELS = 2**26
"""Pixels of one frame (64 Mi, as 8192 x 8192)."""

MAX_IMAGE_BYTES = 4 * MAX_PIXELS
"""One decoded frame (256 MiB): `MAX_PIXELS` of float32."""

MAX_MESSAGE_BYTES = MAX_IMAGE_BYTES + 2**20
"""One serialised message or image file: the largest frame and its header."""

MAX_CHUNK_BYTES = MAX_MESSAGE_BYTES + 2**26
"""One decompressed chunk of a bag; recorders close chunks after some megabytes."""

MAX_TEXT_BYTES = 2**24
"""One text file (YAML, JSON, CSV): 16 MiB."""

MAX_SETTINGS_BYTES = 2**20
"""One settings file (calibration, parameters, gate): 1 MiB."""


class TooLargeError(ValueError):
    """Error of data that exceed a limit; it names the size and the limit."""


def shown_size(count: int) -> str:
    """Return a number of bytes as text: "12 kB", "2.0 GB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.{0 if count >= 10 * size else 1}f} {unit}"
    return f"{count} bytes"
