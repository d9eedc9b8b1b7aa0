# SPDX-License-Identifier: Apache-2.0
"""Settings of the whole process that camera frames ask for; to be made before anything else."""

from __future__ import annotations

import gc
import sys

from fusion_ros.engines.process import configure_process

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the interpreter while another one wants it. Python's 5 ms is longer
than all that the node does between two frames."""

YOUNG_OBJECTS = 20_000
"""New objects at which the garbage collector looks at them; Python's own 700 are two frames."""


def tune_process() -> None:
    """Shorten thread switches, and keep freed memory.

    By default glibc gives a block of a picture's size back to the system when it is freed. A
    picture of 1 MB then costs 256 page faults every time that it is made, and on its way through
    the node it is made half a dozen times. The price is that the process keeps the memory of its
    busiest moment.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    configure_process()


def calm_garbage_collection() -> None:
    """Keep Python's garbage collector, which stops every thread, out of the frames' way; once.

    What is there by now it never looks at again: with torch loaded that is 200 000 objects, of
    which it takes a tenth of a second and more, every few seconds. And it looks at what is new
    once a second or two, not at every other frame.
    """
    if gc.get_freeze_count():
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
