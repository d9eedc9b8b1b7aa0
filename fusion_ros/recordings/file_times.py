# SPDX-License-Identifier: Apache-2.0
"""Time stamps of files, from their names or from EXIF."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

_EARLIEST_S, _LATEST_S = 946_684_800, 4_102_444_800  # the years 2000 to 2100
_DATE = re.compile(
    r"(20\d\d)[-_.:]?(\d\d)[-_.:]?(\d\d)[-_.T ]?(\d\d)[-_.h:]?(\d\d)[-_.m:]?(\d\d)"
    r"(?:[-_.,s]?(\d{1,9}))?(?!\d)"
)
_SECONDS = re.compile(r"(?<!\d)(\d{10})[._-](\d{1,9})(?!\d)")
_WHOLE = re.compile(r"(?<!\d)(\d{10}|\d{13}|\d{16}|\d{19})(?!\d)")
_EXIF_DIRECTORY, _TIME_TAKEN, _FRACTION = 0x8769, 0x9003, 0x9291


def stamp_of_name(stem: str) -> int | None:
    """Return the time stamp in a file's name in nanoseconds since 1970, or None.

    Supported: seconds since 1970 (10 digits, optionally a fraction after a dot, an underscore or a
    dash), milli-, micro- and nanoseconds since 1970 (13, 16, 19 digits), and dates with time of
    day such as 20260131_235959, optionally with a fraction of the second.
    """
    if found := _SECONDS.search(stem):
        seconds, fraction = found.groups()
        if _EARLIEST_S <= int(seconds) < _LATEST_S:
            return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    if found := _WHOLE.search(stem):
        digits = found[1]
        stamp_ns = int(digits) * 10 ** (19 - len(digits))
        if _EARLIEST_S <= stamp_ns // 10**9 < _LATEST_S:
            return stamp_ns
    if found := _DATE.search(stem):
        *whole, fraction = found.groups()
        try:
            year, month, day, hour, minute, second = map(int, whole)
            moment = datetime.datetime(
                year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc
            )
        except ValueError:
            return None
        return int(moment.timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0"))
    return None


def exif_stamp(path: Path) -> int | None:
    """Return the time at which an image was taken (EXIF) in nanoseconds, or None.

    The zone is ignored. Needs Pillow, and pi-heif for HEIC; without them there are no such times.
    """
    try:
        from PIL import Image

        if path.suffix.lower() in (".heic", ".heif"):
            import pi_heif

            pi_heif.register_heif_opener()
        with Image.open(path) as image:
            exif = image.getexif().get_ifd(_EXIF_DIRECTORY)
    except Exception:  # Pillow raises arbitrary errors on malformed files
        return None
    fraction = re.match(r"\d*", str(exif.get(_FRACTION, "")))
    return stamp_of_name(f"{exif.get(_TIME_TAKEN, '')}.{fraction[0] if fraction else ''}")
