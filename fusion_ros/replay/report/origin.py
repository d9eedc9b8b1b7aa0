# SPDX-License-Identifier: Apache-2.0
"""Where a report comes from and what it cost: identity and times."""

from __future__ import annotations

from typing import Any

from fusion_ros.replay.report.cells import number
from fusion_ros.replay.report.material import Material


def cost(m: Material) -> dict[str, Any]:
    """Times by stage."""
    times = m.summary["times"]
    rows = [
        [stage, *(number(d[k], 2) for k in ("p50", "p95", "p99", "max")), d["n"]]
        for stage, d in times["stages_ms"].items()
    ]
    return {
        "note": f"{times['wall_s']:.1f} s for {m.summary['duration_s']:.1f} s of recording, "
        f"{times['peak_memory_mib']:.0f} MiB at most. Times are this machine's and differ "
        "from run to run; everything else on this page does not.",
        "rows": rows,
    }


def identity(m: Material) -> list[tuple[str, str, bool]]:
    """Name, value, and whether it is to be set as code."""
    recording, engine, machine = m.summary["recording"], m.summary["engine"], m.summary["machine"]
    packages = ", ".join(f"{k} {v}" for k, v in machine["packages"].items())
    detail = ", ".join(f"{k} {v}" for k, v in machine["engine_detail"].items())
    topics = ", ".join(f"{t['name']} ({t['messages']})" for t in recording["topics"])
    settings, output = m.summary["settings"], m.summary["output"]
    return [
        ("recording", recording["path"], True),
        ("sha256", recording["sha256"], True),
        ("size", f"{recording['size_bytes'] / 1e6:.1f} MB", False),
        ("topics", topics, False),
        ("visible", recording["visible"], True),
        ("thermal", recording["thermal"], True),
        ("chosen", recording["choice"], False),
        ("pairing", f"tolerance {settings['tolerance_ns'] / 1e6:g} ms, thermal offset "
         f"{settings['thermal_offset_ns'] / 1e6:g} ms, queue {settings['queue_size']}", False),
        ("engine", f"{engine['name']} on {engine['device']}, {engine['precision']}; {detail}",
         False),
        ("weights", f"{engine['preset']} {engine['weights_sha256']}", True),
        ("fused", f"{output['frames']} pictures, {output['sha256']}", True),
        ("machine", f"{machine['system']}, {machine['cores']} cores, Python "
         f"{machine['python']}", False),
        ("versions", packages, False),
    ]  # fmt: skip
