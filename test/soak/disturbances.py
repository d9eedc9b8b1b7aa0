# SPDX-License-Identifier: Apache-2.0
"""Events during a soak: reloads, parameter changes, subscribers that start, stall and end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

VIEWER = Path(__file__).parents[1] / "attack" / "viewer.py"
PERIOD_S = 2.0
RELOAD_EVERY, VIEWER_EVERY = 15, 5  # periods
RESPONSE_S = 30.0
#: Changes under which every pair must still be fused with its own partner.
CHANGES: list[dict[str, Any]] = [
    {"pairing_tolerance_ms": 12.0},
    {"pairing_tolerance_ms": 16.0},
    {"jpeg_quality_percent": 50},
    {"overlay_opacity": 0.2, "overlay_palette": "iron"},
    {"status_every_frame": True},
    {"status_every_frame": False},
    {"tone_smoothing_s": 1.0},
    {"alignment_warn_px": 4.0},
    {"stream_timeout_ms": 2000.0},
]
REFUSED: list[dict[str, Any]] = [
    {"pairing_tolerance_ms": -1.0},
    {"tone_low_percent": 99.9, "tone_high_percent": 0.1},
    {"tone_mode": "none"},
    {"jpeg_quality_percent": "x"},
]


class Disturbances:
    """Disturb a node; call `step` often.

    Args:
        node: a ROS node that is spun by the caller.
        folder: for the viewers' logs.
        seed: makes the order repeatable.
    """

    def __init__(self, node: Any, folder: Path, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._folder = folder
        self._reload = node.create_client(Trigger, "/fuse_node/reload")
        self._set = node.create_client(SetParameters, "/fuse_node/set_parameters")
        self._next_s = 0.0
        self._periods = 0
        self._waiting: list[tuple[str, bool, float, Any]] = []
        self._viewers: list[tuple[subprocess.Popen[bytes], int]] = []
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []

    def step(self) -> None:
        """Start the events that are due, and check responses."""
        now = time.monotonic()
        for item in list(self._waiting):
            self._check(item, now)
        if now < self._next_s:
            return
        self._next_s = now + PERIOD_S
        self._periods += 1
        self._age_viewers()
        if self._periods % RELOAD_EVERY == 0 and not any(w[0] == "reload" for w in self._waiting):
            self._send("reload", True, self._reload, Trigger.Request())
        if self._periods % VIEWER_EVERY == 0:
            self._start_viewer()
        is_legal = self._random.random() < 0.7
        values = self._random.choice(CHANGES if is_legal else REFUSED)
        parameters = [Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
        request = SetParameters.Request(parameters=parameters)
        self._send(f"set {values}", is_legal, self._set, request)

    def close(self) -> None:
        """End the viewers."""
        for viewer, _ in self._viewers:
            _end(viewer)
        self._viewers.clear()

    def _send(self, what: str, is_legal: bool, client: Any, request: Any) -> None:
        if client.service_is_ready():
            entry = (what, is_legal, time.monotonic() + RESPONSE_S, client.call_async(request))
            self._waiting.append(entry)
        else:
            self.failures.append(f"{what}: the service is not available")

    def _check(self, item: tuple[str, bool, float, Any], now: float) -> None:
        what, is_legal, end_s, future = item
        if not future.done():
            if now > end_s:
                self._waiting.remove(item)
                self.failures.append(f"{what}: no response within {RESPONSE_S:g} s")
            return
        self._waiting.remove(item)
        response = future.result()
        results = getattr(response, "results", None)
        if results is None:
            self.done["reloads"] += 1
            if not response.success:
                self.failures.append(f"{what}: {response.message}")
        else:
            self.done["changes" if is_legal else "refused changes"] += 1
            if all(result.successful for result in results) != is_legal:
                reasons = "; ".join(result.reason for result in results)
                self.failures.append(f"{what}: {'refused' if is_legal else 'accepted'}: {reasons}")

    def _start_viewer(self) -> None:
        """Start a viewer that is stopped after a while and then resumed or killed."""
        reliability = self._random.choice(["reliable", "best_effort"])
        with (self._folder / "viewer.log").open("wb") as log:
            viewer = subprocess.Popen(
                [sys.executable, str(VIEWER), reliability],
                env=os.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._viewers.append((viewer, self._periods))
        self.done["viewers"] += 1

    def _age_viewers(self) -> None:
        for viewer, born in list(self._viewers):
            age = self._periods - born
            if age == 4:
                viewer.send_signal(signal.SIGSTOP)
                self.done["stalls"] += 1
            elif age == 9:
                self._viewers.remove((viewer, born))
                if self._random.random() < 0.5:
                    self.done["killed viewers"] += 1
                    viewer.kill()
                _end(viewer)


def _end(viewer: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        viewer.send_signal(signal.SIGCONT)
        viewer.send_signal(signal.SIGINT)
    try:
        viewer.wait(5.0)
    except subprocess.TimeoutExpired:
        viewer.kill()
        viewer.wait()
