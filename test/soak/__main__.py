# SPDX-License-Identifier: Apache-2.0
"""Run the node for a long time under disturbances, and check resources, counts and partners.

    make soak SECONDS=600

Cameras, node and listener are processes, as in `benchmarks.node_latency`. The cameras lose, delay
and duplicate frames. Meanwhile weights are reloaded, parameters change, and subscribers start,
stall and end. Both cameras draw the number of the pair into their images, so each fused image
identifies its frames. Writes `soak.json`, and `soak.csv` with memory, threads, files, latency and
counts every 2 s.

Exit code 1 if memory, threads or open files grow, a frame has no fate, an image combines two pairs
or has the stamp of another one, more than 1 % of the frames are lost before the node, frames are
rejected, a reload or change has the wrong response, or the node fails.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST.parent), str(TEST)]

from benchmarks.field.listening import STREAMS, Field, counts  # noqa: E402
from benchmarks.report.tables import options  # noqa: E402
from fusion_ros.files.tables import write_table  # noqa: E402
from fusion_ros.files.writing import write_json  # noqa: E402
from soak import strip  # noqa: E402
from soak.disturbances import Disturbances  # noqa: E402

SAMPLE_S = 2.0
ALLOWED_GROWTH, ALLOWED_GROWTH_MB = 0.02, 8.0
MOST_LOST = 0.01


def main() -> int:
    """Run; return 1 if a check fails."""
    parser = options(__doc__, "640x512")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1, help="seed of the disturbances")
    parser.add_argument("--out", type=Path, default=Path("soak"))
    args = parser.parse_args()
    width, height = args.size
    if width < strip.WIDTH or height < strip.HEIGHT:
        parser.error(f"--size: numbers need at least {strip.WIDTH}x{strip.HEIGHT}")
    parameters = {
        "thermal_hold_ms": 0.0,  # every pair must be of two frames of one moment
        "warm_up_width": width,
        "warm_up_height": height,
        "status_every_frame": False,
        "engine_deadline_ms": 20000.0,  # no engine hangs here; a busy machine may stall one
    }
    with tempfile.TemporaryDirectory() as folder, Field(Path(folder), parameters) as field:
        watch, partners = Watch(field), Partners()
        field.listener.on_image = partners.look
        with contextlib.closing(Disturbances(field.ros, Path(folder), args.seed)) as disturbances:
            field.run_cameras(
                seconds=args.seconds,
                rate_hz=args.rate,
                size=args.size,
                meanwhile=lambda: partners.seen and disturbances.step(),
                cameras="soak.cameras",
            )
        sent = field.sent()
    frames = {stream: counts(field.listener.status, stream) for stream in STREAMS}
    failures = [*watch.failures[:10], *judge(watch.samples), *disturbances.failures[:10]]
    failures += partners.judge([row["stamp_ns"] for row in sent])
    for stream, found in frames.items():
        passed = sent[-1][f"{stream}_passed"]
        lost = passed - found["received"]
        if found["rejected"] or lost > MOST_LOST * passed or not found["fused"]:
            failures.append(f"{stream}: {passed} passed by the camera, {found}")
    if field.exit_codes["fuse_node"]:
        failures.append(f"the node ended with code {field.exit_codes['fuse_node']}")
    result = {
        "pairs": len(sent),
        "passed": {stream: sent[-1][f"{stream}_passed"] for stream in STREAMS},
        "frames": frames,
        "fused_images": len(partners.seen),
        "disturbances": dict(disturbances.done),
        "failures": failures,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "soak.json", result)
    write_table(args.out / "soak.csv", watch.samples)
    print(json.dumps(result, indent=2))
    return 1 if failures else 0


class Watch:
    """Samples the node's process with its statuses."""

    def __init__(self, field: Field) -> None:
        self._process = Path(f"/proc/{field.node.pid}")
        self._begun_s = 0.0
        self.samples: list[dict[str, float]] = []
        self.failures: list[str] = []
        field.listener.on_status = self.look

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


class Partners:
    """Numbers of the frames in each fused image."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None, int | None]] = []

    def look(self, message: Any) -> None:
        """Read the numbers of a fused image."""
        channels = message.step // message.width
        flat = np.frombuffer(message.data, np.uint8)[: strip.HEIGHT * message.step]
        rows = flat.reshape(strip.HEIGHT, message.width, channels)
        stamp = message.header.stamp
        numbers = (strip.read(rows, row) for row in (strip.VISIBLE_ROW, strip.THERMAL_ROW))
        self.seen.append((stamp.sec * 10**9 + stamp.nanosec, *numbers))

    def judge(self, stamps_ns: Sequence[int]) -> list[str]:
        """Return the differences from the cameras' stamps, which are in order of the numbers."""
        number_of = {stamp_ns: number for number, stamp_ns in enumerate(stamps_ns)}
        unreadable = [s for s in self.seen if None in s]
        mixed = [s for s in self.seen if None not in s and s[1] != s[2]]
        stamped = [s for s in self.seen if None not in s and number_of.get(s[0]) != s[1]]
        twice = len(self.seen) - len({stamp_ns for stamp_ns, *_ in self.seen})
        failures = []
        for what, which in (
            ("do not show both numbers", unreadable),
            ("combine two pairs", mixed),
            ("have the stamp of another pair", stamped),
        ):
            if which:
                failures.append(f"{len(which)} fused images {what}, first {which[0]}")
        if twice:
            failures.append(f"{twice} fused images came twice")
        return failures


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
