# SPDX-License-Identifier: Apache-2.0
"""Run the node for a long time under disturbances and check resources and pairing.

    python -m benchmarks.soak [--seconds 600] [--out soak]         (or --hours 1)

Cameras, node and listener are processes, as in `node_latency`. The cameras lose, delay and
duplicate frames. Meanwhile weights are reloaded, parameters change, and subscribers start, stall
and end. Both cameras draw the number of the pair into their images, so each fused image identifies
its frames.
Writes `soak.json` and `soak.csv`.

Exit code 1 if memory, threads or open files grow, the counts of a status do not add up, an image
combines two pairs or has the stamp of another one, more than 1 % of the frames are lost before the
node, valid frames are rejected, a reload or change has the wrong response, or the node fails.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.field import strip
from benchmarks.field.listening import Field
from fusion_ros.files.tables import write_table
from fusion_ros.files.writing import write_json

SAMPLE_S = 2.0
ALLOWED_GROWTH = 0.02
ALLOWED_GROWTH_MB = 8.0
MOST_LOST = 0.01
FATES = ("fused", "held", "superseded", "unpaired", "late", "duplicate", "rejected", "pending")


def main() -> int:
    """Run; return 1 if a check fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--hours", type=float, default=0.0, help="instead of --seconds")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", default="640x512")
    parser.add_argument("--seed", type=int, default=1, help="seed of losses and disturbances")
    parser.add_argument("--out", type=Path, default=Path("soak"))
    args = parser.parse_args()
    seconds = args.hours * 3600 or args.seconds
    args.out.mkdir(parents=True, exist_ok=True)
    width, height = (int(n) for n in args.size.split("x"))
    if width < strip.WIDTH or height < strip.HEIGHT:
        parser.error(f"--size {args.size}: numbers need at least {strip.WIDTH}x{strip.HEIGHT}")
    parameters = {
        "thermal_hold_ms": 0.0,  # every pair must be of two frames of one moment
        "warm_up_width": width,
        "warm_up_height": height,
        "status_every_frame": False,
        "engine_deadline_ms": 20000.0,  # no engine hangs here; a busy machine may stall one
    }
    samples: list[dict[str, float]] = []
    unbalanced: list[str] = []
    with tempfile.TemporaryDirectory() as folder, Field(Path(folder), parameters) as field:
        from benchmarks.field.disturbances import Disturbances

        watch = _Watch(field, samples, unbalanced)
        partners = Partners()
        disturbances = Disturbances(field.listener.node, Path(folder), args.seed)
        field.listener.on_status = watch.look
        field.listener.on_image = partners.look

        def disturb() -> None:
            if field.listener.fused:
                disturbances.step()

        try:
            field.run_cameras(
                seconds=seconds,
                rate_hz=args.rate,
                size=args.size,
                reliability="best_effort",
                more=["--numbered", f"--lossy={args.seed}"],
                meanwhile=disturb,
            )
        finally:
            disturbances.close()
        sent = field.sent()
        status = field.listener.status
    passed = {s: sent[-1][f"{s}_passed"] for s in ("visible", "thermal")}
    lost = {s: n - getattr(status, f"{s}_received") for s, n in passed.items()}
    failures = [*judge(samples), *unbalanced[:5], *judge_fates(status)]
    failures += partners.judge([row["stamp_ns"] for row in sent])
    failures += disturbances.failures[:10]
    failures += [
        f"{n} of {passed[s]} {s} frames were lost before the node"
        for s, n in lost.items()
        if n > MOST_LOST * passed[s]
    ]
    if field.exit_codes["fuse_node"] != 0:
        failures.append(f"the node ended with code {field.exit_codes['fuse_node']}")
    result = {
        "seconds": seconds,
        "samples": len(samples),
        "moments": len(sent),
        "passed_by_the_cameras": passed,
        "lost_before_the_node": lost,
        "statuses_that_do_not_reconcile": len(unbalanced),
        "fused_images": len(partners.seen),
        "disturbances": dict(disturbances.done),
        "first": samples[0] if samples else {},
        "last": samples[-1] if samples else {},
        "growth_mb": round(growth([s["rss_mb"] for s in samples]), 2) if samples else None,
        "failures": failures,
    }
    write_json(args.out / "soak.json", result)
    write_table(args.out / "soak.csv", samples)
    print(json.dumps(result, indent=2))
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


class _Watch:
    """Sample the node's process with each status."""

    def __init__(
        self, field: Field, samples: list[dict[str, float]], unbalanced: list[str]
    ) -> None:
        self._field, self._samples, self._unbalanced = field, samples, unbalanced
        self._begun_s: float | None = None
        self._next_s = 0.0

    def look(self, status: Any) -> None:
        for stream in ("visible", "thermal"):
            total = sum(getattr(status, f"{stream}_{fate}") for fate in FATES)
            received = getattr(status, f"{stream}_received")
            if total != received:
                self._unbalanced.append(f"{stream}: {received} received, {total} accounted for")
        if not status.visible_received:
            return
        if self._begun_s is None:  # at the first frame, not at the start of the processes
            self._begun_s = time.monotonic()
        now_s = time.monotonic() - self._begun_s
        if now_s < self._next_s:
            return
        self._next_s = now_s + SAMPLE_S
        process = Path("/proc") / str(self._field.node.pid)
        facts = dict(
            line.split(":", 1)
            for line in (process / "status").read_text(encoding="ascii").splitlines()
        )
        self._samples.append(
            {
                "seconds": round(now_s, 1),
                "rss_mb": int(facts["VmRSS"].split()[0]) / 1024,
                "threads": int(facts["Threads"]),
                "open_files": len(list((process / "fd").iterdir())),
                "latency_ms_p50": status.latency_ms_p50,
                "latency_ms_p95": status.latency_ms_p95,
                "fused_hz": status.fused_hz,
                **{
                    f"visible_{fate}": getattr(status, f"visible_{fate}")
                    for fate in ("received", *FATES)
                },
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
    """Return the resources that grew."""
    if len(samples) < 9:
        return [f"only {len(samples)} samples; run for longer"]
    failures = []
    for name, allowed in (("rss_mb", ALLOWED_GROWTH_MB), ("threads", 0.0), ("open_files", 0.0)):
        values = [sample[name] for sample in samples]
        bound = max(allowed, ALLOWED_GROWTH * statistics.median(values)) if allowed else 0.0
        # Two pipelines have threads and files during a reload; a leak raises the least number, too.
        grown = growth(values, statistics.median if allowed else min)
        if grown > bound:
            failures.append(f"{name} grew by {grown:.1f} (allowed {bound:.1f})")
    return failures


def judge_fates(status: Any) -> list[str]:
    """Return the valid frames that were rejected; late and duplicate ones are expected."""
    wrong = [
        f"{count} {stream} frames were rejected"
        for stream in ("visible", "thermal")
        if (count := getattr(status, f"{stream}_rejected"))
    ]
    return wrong if status.visible_fused else [*wrong, "no pair was fused"]


def growth(
    values: Sequence[float], typical: Callable[[Sequence[float]], float] = statistics.median
) -> float:
    """Return the typical value of the last third minus that of the middle third."""
    third = len(values) // 3
    if not third:
        return 0.0
    return typical(values[-third:]) - typical(values[third : 2 * third])


if __name__ == "__main__":
    sys.exit(main())
