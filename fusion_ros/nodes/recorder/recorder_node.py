# SPDX-License-Identifier: Apache-2.0
"""Record the images of the fuse node and its cameras, then write images, video and summary.

Waits at most `timeout_s` for the first fused image, records for `seconds` and writes to the folder
`out`: `side_by_side.png`, `visible.png`, `thermal.png`, `fused.mp4` and `summary.json`. Exit code 1
if nothing was fused, 2 if a file cannot be written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import Image

from fusion_ros.files.images import write_image
from fusion_ros.files.writing import write_json
from fusion_ros.imaging.contrast import stretched
from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.imaging.side_by_side import side_by_side
from fusion_ros.nodes.recorder.results import PacedVideo, RecentFrames, counts_from_status
from fusion_ros.nodes.runtime.codec import decode_image
from fusion_ros.nodes.runtime.log_lines import warning_line
from fusion_ros.nodes.runtime.node_process import run_node
from fusion_ros.nodes.runtime.parameter_server import declare
from fusion_ros.nodes.runtime.stopping import ignore_further_signals
from fusion_ros.outside_text import error_line, printable, say
from fusion_ros.parameters import ParameterError
from fusion_ros.parameters.specification import parameter, specs_of
from fusion_ros.streams.series import describe_series

try:
    from fusion_ros.msg import FusionStatus
except ImportError:  # without the message the summary has no counts of the node
    FusionStatus = None

VIDEO_HZ = 15.0
STREAMS = ("visible", "thermal", "fused")


@dataclasses.dataclass(frozen=True)
class RecorderParameters:
    """Parameters of the recorder."""

    group: ClassVar[str] = "Recorder"

    out: str = parameter("demo", "Output folder; created if it does not exist.")
    seconds: float = parameter(
        15.0,
        "Duration of the recording from the first fused image on, in seconds.",
        within=(0.0, 1e6),
    )
    timeout_s: float = parameter(
        60.0, "Longest time to wait for the first fused image, in seconds.", within=(0.0, 1e6)
    )
    video: bool = parameter(True, "Write fused.mp4, too.")


class Recorder(Node):
    """Node that subscribes to both cameras and the fuse node.

    Raises:
        ParameterError: a parameter has a value that is not allowed.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        values = RecorderParameters(**declare(self, specs_of(RecorderParameters), read_only=True))
        self.out = Path(values.out)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ParameterError(
                f"parameter out is {printable(repr(values.out))}, which cannot be created "
                f"({error.strerror}); allowed is a folder, new or not"
            ) from error
        self.seconds = values.seconds
        self.timeout_s = values.timeout_s
        self.received = dict.fromkeys(STREAMS, 0)
        self.unreadable = dict.fromkeys(STREAMS, 0)
        self._arrivals: dict[str, list[float]] = {stream: [] for stream in STREAMS}
        self._latency_ms: list[float] = []
        self._recent = {"visible": RecentFrames(), "thermal": RecentFrames()}
        self._formats: dict[str, str] = {}
        self._first_fused: float | None = None
        self._status: Any = None
        self._best: tuple[float, dict[str, np.ndarray], np.ndarray] | None = None
        self._next_picture = 0.0
        self._video: PacedVideo | None = None
        if values.video:
            self._video = PacedVideo(self.out / "fused.mp4", VIDEO_HZ)
        for stream in STREAMS:
            self.create_subscription(
                Image,
                f"{stream}/image_raw",
                partial(self._take, stream),
                qos_profile_sensor_data,
            )
        if FusionStatus is not None:
            self.create_subscription(FusionStatus, "fused/status", self._keep_status, 10)

    def run(self, executor: SingleThreadedExecutor) -> None:
        """Record from the first fused image on; log a line each second, or 5 s before that."""
        begun = logged = time.monotonic()
        while self.context.ok():
            executor.spin_once(timeout_sec=0.1)
            now, waits = time.monotonic(), self._first_fused is None
            elapsed = now - (self._first_fused or begun)
            if elapsed >= (self.timeout_s if waits else self.seconds):
                break
            if now - logged >= (5.0 if waits else 1.0):
                logged = now
                self._say(
                    f"waiting for the first fused image ({elapsed:.0f} s)"
                    if waits
                    else f"{elapsed:3.0f} of {self.seconds:.0f} s, {self.received['fused']} fused"
                )
        self._wait_for_last_status(executor)

    def close(self) -> None:
        """End the video's thread, also after an error."""
        if self._video is not None:
            self._video.close()

    def write(self) -> None:
        """Finish the video; write the images and the summary.

        Raises:
            OSError: an image or the summary cannot be written.
        """
        if self._video is not None:
            self._say("finishing the video")
            self._video.close()
            if self._video.error:
                self._say(f"the video could not be written: {self._video.error}")
        if self._best is not None:
            _, panels, thermal = self._best
            write_image(self.out / "side_by_side.png", side_by_side(panels))
            # The unchanged pair, to fuse it with other parameters.
            visible = panels["visible"]
            bgr = visible if visible.ndim == 2 else visible[..., ::-1]
            write_image(self.out / "visible.png", bgr)
            if thermal.dtype in (np.uint8, np.uint16):
                write_image(self.out / "thermal.png", thermal)
        write_json(self.out / "summary.json", self.summary())
        self._say(f"{self.received['fused']} fused images received; all files are written")

    def summary(self) -> dict[str, Any]:
        """Return counts and measurements as JSON values."""
        status = self._status
        summary: dict[str, Any] = {
            "fused": self.received["fused"],
            "recorder_received": dict(self.received),
            "recorder_unreadable": dict(self.unreadable),
            "rates_hz": {stream: _rate(self._arrivals[stream]) for stream in STREAMS},
            "latency_ms": describe_series(self._latency_ms),
            "latency_is": "from the stamp of the visible frame to the arrival of the fused image",
            "formats": dict(self._formats),
            "recorded_s": self.seconds,
        }
        if status is not None:
            summary |= counts_from_status(status)
            names = ("engine", "device", "precision", "preset", "weights_sha256")
            times = ("latency_ms_p50", "latency_ms_p95", "skew_ms_p50", "skew_ms_p95")
            summary["node"] = {
                **{name: getattr(status, name) for name in names},
                **{name: _finite(getattr(status, name)) for name in times},
                "stage_ms_p50": {
                    name: _finite(value)
                    for name, value in zip(status.stage_names, status.stage_ms_p50, strict=False)
                },
            }
        if self._video is not None:
            summary["video_frames"] = 0 if self._video.error else self._video.written
            summary["video_frames_left_out"] = self._video.left_out
        return summary

    def _take(self, stream: str, message: Image) -> None:
        now_ns = self.get_clock().now().nanoseconds
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        self.received[stream] += 1
        self._formats[stream] = f"{message.width}x{message.height} {message.encoding}"
        try:
            pixels = decode_image(message).as_rgb()
        except EncodingError as error:
            self.unreadable[stream] += 1
            if self.unreadable[stream] == 1:
                warning_line(self)(f"{stream}: {error}")
            return
        if stream != "fused":
            self._arrivals[stream].append(time.monotonic())
            self._recent[stream].add(stamp_ns, pixels)
            return
        now = time.monotonic()
        if self._first_fused is None:
            self._first_fused = now
            for arrivals in self._arrivals.values():
                arrivals.clear()  # rates exclude the start-up
            self._say("received the first fused image")
        self._arrivals["fused"].append(now)
        self._latency_ms.append((now_ns - stamp_ns) / 1e6)
        if now - self._first_fused >= self._next_picture:
            self._next_picture += 1.0 / VIDEO_HZ
            self._keep_picture(now - self._first_fused, stamp_ns, pixels)

    def _keep_picture(self, seconds: float, stamp_ns: int, fused: np.ndarray) -> None:
        visible = self._recent["visible"].nearest(stamp_ns)
        thermal = self._recent["thermal"].nearest(stamp_ns)
        if visible is None or thermal is None:
            return
        panels = {
            "visible": visible,
            "thermal": stretched(thermal, 1.0, 99.7, stride=4),
            "fused": fused,
        }
        if self._video is not None:
            self._video.add(seconds, panels)
        # The image with the largest thermal contrast is shown.
        warmth = float(np.asarray(thermal[::8, ::8], np.float32).std())
        if self._best is None or warmth > self._best[0]:
            self._best = (warmth, panels, thermal)

    def _keep_status(self, status: Any) -> None:
        self._status = status

    def _wait_for_last_status(self, executor: SingleThreadedExecutor) -> None:
        """Wait for a status, published once a second, that covers the whole recording."""
        before, until = self._status, time.monotonic() + 1.5
        while (
            self.context.ok()
            and before is not None
            and self._status is before
            and time.monotonic() < until
        ):
            executor.spin_once(timeout_sec=0.1)

    def _say(self, text: str) -> None:
        say(f"recorder: {text}")


def _rate(arrivals: list[float]) -> float | None:
    if len(arrivals) < 2 or arrivals[-1] <= arrivals[0]:
        return None
    return round((len(arrivals) - 1) / (arrivals[-1] - arrivals[0]), 3)


def _finite(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def main(args: list[str] | None = None) -> int:
    """Run the recorder; return 0 if anything was fused, 1 if not, 2 if a file cannot be written."""

    def work(recorder: Recorder, executor: SingleThreadedExecutor) -> int:
        with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
            recorder.run(executor)
        ignore_further_signals()
        try:
            recorder.write()
        except OSError as error:
            say(f"recorder: {error_line(error)}", error=True)
            return 2
        return 0 if recorder.received["fused"] else 1

    return run_node(
        "recorder",
        Recorder,
        work,
        args=args,
        refusals=(ParameterError,),
        close=Recorder.close,
        stopped=1,
    )


if __name__ == "__main__":
    sys.exit(main())
