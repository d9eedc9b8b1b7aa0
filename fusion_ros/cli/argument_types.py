# SPDX-License-Identifier: Apache-2.0
"""Types of command-line options; an error names the value and the allowed ones."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

from fusion_ros.files.reading import other_kind

_RESULTS = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".mp4", ".avi", ".mkv", ".mov", ".csv",
    ".html", ".json",
)  # fmt: skip
"""Suffixes of single results, which a user may name instead of the folder."""


def image_size(text: str) -> tuple[int, int]:
    """Return (width, height) of "640x480"."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise not_allowed(text, "WIDTHxHEIGHT in pixels, such as 640x480")
    return int(width), int(height)


def number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Return the type of finite numbers from `low` to `high`, with `above` without `low`."""
    bound = f"more than {low:g}" if above else f"{low:g} or more"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)) or (above and value == low):
            raise not_allowed(text, bound if high == math.inf else f"{low:g} to {high:g}")
        return value

    return parse


def whole_number(low: int, high: float = math.inf) -> Callable[[str], int]:
    """Return the type of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            allowed = f"{low} or more" if high == math.inf else f"{low} to {high:g}"
            raise not_allowed(text, f"a whole number, {allowed}")
        return value

    return parse


def not_allowed(text: str, allowed: str) -> argparse.ArgumentTypeError:
    """Return the error of an option's value."""
    return argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed is {allowed}")


def merged_classes(text: str) -> dict[str, str]:
    """Return the new name of each class in "vehicle=car,bus,truck"."""
    name, equals, classes = text.partition("=")
    old = [word.strip() for word in classes.split(",")]
    if not (equals and name.strip() and all(old)):
        raise not_allowed(text, "NAME=CLASS,CLASS..., such as vehicle=car,bus,truck")
    return dict.fromkeys(old, name.strip())


def topic_name(text: str) -> str:
    """Return a valid topic name."""
    if not re.fullmatch(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", text, flags=re.ASCII):
        raise not_allowed(text, "a topic of letters, digits, _ and /, such as /camera/image_raw")
    return text


def result_folder(text: str) -> Path:
    """Return a folder to write to, which may exist or not."""
    path = _named(text)
    if path.suffix.lower() in _RESULTS and not os.path.lexists(path):
        raise not_allowed(text, f"the name of a folder, such as {path.with_suffix('')}")
    existing = next((p for p in (path, *path.parents) if os.path.lexists(p)), Path())
    problem = ""
    if not os.path.exists(existing):
        problem = "a link to a missing folder"
    elif not existing.is_dir():
        problem = other_kind(existing.stat().st_mode) or "a file"
    elif not os.access(existing, os.W_OK | os.X_OK):
        problem = "write-protected"
    if problem:
        raise not_allowed(text, f"a writable folder, and {existing} is {problem}")
    return path


def result_file(text: str) -> Path:
    """Return a file to write in an existing folder; an earlier file is replaced."""
    path = _named(text)
    if os.path.exists(path) and (kind := other_kind(path.stat().st_mode)):
        raise not_allowed(text, f"a file to write, and this is {kind}")
    if not os.path.isdir(path.parent):
        raise not_allowed(text, f"a file in an existing folder, and {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise not_allowed(text, f"a writable folder, and {path.parent} is write-protected")
    return path


def _named(text: str) -> Path:
    """Return a path to write to; an empty name would be the current folder."""
    if not text:
        raise not_allowed(text, "a path, and not an empty name")
    return Path(text)
