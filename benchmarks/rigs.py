# SPDX-License-Identifier: Apache-2.0
"""Measure several rigs on one machine: a fuse node and a pair of cameras for each.

    python -m benchmarks.rigs [--rigs 1 2 4] [--rates 30] [--seconds 12] [--json FILE]

Nodes and cameras are processes of their own, all on the cores of this machine; this process
subscribes to all fused images. The latency is from the publish of a pair's later frame to the
arrival of the fused image. Memory is the proportional set size (PSS), in which pages that several
processes share count once. Exit code 1 if a frame is in no count of its node.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.field.listening import STREAMS, Field, counts
from benchmarks.report.tables import Target, ms, options, report
from benchmarks.report.timing import LoadWatch
from fusion_ros.streams.series import percentiles

COLUMNS = [
    "rigs", "rate, Hz", "pairs sent", "lost before the node", "fused", "superseded",
    "latency p50 / p99, ms", "memory of all nodes (each), MB", "taken by others",
]  # fmt: skip


def measure(count: int, rate_hz: float, args: argparse.Namespace) -> tuple[list[str], int]:
    """Run `count` rigs at one rate; return the table's row and the frames without a fate."""
    width, height = args.size
    parameters = {"warm_up_width": width, "warm_up_height": height}
    with tempfile.TemporaryDirectory() as folder:
        watch = LoadWatch()
        with Field(Path(folder), parameters, rigs=count) as field:
            field.run_cameras(seconds=args.seconds, rate_hz=rate_hz, size=args.size)
            pss_mb = [_pss_mb(node.pid) for node in field.nodes]
        others = watch.others_percent()
        latencies_ms: list[float] = []
        published = 0
        for name, listener in zip(field.names, field.listeners, strict=True):
            sent = {row["stamp_ns"]: row["thermal_sent_ns"] for row in field.sent(name)}
            came = listener.arrived_ns
            latencies_ms += [(came[stamp] - sent[stamp]) / 1e6 for stamp in came if stamp in sent]
            published += len(sent)
    found = [{s: counts(rig.status, s) for s in STREAMS} for rig in field.listeners]
    total = {name: sum(rig["visible"][name] for rig in found) for name in found[0]["visible"]}
    p50, p99 = percentiles(latencies_ms, (50, 99))
    row = [
        f"{count}",
        f"{rate_hz:g}",
        f"{published}",
        f"{published - total['received']}",
        f"{total['fused']} ({100 * total['fused'] / published:.1f} %)",
        f"{total['superseded']}",
        f"{ms(p50)} / {ms(p99)}",
        f"{sum(pss_mb):.0f} ({sum(pss_mb) / count:.0f})",
        f"{others:.0f} %",
    ]
    return row, sum(rig[stream]["without a fate"] for rig in found for stream in STREAMS)


def _pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("\nPss:")[1].split()[0]) / 1024


def main() -> int:
    """Run and print; see the module."""
    parser = options(__doc__, "640x512")
    parser.add_argument("--rigs", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rates", type=float, nargs="+", default=[30.0])
    parser.add_argument("--seconds", type=float, default=12.0)
    args = parser.parse_args()
    found = [measure(count, rate, args) for count in args.rigs for rate in args.rates]
    uncounted = sum(number for _, number in found)
    return report(
        args.json,
        "Several rigs on one machine, {}x{}, rgb8 and mono16".format(*args.size),
        COLUMNS,
        [row for row, _ in found],
        notes=["A node, a process of cameras for each rig, and one subscriber of all images."],
        targets=[Target("no frame without a fate", str(uncounted), not uncounted)],
    )


if __name__ == "__main__":
    sys.exit(main())
