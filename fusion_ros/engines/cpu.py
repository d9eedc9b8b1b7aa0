# SPDX-License-Identifier: Apache-2.0
"""What this machine's CPU is and can do."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path


def cpu_has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; emulated, it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("amx_bf16", "avx512_bf16"))


def cpu_name() -> str:
    """The CPU's name as the kernel gives it, or its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30
_LARGEST_OF_OLD_GLIBC = 1 << 25


def keep_freed_memory() -> bool:
    """Let glibc keep large blocks that were freed, for the next frame, instead of unmapping them.

    A network frees and takes tens of megabytes a frame. Given back to the kernel each time, every
    page of it faults and is zeroed again: half the time of PyTorch on a CPU. Holds for the whole
    process; the price is that memory once used stays with it.

    Returns:
        Whether the C library took the settings (glibc does).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    taken = mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES) or mallopt(
        _M_MMAP_THRESHOLD, _LARGEST_OF_OLD_GLIBC
    )
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)) and bool(taken)
