# SPDX-License-Identifier: Apache-2.0
"""Name and instructions of the CPU."""

from __future__ import annotations

import platform
from pathlib import Path


def cpu_has_fast_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware; emulation is slower than float32."""
    return any(flag in _cpuinfo() for flag in ("amx_bf16", "avx512_bf16"))


def cpu_name() -> str:
    """Return the kernel's name of the CPU, or its architecture."""
    for line in _cpuinfo().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
