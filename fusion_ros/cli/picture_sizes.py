# SPDX-License-Identifier: Apache-2.0
"""Picture sizes as people write them on a command line."""

from __future__ import annotations

import argparse


def picture_size(text: str) -> tuple[int, int]:
    """(width, height) of "640x480", for `argparse`."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; allowed is WIDTHxHEIGHT")
    return int(width), int(height)
