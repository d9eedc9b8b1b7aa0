# SPDX-License-Identifier: Apache-2.0
"""Process-wide settings for camera frames; made at the start of a program."""

from __future__ import annotations

import faulthandler
import gc
import sys

from fusion_ros.engines.process import configure_process

SWITCH_INTERVAL_S = 0.0005
"""Longest time that a thread keeps the interpreter lock while another one waits for it. Python's
5 ms is longer than all of the node's work between two frames."""

YOUNG_OBJECTS = 20_000
"""Number of new objects that starts a garbage collection; Python's 700 are two frames."""


def tune_process() -> None:
    """Shorten thread switches, keep freed memory, and print a stack where native code crashes.

    By default glibc returns a freed block of an image's size to the system. An image of 1 MB then
    takes 256 page faults each time it is allocated, some six times on its way through the node.
    The drawback: the process keeps its peak memory.
    """
    if sys.stderr is not None and not faulthandler.is_enabled():
        faulthandler.enable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    configure_process()


def calm_garbage_collection() -> None:
    """Make garbage collections, which stop every thread, rarer and shorter; effective once.

    Objects that exist now are excluded. With torch loaded these are 200 000, which take 0.1 s and
    more every few seconds. New objects are collected every one or two seconds instead of at every
    other frame.
    """
    if gc.get_freeze_count():
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
