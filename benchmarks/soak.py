# SPDX-License-Identifier: Apache-2.0
"""The node for a long time: memory, threads, files, latency and counts, plotted; fails on growth.

    python -m benchmarks.soak [--seconds 600] [--out soak]         (or --hours 8)

Cameras, node and listener are processes of their own, as in `node_latency`. Writes `soak.json`,
`soak.csv` and `soak.svg`. Exit code 1 where memory, threads or open files grow, where frames are
lost, refused or not accounted for, where none is fused, or where the node did not end cleanly.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.field.listening import Field

SAMPLE_S = 2.0
ALLOWED_GROWTH = 0.02
ALLOWED_GROWTH_MB = 8.0
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
    parser.add_argument("--out", type=Path, default=Path("soak"))
    args = parser.parse_args()
    seconds = args.hours * 3600 or args.seconds
    args.out.mkdir(parents=True, exist_ok=True)
    width, height = (int(n) for n in args.size.split("x"))
    parameters = {"warm_up_width": width, "warm_up_height": height, "status_every_frame": False}
    samples: list[dict[str, float]] = []
    unbalanced: list[str] = []
    with tempfile.TemporaryDirectory() as folder, Field(Path(folder), parameters) as field:
        watch = _Watch(field, samples, unbalanced)
        field.listener.on_status = watch.look
        field.run_cameras(
            seconds=seconds, rate_hz=args.rate, size=args.size, reliability="best_effort"
        )
        sent = len(field.sent())
        status = field.listener.status
    failures = [*judge(samples), *unbalanced[:5]]
    lost = {s: sent - getattr(status, f"{s}_received") for s in ("visible", "thermal")}
    failures += [
        f"{n} of {sent} {s} frames were lost before the node" for s, n in lost.items() if n
    ]
    failures += judge_fates(status)
    if field.exit_codes["fuse_node"] != 0:
        failures.append(f"the node ended with code {field.exit_codes['fuse_node']}")
    result = {
        "seconds": seconds,
        "samples": len(samples),
        "sent": sent,
        "lost_before_the_node": lost,
        "statuses_that_do_not_reconcile": len(unbalanced),
        "first": samples[0] if samples else {},
        "last": samples[-1] if samples else {},
        "growth_mb": round(growth([s["rss_mb"] for s in samples]), 2) if samples else None,
        "failures": failures,
    }
    (args.out / "soak.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    with (args.out / "soak.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, list(samples[0]) if samples else [])
        rows.writeheader()
        rows.writerows(samples)
    (args.out / "soak.svg").write_text(plot(samples), encoding="utf-8")
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
    """Frames that ended as none should: the cameras send nothing but good ones, each once."""
    wrong = [
        f"{count} {stream} frames ended as {fate}"
        for stream in ("visible", "thermal")
        for fate in ("rejected", "late", "duplicate")
        if (count := getattr(status, f"{stream}_{fate}"))
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
