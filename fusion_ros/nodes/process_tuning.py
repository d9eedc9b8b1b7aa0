# SPDX-License-Identifier: Apache-2.0
"""Settings of the whole process that camera frames ask for; to be made before anything else.

Measured by `python -m benchmarks.node_latency`, see docs/reliability.md.
"""

from __future__ import annotations

import ctypes
import sys

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the interpreter while another one wants it. Python's 5 ms is longer
than all that the node does between two frames."""

LARGEST_KEPT_BYTES = 32 * 1024 * 1024
"""Blocks up to this size stay with the process when they are freed: the largest value that glibc
takes, and enough for a 4K colour frame."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def tune_process() -> None:
    """Shorten thread switches and keep freed memory.

    By default glibc gives each block over 128 KiB back to the system when it is freed. A picture of
    1 MB then costs 256 page faults every time that it is made, and on its way through the node it is
    made half a dozen times. The price is that the process keeps the memory of its busiest moment.
    Does nothing where the C library is not glibc.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 8 * LARGEST_KEPT_BYTES)
