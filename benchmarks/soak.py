# SPDX-License-Identifier: Apache-2.0
"""Run the node for a long time under reloads, and check its resources and counts.

    python -m benchmarks.soak [--seconds 600] [--out soak]

Cameras, node and listener are processes, as in `node_latency`. Weights are reloaded every 30 s.
Writes `soak.json`, and `soak.csv` with memory, threads, files, latency and counts every 2 s. Exit
code 1 if memory, threads or open files grow, a frame has no fate or is rejected, more than 1 % of
the frames are lost before the node, a reload fails, or the node fails.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from std_srvs.srv import Trigger

from benchmarks.field.listening import STREAMS, Field, counts
from benchmarks.report.tables import options
from fusion_ros.files.tables import write_table
from fusion_ros.files.writing import write_json

SAMPLE_S, RELOAD_S = 2.0, 30.0
ALLOWED_GROWTH, ALLOWED_GROWTH_MB = 0.02, 8.0
MOST_LOST = 0.01


def main() -> int:
    """Run; return 1 if a check fails."""
    parser = options(__doc__, "640x512")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    args = parser.parse_args()
    width, height = args.size
    # No engine hangs here; a busy machine may stall one.
    parameters = {"warm_up_width": width, "warm_up_height": height, "engine_deadline_ms": 20000.0}
    with tempfile.TemporaryDirectory() as folder, Field(Path(folder), parameters) as field:
        watch = Watch(field)
        field.run_cameras(
            seconds=args.seconds, rate_hz=args.rate, size=args.size, meanwhile=watch.reload
        )
        sent = len(field.sent())
    frames = {stream: counts(field.listener.status, stream) for stream in STREAMS}
    failures = [*watch.failures[:10], *judge(watch.samples)]
    for stream, found in frames.items():
        if found["rejected"] or sent - found["received"] > MOST_LOST * sent or not found["fused"]:
            failures.append(f"{stream}: {sent} sent, {found}")
    if field.exit_codes["fuse_node"]:
        failures.append(f"the node ended with code {field.exit_codes['fuse_node']}")
    result = {"sent": sent, "frames": frames, "reloads": watch.reloads, "failures": failures}
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "soak.json", result)
    write_table(args.out / "soak.csv", watch.samples)
    print(json.dumps(result, indent=2))
    return 1 if failures else 0


class Watch:
    """Samples the node's process with its statuses, and reloads its weights."""

    def __init__(self, field: Field) -> None:
        self._process = Path(f"/proc/{field.node.pid}")
        self._client = field.ros.create_client(Trigger, "/fuse_node/reload")
        self._begun_s = 0.0
        self.reloads = 0
        self.samples: list[dict[str, float]] = []
        self.failures: list[str] = []
        field.listener.on_status = self.look

    def reload(self) -> None:
        """Reload the weights if it is time."""
        if self._begun_s and time.monotonic() - self._begun_s > RELOAD_S * (self.reloads + 1):
            self.reloads += 1
            self._client.call_async(Trigger.Request()).add_done_callback(self._check)

    def _check(self, future: Any) -> None:
        if not future.result().success:
            self.failures.append(f"reload: {future.result().message}")

    def look(self, status: Any) -> None:
        """Check the counts of a status, and add a sample if one is due."""
        frames = {stream: counts(status, stream) for stream in STREAMS}
        self.failures += [f"{s}: {n}" for s, n in frames.items() if n["without a fate"]]
        if not status.visible_received:
            return
        self._begun_s = self._begun_s or time.monotonic()
        seconds = time.monotonic() - self._begun_s
        if seconds < SAMPLE_S * len(self.samples):
            return
        text = (self._process / "status").read_text(encoding="ascii")
        facts = dict(line.split(":", 1) for line in text.splitlines())
        self.samples.append(
            {
                "seconds": round(seconds, 1),
                "rss_mb": int(facts["VmRSS"].split()[0]) / 1024,
                "threads": int(facts["Threads"]),
                "open_files": len(list((self._process / "fd").iterdir())),
                **{n: getattr(status, n) for n in ("latency_ms_p50", "latency_ms_p95", "fused_hz")},
                **{f"visible_{fate}": number for fate, number in frames["visible"].items()},
            }
        )


def judge(samples: Sequence[dict[str, float]]) -> list[str]:
    """Return the resources that grew from the middle to the last third."""
    third = len(samples) // 3
    if third < 3:
        return [f"only {len(samples)} samples; run for longer"]
    failures = []
    for name, allowed in (("rss_mb", ALLOWED_GROWTH_MB), ("threads", 0.0), ("open_files", 0.0)):
        values = [sample[name] for sample in samples]
        bound = max(allowed, ALLOWED_GROWTH * statistics.median(values)) if allowed else 0.0
        # Two pipelines have threads and files during a reload; a leak raises the least number, too.
        typical: Callable[[Sequence[float]], float] = statistics.median if allowed else min
        grown = typical(values[-third:]) - typical(values[third : 2 * third])
        if grown > bound:
            failures.append(f"{name} grew by {grown:.1f} (allowed {bound:.1f})")
    return failures


if __name__ == "__main__":
    sys.exit(main())
