# SPDX-License-Identifier: Apache-2.0
"""A control group that limits a process to a share of the processors (Linux, as root)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000


@contextlib.contextmanager
def cpu_quota(cores: float | None) -> Iterator[Callable[[int], object]]:
    """Yield a function that limits a process to `cores` processors' time; None: to no limit.

    All limited processes must have ended when the block is left.

    Raises:
        OSError: this process may not create control groups.
    """
    if cores is None:
        yield lambda pid: None
        return
    quota_us = round(cores * _PERIOD_US)
    if (_ROOT / "cgroup.controllers").exists():  # version 2
        group, file, text = _ROOT / "fusion_ros_bench", "cpu.max", f"{quota_us} {_PERIOD_US}"
    else:
        group, file, text = _ROOT / "cpu" / "fusion_ros_bench", "cpu.cfs_quota_us", f"{quota_us}"
    group.mkdir()
    try:
        (group / file).write_text(text, encoding="ascii")
        yield lambda pid: (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
    finally:
        group.rmdir()
