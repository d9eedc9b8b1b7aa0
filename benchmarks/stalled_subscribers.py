# SPDX-License-Identifier: Apache-2.0
"""What stopped or killed subscribers of the fused image cost the node and a healthy subscriber.

    python -m benchmarks.stalled_subscribers [--viewers 3] [--seconds 12] [--rounds 2] [--json FILE]
    python -m benchmarks.stalled_subscribers --how kill --reliability best_effort
    python -m benchmarks.stalled_subscribers --without-profile   # viewers on default transports

Runs in turn, `--rounds` times: viewers that take every image, and viewers that are stopped
(SIGSTOP) or killed (SIGKILL) after the first image came. Fails (exit code 1) where fewer than 99 %
of the pairs were fused after that, or where the median latency of the healthy subscriber, from the
camera's publish on, grew by more than a fifth.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.field.listening import Field
from fusion_ros.files.writing import write_text
from fusion_ros.nodes.runtime.dds_profile import PROFILE_VARIABLES
from fusion_ros.streams.series import percentiles

LEAST_FUSED = 0.99
MOST_GROWTH = 1.2
SIGNALS = {"stop": signal.SIGSTOP, "kill": signal.SIGKILL}


def main() -> int:
    """0 where both bars hold, 1 where one does not."""
    args = _arguments()
    legs: dict[str, list[dict[str, Any]]] = {"healthy": [], args.how: []}
    for _ in range(args.rounds):
        for how in legs:
            leg = _run(how, args)
            legs[how].append(leg)
            print(f"{how:<8} {leg}", flush=True)
    p50 = {how: statistics.median(leg["latency_ms_p50"] for leg in legs[how]) for how in legs}
    fused = min(leg["fused"] / leg["sent"] for leg in legs[args.how])
    growth = p50[args.how] / p50["healthy"]
    print(f"fused while stalled: {fused:.2%}; latency p50: {growth:.2f} times that of none stalled")
    if args.json:
        result = {
            "options": {k: v for k, v in vars(args).items() if k != "json"},
            "legs": legs,
            "fused_share": fused,
            "latency_growth": growth,
        }
        write_text(args.json, json.dumps(result, indent=2) + "\n")
    return 0 if fused >= LEAST_FUSED and growth <= MOST_GROWTH else 1


def _run(how: str, args: argparse.Namespace) -> dict[str, Any]:
    width, height = args.size.split("x")
    parameters = {"warm_up_width": int(width), "warm_up_height": int(height)}
    with tempfile.TemporaryDirectory() as folder:
        field = Field(Path(folder), {**parameters, "engine": args.engine})
        environment = dict(os.environ)
        if args.without_profile:
            environment = {k: v for k, v in environment.items() if k not in PROFILE_VARIABLES}
        viewers = [_start_viewer(args.reliability, environment) for _ in range(args.viewers)]
        stalled_ns: list[int] = []
        try:
            with field:
                stall = threading.Thread(
                    target=_stall, args=(field, viewers, SIGNALS.get(how), stalled_ns), daemon=True
                )
                stall.start()
                field.run_cameras(
                    seconds=args.seconds,
                    rate_hz=args.rate,
                    size=args.size,
                    reliability="best_effort",
                )
                stall.join()
        finally:
            for viewer in viewers:
                viewer.kill()
                viewer.wait()
        return _evaluate(field, stalled_ns[0])


def _start_viewer(reliability: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    viewer = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.field.viewer", reliability],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert viewer.stdout is not None
    viewer.stdout.readline()
    return viewer


def _stall(
    field: Field,
    viewers: list[subprocess.Popen[str]],
    number: signal.Signals | None,
    stalled_ns: list[int],
) -> None:
    """Send the signal a second after the first image; note when."""
    while not field.listener.fused:
        time.sleep(0.05)
    time.sleep(1.0)
    for viewer in viewers if number is not None else ():
        viewer.send_signal(number)
    stalled_ns.append(time.monotonic_ns())


def _evaluate(field: Field, since_ns: int) -> dict[str, Any]:
    arrived_ns = field.listener.arrived_ns
    sent = [row for row in field.sent() if row["thermal_sent_ns"] >= since_ns]
    rows = [row for row in field.trace() if row["arrived_ns"] >= since_ns]
    latencies_ms = [
        (arrived_ns[row["stamp_ns"]] - row["thermal_sent_ns"]) / 1e6
        for row in sent
        if row["stamp_ns"] in arrived_ns
    ]
    p50, p95 = percentiles(latencies_ms, (50, 95)) if latencies_ms else (math.inf, math.inf)
    return {
        "sent": len(sent),
        "fused": len(rows),
        "received": len(latencies_ms),
        "latency_ms_p50": round(float(p50), 2),
        "latency_ms_p95": round(float(p95), 2),
        "publish_ms_p50": round(float(np.median([row["publish_ms"] for row in rows])), 2),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--viewers", type=int, default=3)
    parser.add_argument("--how", choices=tuple(SIGNALS), default="stop")
    parser.add_argument("--reliability", default="reliable", help="that the viewers ask for")
    parser.add_argument("--without-profile", action="store_true", help="viewers have no profile")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each leg")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", default="640x512", help="WIDTHxHEIGHT of both cameras")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
