# SPDX-License-Identifier: Apache-2.0
"""What options take, as `argparse` types: each refuses with the value and what is allowed."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from fusion_ros.files.reading import other_kind


def picture_size(text: str) -> tuple[int, int]:
    """(width, height) of "640x480"."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; allowed is WIDTHxHEIGHT")
    return int(width), int(height)


def number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """The type of finite numbers from `low` to `high`, with `above` without `low` itself."""
    return _number_type(float, low, high, above, "")


def whole_number(low: int, high: float = math.inf) -> Callable[[str], int]:
    """The type of whole numbers from `low` to `high`."""
    return _number_type(int, low, high, False, "whole numbers, ")


def _number_type(
    kind: type, low: float, high: float, above: bool, sort: str
) -> Callable[[str], float]:
    if high < math.inf:
        allowed = f"{low:g} to {high:g}"
    else:
        allowed = f"more than {low:g}" if above else f"{low:g} or more"

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)) or (above and value == low):
            raise argparse.ArgumentTypeError(f"{text!r}; allowed is {sort}{allowed}")
        return value

    return parse


def merged_classes(text: str) -> dict[str, str]:
    """The new name by class, of "vehicle=car,bus,truck"."""
    name, equals, classes = text.partition("=")
    old = [word.strip() for word in classes.split(",")]
    if not (equals and name.strip() and all(old)):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed is NAME=CLASS,CLASS...")
    return dict.fromkeys(old, name.strip())


def result_folder(text: str) -> Path:
    """A folder to write to; it may be there or not."""
    path = Path(text)
    there = next((p for p in (path, *path.parents) if p.exists()), None)
    if there is not None and not there.is_dir():
        kind = other_kind(there.stat().st_mode) or "a file"
        raise argparse.ArgumentTypeError(f"{text!r}: {there} is {kind}; allowed is a folder")
    if there is not None and not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: {there} is write-protected")
    return path


def result_file(text: str) -> Path:
    """A file to write, in a folder that is there; an older file of that name is replaced."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no folder {path.parent}")
    if path.exists() and (kind := other_kind(path.stat().st_mode)):
        raise argparse.ArgumentTypeError(f"{text!r} is {kind}; allowed is a file to write")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: the folder {path.parent} is write-protected")
    return path
