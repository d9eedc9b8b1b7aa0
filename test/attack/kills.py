# SPDX-License-Identifier: Apache-2.0
"""Kind `kills`: processes killed at a bad moment, and files rewritten while they are read."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attack.files import QUICK, clip
from attack.node import SMALL, LiveNode, start_viewer
from attack.trial import TRACEBACK, Tally, wait_until

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-m", "fusion_ros.cli.main"]
RECORDINGS = [(s, c) for s in ("mcap", "sqlite3") for c in ("none", "message", "file")]


def attack_kills(tally: Tally) -> None:
    """Rounds of all attacks, until the time is over."""
    report = _first_report(tally)
    weights = tally.folder / "own.safetensors"
    shutil.copy(ROOT / "fusion_ros" / "model" / "weights" / "compact.safetensors", weights)
    with LiveNode(tally, {**SMALL, "weights": str(weights)}) as live:
        tally.begin()
        attacks: list[Callable[[], None]] = [
            lambda: _killed_recorder(tally, live),
            lambda: _weights_in_place(tally, live, weights),
            lambda: _killed_viewer(tally, live),
            lambda: _killed_report(tally, report),
            lambda: _killed_camera(tally, live),
        ]
        while tally.has_time:
            for attack in attacks:
                if tally.has_time:
                    attack()
    _stops(tally)


def _run(tally: Tally, arguments: list[object], timeout_s: float = 60.0) -> tuple[int | None, str]:
    try:
        done = subprocess.run(
            [*CLI, *map(str, arguments)],
            env=os.environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, "no end"
    return done.returncode, done.stdout.decode(errors="backslashreplace")


def _start(tally: Tally, arguments: list[object], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [*CLI, *map(str, arguments)], env=os.environ, cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it with its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _killed_recorder(tally: Tally, live: LiveNode) -> None:
    """A recorder killed while it writes: its bag is read as far as it goes, and never as whole."""
    storage, compression = RECORDINGS[tally.tried % len(RECORDINGS)]
    tally.tried += 1
    what = f"recorder killed, {storage}, {compression}"
    bag, log = tally.folder / f"bag_{tally.tried}", tally.folder / "recorder.log"
    options = ["--live", "--storage", storage, "--compression", compression]
    recorder = _start(tally, ["record", bag, *options], log)
    begun: list[float] = []

    def step() -> bool:
        live.send_pair()
        time.sleep(0.02)
        # An sqlite3 file without messages takes up to 40 kB while it is created.
        if bag.is_dir() and any(file.stat().st_size > 100_000 for file in bag.iterdir()):
            begun.append(time.monotonic())
        # Bags are committed once a second: at most the last second is lost.
        return bool(begun) and time.monotonic() - begun[0] > 2.5

    if not wait_until(step, 30.0):
        tally.notes.append(f"{what}: nothing was on the disk after 30 s")
    _kill(recorder)
    gate = tally.folder / "gate.yaml"
    gate.write_text("forbid_severity: error\n", encoding="utf-8")
    out = tally.folder / "recorded"
    shutil.rmtree(out, ignore_errors=True)
    code, text = _run(tally, ["replay", bag, "--out", out, *QUICK, "--no-report", "--gate", gate])
    live.look(what)
    if code is None:
        tally.breach("hang", what, text)
    elif code < 0:
        tally.breach("death", what, text)
    elif TRACEBACK in text:
        tally.breach("traceback", what, text)
    elif code == 0 and not _findings(out):
        tally.breach("silent", what, "the bag of a killed recorder passed without a finding")
    elif compression != "file" and _fused(out) == 0 and begun:
        tally.breach("silent", what, f"nothing of the bag could be read\n{text}")
    shutil.rmtree(bag, ignore_errors=True)


def _findings(out: Path) -> list[Any]:
    with contextlib.suppress(OSError, ValueError):
        return list(json.loads((out / "summary.json").read_text(encoding="utf-8"))["findings"])
    return []


def _fused(out: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(json.loads((out / "summary.json").read_text(encoding="utf-8"))["fused"])
    return 0


def _weights_in_place(tally: Tally, live: LiveNode, weights: Path) -> None:
    """Weights rewritten in place during a reload: refused or used, and the node goes on."""
    from std_srvs.srv import Trigger

    good = weights.read_bytes()
    for length in (len(good), len(good) // 2, 0):
        tally.tried += 1
        what = f"weights rewritten in place to {length} bytes during a reload"
        client = live.node.create_client(Trigger, "/fuse_node/reload")
        wait_until(client.service_is_ready, 10.0)
        future = client.call_async(Trigger.Request())
        end_s = time.monotonic() + 20.0
        while not future.done() and live.is_alive and time.monotonic() < end_s:
            with weights.open("r+b") as file:
                file.truncate(length)
                file.write(good[:length])
            live.send_pair()
            time.sleep(0.002)
        weights.write_bytes(good)
        if not live.look(what):
            live.revive(what)
        elif not future.done():
            tally.breach("hang", what, "~/reload did not answer within 20 s")
        elif future.result().success and length < len(good):
            tally.notes.append(f"{what}: the reload had read them before")
        if not live.fuses():
            tally.breach("silent", what, f"no fused image afterwards\n{live.log_text()[-800:]}")


def _killed_viewer(tally: Tally, live: LiveNode) -> None:
    """A subscriber killed while it receives."""
    tally.tried += 1
    viewer = start_viewer(tally.folder, tally.tried)
    for _ in range(10):
        live.send_pair()
        time.sleep(0.02)
    viewer.kill()
    viewer.wait()
    if not live.look("viewer killed"):
        live.revive("viewer killed")
    if not live.fuses():
        tally.breach("silent", "viewer killed", f"no fused image\n{live.log_text()[-800:]}")


def _killed_camera(tally: Tally, live: LiveNode) -> None:
    """A camera process killed while it publishes: its frames balance, and other cameras serve."""
    tally.tried += 1
    cameras = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.field.cameras", "--out", tally.folder / "sent.csv",
         "--size", "64x48", "--seconds", "60"], env=os.environ, cwd=ROOT,
    )  # fmt: skip
    before = live.fused
    came = wait_until(lambda: live.fused > before + 10, 30.0)
    cameras.kill()
    cameras.wait()
    if not came:
        tally.notes.append("camera killed: it published nothing within 30 s")
    if not live.look("camera killed"):
        live.revive("camera killed")
    if not live.fuses():
        tally.breach("silent", "camera killed", f"no fused image\n{live.log_text()[-800:]}")


def _first_report(tally: Tally) -> list[object]:
    """A complete replay, and its command."""
    recording = clip(tally.folder / "clip", 6)
    command = ["replay", recording, "--out", tally.folder / "report", *QUICK]
    code, text = _run(tally, command)
    if code != 0:
        tally.breach("silent", "replay of an intact clip", f"code {code}\n{text}")
    return command


def _killed_report(tally: Tally, command: list[object]) -> None:
    """A replay killed while it runs over an earlier report: no file of that is ruined."""
    out = tally.folder / "report"
    for _ in range(3):
        if not tally.has_time:
            return
        tally.tried += 1
        process = _start(tally, command, tally.folder / "replay.log")
        log_seconds = tally.random.uniform(1.0, 6.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(log_seconds)
        _kill(process)
        for name, is_whole in _WHOLE.items():
            if not is_whole(out / name):
                tally.breach(
                    "silent", f"replay killed after {log_seconds:.1f} s", f"{name} is ruined"
                )


def _is_json(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _is_csv(path: Path) -> bool:
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except OSError:
        return False
    return len(rows) > 6 and len({len(row) for row in rows}) == 1


def _is_page(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8").rstrip().endswith("</html>")


_WHOLE: dict[str, Callable[[Path], bool]] = {
    "summary.json": _is_json,
    "frames.csv": _is_csv,
    "pairs.csv": _is_csv,
    "report.html": _is_page,
}


def _stops(tally: Tally) -> None:
    """SIGINT at random moments of a node's start: it ends within five seconds with code 0."""
    for _ in range(3):
        tally.tried += 1
        log = tally.folder / "starting.log"
        node = _start(tally, ["node", "-p", "engine=torch"], log)
        after_s = tally.random.uniform(0.3, 5.0)
        time.sleep(after_s)
        node.send_signal(signal.SIGINT)
        what = f"SIGINT {after_s:.1f} s after the start"
        try:
            code = node.wait(5.0)
        except subprocess.TimeoutExpired:
            tally.breach("hang", what, "no end within 5 s")
            _kill(node)
            continue
        tally.check_log(log, what)
        if code not in (0, 130, -int(signal.SIGINT)):
            tally.breach("death", what, f"exit code {code}")
