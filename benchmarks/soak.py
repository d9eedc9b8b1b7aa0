# SPDX-License-Identifier: Apache-2.0
"""The node for a long time, with all that happens to a robot: nothing may grow or be mixed up.

    python -m benchmarks.soak [--seconds 600] [--out soak]         (or --hours 1)

Cameras, node and listener are processes of their own, as in `node_latency`. The cameras lose, delay
and double frames; meanwhile weights are reloaded, parameters change, and subscribers come, stall
and die. Both cameras draw the number of the moment into their picture, so that each fused image
proves its partners. Writes `soak.json`, `soak.csv` and `soak.svg`.

Exit code 1 where memory, threads or open files grow, a status does not balance, an image is not of
one moment or carries another one's stamp, more than 1 % of the frames are lost before the node,
good frames are rejected, a reload or a change is not answered as it should, or the node does not
end cleanly.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.field import strip
from benchmarks.field.listening import Field
from fusion_ros.files.tables import write_table
from fusion_ros.files.writing import write_json, write_text

SAMPLE_S = 2.0
ALLOWED_GROWTH = 0.02
ALLOWED_GROWTH_MB = 8.0
MOST_LOST = 0.01
FATES = ("fused", "superseded", "unpaired", "late", "duplicate", "rejected", "pending")


def main() -> int:
    """0 where nothing grows and every frame is accounted for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--hours", type=float, default=0.0, help="in place of --seconds")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", default="640x512")
    parser.add_argument("--seed", type=int, default=1, help="of losses and disturbances")
    parser.add_argument("--out", type=Path, default=Path("soak"))
    args = parser.parse_args()
    seconds = args.hours * 3600 or args.seconds
    args.out.mkdir(parents=True, exist_ok=True)
    width, height = (int(n) for n in args.size.split("x"))
    if width < strip.WIDTH or height < strip.HEIGHT:
        parser.error(f"--size {args.size}: numbers need at least {strip.WIDTH}x{strip.HEIGHT}")
    parameters = {"warm_up_width": width, "warm_up_height": height, "status_every_frame": False}
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
    write_text(args.out / "soak.svg", plot(samples))
    print(json.dumps(result, indent=2))
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


class _Watch:
    """Looks at the node's process and status as its statuses come."""

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
        if self._begun_s is None:  # with the first frame, not with the start of the processes
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
    """Reads from each fused image which moment its two frames are of."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None, int | None]] = []

    def look(self, message: Any) -> None:
        """Take a fused image."""
        channels = message.step // message.width
        flat = np.frombuffer(message.data, np.uint8)[: strip.HEIGHT * message.step]
        rows = flat.reshape(strip.HEIGHT, message.width, channels)
        stamp = message.header.stamp
        numbers = (strip.read(rows, row) for row in (strip.VISIBLE_ROW, strip.THERMAL_ROW))
        self.seen.append((stamp.sec * 10**9 + stamp.nanosec, *numbers))

    def judge(self, stamps_ns: Sequence[int]) -> list[str]:
        """Compare with the stamps that the cameras gave, by moment."""
        number_of = {stamp_ns: number for number, stamp_ns in enumerate(stamps_ns)}
        unreadable = [s for s in self.seen if None in s]
        mixed = [s for s in self.seen if None not in s and s[1] != s[2]]
        stamped = [s for s in self.seen if None not in s and number_of.get(s[0]) != s[1]]
        twice = len(self.seen) - len({stamp_ns for stamp_ns, *_ in self.seen})
        failures = []
        for what, which in (
            ("do not show both numbers", unreadable),
            ("are of two moments", mixed),
            ("carry the stamp of another moment", stamped),
        ):
            if which:
                failures.append(f"{len(which)} fused images {what}, first {which[0]}")
        if twice:
            failures.append(f"{twice} fused images came twice")
        return failures


def judge(samples: Sequence[dict[str, float]]) -> list[str]:
    """What grew."""
    if len(samples) < 9:
        return [f"only {len(samples)} samples; run for longer"]
    failures = []
    for name, allowed in (("rss_mb", ALLOWED_GROWTH_MB), ("threads", 0.0), ("open_files", 0.0)):
        values = [sample[name] for sample in samples]
        bound = max(allowed, ALLOWED_GROWTH * statistics.median(values)) if allowed else 0.0
        if growth(values) > bound:
            failures.append(f"{name} grew by {growth(values):.1f} (allowed {bound:.1f})")
    return failures


def judge_fates(status: Any) -> list[str]:
    """Good frames that were rejected; late and doubled ones are expected."""
    wrong = [
        f"{count} {stream} frames were rejected"
        for stream in ("visible", "thermal")
        if (count := getattr(status, f"{stream}_rejected"))
    ]
    return wrong if status.visible_fused else [*wrong, "no pair was fused"]


def growth(values: Sequence[float]) -> float:
    """Median of the last third less that of the middle third; the first third may fill caches."""
    third = len(values) // 3
    if not third:
        return 0.0
    return statistics.median(values[-third:]) - statistics.median(values[third : 2 * third])


def plot(samples: Sequence[dict[str, float]]) -> str:
    """An SVG: memory, latency and counts over time, one panel each."""
    panels = (
        ("Memory of the node [MB]", ("rss_mb",)),
        ("Latency, arrival to publish [ms]", ("latency_ms_p50", "latency_ms_p95")),
        ("Visible frames", ("visible_received", "visible_fused", "visible_superseded")),
    )
    width, height, left = 900, 190, 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(panels)}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    end_s = max((s["seconds"] for s in samples), default=1.0) or 1.0
    for number, (title, names) in enumerate(panels):
        top, bottom = number * height + 30, (number + 1) * height - 30
        highest = max((s[n] for s in samples for n in names), default=1.0) * 1.1 or 1.0
        parts.append(f'<text x="{left}" y="{top - 10}" font-weight="bold">{title}</text>')
        right = width - 150
        for share in (0.0, 0.5, 1.0):
            y, number_text = bottom - share * (bottom - top), f"{share * highest:.0f}"
            parts.append(
                f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{number_text}</text>'
            )
        parts.append(f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{end_s:.0f} s</text>')
        for place, (name, colour) in enumerate(
            zip(names, ("#1f77b4", "#d62728", "#2ca02c"), strict=False)
        ):
            points = " ".join(
                f"{left + s['seconds'] / end_s * (right - left):.1f},"
                f"{bottom - s[name] / highest * (bottom - top):.1f}"
                for s in samples
                if s[name] == s[name]
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
            parts.append(
                f'<text x="{width - 140}" y="{top + 16 * place + 10}" fill="{colour}">{name}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    sys.exit(main())
