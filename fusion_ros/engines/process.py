# SPDX-License-Identifier: Apache-2.0
"""Process-wide settings for inference, made by entry points and not by engines."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 1 << 30
_LARGEST_OF_OLD_GLIBC = 1 << 25


def configure_process() -> None:
    """Apply the settings below; call it before OpenVINO is imported."""
    keep_freed_memory()
    leave_out_openvino_converter()


def keep_freed_memory() -> bool:
    """Make glibc reuse large freed blocks for the next frame instead of unmapping them.

    A network allocates and frees tens of megabytes for each frame. Unmapped memory causes a page
    fault and zeroing for every page, which takes half of PyTorch's time on a CPU. The process
    keeps its peak memory in return.

    glibc gives each thread an arena of its own, up to eight for each core, and each would keep its
    peak: a node grew from 400 to 570 MB in five reloads, which run in new threads. With one arena
    the memory of a reload is reused by the next one; fusing takes the same time.

    Returns:
        Whether the C library accepted the settings (glibc does).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    accepted = mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES) or mallopt(
        _M_MMAP_THRESHOLD, _LARGEST_OF_OLD_GLIBC
    )
    mallopt(_M_ARENA_MAX, 1)
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)) and bool(accepted)


def leave_out_openvino_converter() -> None:
    """Make `import openvino` leave out its converter of other frameworks' models.

    OpenVINO imports it only where it exists. It takes 20 MB and a third of the import, and sends
    usage reports from threads that fork the process: a fork during a NumPy product on another
    thread can deadlock in OpenBLAS.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
