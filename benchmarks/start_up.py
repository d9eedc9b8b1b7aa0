# SPDX-License-Identifier: Apache-2.0
"""Measure start and memory of the fuse node: process start to graph and to `active`, then RSS.

    python -m benchmarks.start_up [--runs 5] [--size 640x512] [--seconds 8] [--json FILE]

A first run, which is not counted, fills the engine cache and Python's byte code. The memory is read
at the end of a run of the cameras at 30 Hz.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState

from benchmarks.field.listening import Field
from benchmarks.report.tables import Target, options, report

STARTING_S = 60.0
#: Largest allowed value by figure; None: no target.
FIGURES = {
    "process start to visible in the graph, s": 0.6,
    "process start to active, s": 1.5,
    "resident memory while fusing, MB": 250.0,
    "of it the shared memory of DDS, MB": None,
}


def measure(folder: Path, size: tuple[int, int], seconds: float) -> list[float]:
    """Start a node, wait until it is active, run the cameras; return the values of `FIGURES`."""
    width, height = size
    parameters = {"warm_up_width": width, "warm_up_height": height}
    with Field(folder, parameters) as field:
        client = field.ros.create_client(GetState, "/fuse_node/get_state")
        began_s = _started_s(field.node.pid)
        # rclpy's waiting polls too, but in longer steps.
        while "fuse_node" not in field.ros.get_node_names():
            time.sleep(0.005)
        graph_s = time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
        state = None
        while state != State.PRIMARY_STATE_ACTIVE:
            client.wait_for_service()
            answer = client.call_async(GetState.Request())
            field.spin_while(lambda answer=answer: not answer.done(), STARTING_S)
            state = answer.result().current_state.id
        active_s = time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
        field.run_cameras(seconds=seconds, rate_hz=30.0, size=size)
        status = Path(f"/proc/{field.node.pid}/status").read_text(encoding="ascii")
        memory = [int(status.split(f"{k}:")[1].split()[0]) / 1024 for k in ("VmRSS", "RssShmem")]
    return [graph_s, active_s, *memory]


def _started_s(pid: int) -> float:
    """Return the start of a process in seconds since boot, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run and print."""
    parser = options(__doc__, "640x512")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of the cameras, each run")
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["FUSION_ROS_CACHE"] = cache
        # An installed package has byte code, also where this environment writes none.
        os.environ["PYTHONPYCACHEPREFIX"] = f"{cache}/byte_code"
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(args.runs + 1):
            with tempfile.TemporaryDirectory() as folder:
                found.append(measure(Path(folder), args.size, args.seconds))
                print(" ".join(f"{value:.2f}" for value in found[-1]), flush=True)
    first, *later = found
    rows, targets = [], []
    for (name, most), at_first, *values in zip(FIGURES.items(), first, *later, strict=True):
        median = statistics.median(values)
        rows.append([name, *(f"{x:.2f}" for x in (median, min(values), max(values), at_first))])
        if most is not None:
            targets.append(Target(f"{name}: at most {most:g}", f"{median:.2f}", median <= most))
    title = "Start and memory of the node, {}x{} at 30 Hz".format(*args.size)
    columns = ["", f"median of {args.runs}", "least", "most", "first start, empty caches"]
    return report(args.json, title, columns, rows, targets=targets)


if __name__ == "__main__":
    sys.exit(main())
