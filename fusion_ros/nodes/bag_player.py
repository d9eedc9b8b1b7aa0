# SPDX-License-Identifier: Apache-2.0
"""Play a recording to a fuse node and measure its fused images; `fusion-ros replay --live`.

Publishes on `visible/image_raw` and `thermal/image_raw` (`.../compressed` for a compressed
recording) and subscribes to the fused image and to `fused/status`. Writes `live.json` and
`live_frames.csv` to the folder `out`. Exit code 0 after a complete replay, else 1.

Messages are published with their recorded bytes except for the stamps; see
`fusion_ros/replay/live/time_line.py`. Both ends of an age are of one clock. This process writes the
stamp, and the fuse node's middleware writes the time of publishing into the message info.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.nodes.runtime.executor import NodeExecutor
from fusion_ros.nodes.runtime.log_lines import warning_line
from fusion_ros.nodes.runtime.process_tuning import tune_process
from fusion_ros.nodes.runtime.rclpy_compatibility import has_message_info
from fusion_ros.nodes.runtime.stopping import ignore_further_signals, limited_clean_up
from fusion_ros.nodes.runtime.subscription import image_quality
from fusion_ros.outside_text import say
from fusion_ros.parameters import FuseParameters
from fusion_ros.recordings.bags.writer import encoding_of
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import RecordedFrame, Recording, RecordingError
from fusion_ros.replay.live.live_replay import LiveReplay
from fusion_ros.replay.live.one_pass import NODE_COUNTS, Counts, OnePass, PassFigures
from fusion_ros.replay.live.time_line import PlayedFrame, TimeLine, stamp_of, with_stamp
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.stamps import NS_PER_S

_LEAD_S = 0.2
_SETTLE_S = 8.0


class BagPlayer(Node):
    """See the module.

    Args:
        recording: the recording to play; its topics decide whether messages are compressed.
    """

    def __init__(self, recording: Recording, values: FuseParameters) -> None:
        try:
            from fusion_ros.msg import FusionStatus
        except ImportError as error:
            raise RecordingError(
                "fusion_ros/msg/FusionStatus was not built, so the fuse node's counts cannot be "
                "read; build it with colcon, or with `make setup`"
            ) from error
        super().__init__("bag_player")
        self._values = values
        self._executor = NodeExecutor()
        self._executor.add_node(self)
        self._status: Any = None
        self._at_rest: Counts | None = None
        self._pass: OnePass | None = None
        camera = image_quality("best_effort")
        self._cameras = {}
        for stream in Stream:
            compressed = recording.identity.is_compressed(stream)
            kind, end = (CompressedImage, "/compressed") if compressed else (Image, "")
            topic = f"{stream.value}/image_raw{end}"
            self._cameras[stream] = self.create_publisher(kind, topic, camera)
        # Serialised: counting an image needs no deserialisation.
        self.create_subscription(
            Image, "fused/image_raw", self._fused_callback(), QoSProfile(depth=100), raw=True
        )
        self.create_subscription(FusionStatus, "fused/status", self._keep_status, 10)

    def wait_for_fuse_node(self) -> dict[str, str]:
        """See `Player`."""
        while not all(p.get_subscription_count() for p in self._cameras.values()):
            self._spin(0.1)
        while self._status is None:
            self._spin(0.1)
        names = ("engine", "device", "precision", "preset", "weights_sha256")
        return {name: str(getattr(self._status, name)) for name in names}

    def play(
        self,
        frames: Iterable[PlayedFrame],
        time_line: Callable[[int], TimeLine],
        visible_hz: float,
        progress: Callable[[int], object] = lambda frames: None,
    ) -> tuple[OnePass, PassFigures]:
        """See `Player`."""
        before = self._at_rest or self._settled({})
        self._at_rest = None
        begin_ns = time.time_ns() + round(_LEAD_S * NS_PER_S)
        line = time_line(begin_ns)
        self._pass = one_pass = OnePass(line, self._values)
        for frame in frames:
            stamp_ns = line.stamp_ns(frame)
            message = with_stamp(frame.cdr, stamp_ns)
            self._spin_until(line.due_ns(frame))
            self._cameras[frame.stream].publish(message)
            one_pass.sent(frame, stamp_ns, time.time_ns())
            progress(sum(one_pass.total_sent.values()))
        wanted = {s.value: before[s.value]["received"] + n for s, n in one_pass.total_sent.items()}
        after = self._settled(wanted)
        self._pass = None
        return one_pass, one_pass.figures(before, after, visible_hz)

    def close(self) -> None:
        """Release everything."""
        self._executor.shutdown()
        self.destroy_node()

    def _spin(self, seconds: float) -> None:
        if not self.context.ok():
            raise ExternalShutdownException
        self._executor.spin_once(timeout_sec=max(0.0, seconds))

    def _spin_until(self, due_ns: int) -> None:
        # At least once: a late player must receive fused images, too.
        wait_s = 0.0
        while True:
            self._spin(wait_s)
            wait_s = (due_ns - time.time_ns()) / NS_PER_S
            if wait_s <= 0:
                return

    def _settled(self, wanted: Mapping[str, int]) -> Counts:
        """Return the node's counts once every sent frame has a fate, or they stopped changing."""
        asked_ns, until = time.time_ns(), time.monotonic() + _SETTLE_S
        self._at_rest = before = None
        while True:
            status = self._status
            while self._status is status and time.monotonic() < until:
                self._spin(0.1)
            counts = _counts(self._status)
            done = all(
                not of_stream["pending"] and of_stream["received"] >= wanted.get(name, 0)
                for name, of_stream in counts.items()
            )
            new = _nanoseconds(self._status.header.stamp) > asked_ns
            if new and done:
                self._at_rest = counts  # unchanged until frames are sent again
                return counts
            if (new and counts == before) or time.monotonic() >= until:
                return counts
            before = counts

    def _fused_callback(self) -> Callable[..., None]:
        if has_message_info():
            return self._take_fused
        warning_line(self)(
            "this rclpy has no message info (as in Humble); ages are measured to the arrival of "
            "the fused image and include its transport"
        )
        return lambda cdr: self._take_fused(cdr, {"source_timestamp": 0})

    def _take_fused(self, cdr: bytes, info: dict[str, int]) -> None:
        if self._pass is not None:
            published_ns = info["source_timestamp"] or time.time_ns()
            self._pass.returned(stamp_of(cdr), published_ns)

    def _keep_status(self, status: Any) -> None:
        self._status = status


def _serialised(frame: RecordedFrame) -> bytes:
    """Return a message with the pixels of a frame that was not recorded as a ROS 2 message."""
    pixels = frame.read()
    header = Header(stamp=Time(), frame_id=f"{frame.stream.value}_camera")
    return serialize_message(encode_image(pixels.pixels, pixels.order, encoding_of(pixels), header))


def _counts(status: Any) -> Counts:
    return {
        stream.value: {name: int(getattr(status, f"{stream.value}_{name}")) for name in NODE_COUNTS}
        for stream in Stream
    }


def _nanoseconds(stamp: Time) -> int:
    return stamp.sec * NS_PER_S + stamp.nanosec


def main(args: list[str] | None = None) -> int:
    """Play; see the module for the exit codes."""
    tune_process()
    try:
        rclpy.init(args=args)
    except KeyboardInterrupt:
        return 1
    options, values = _parameters()
    recording = player = replay = None
    try:
        recording = open_recording(
            Path(options["recording"]),
            partner=Path(options["thermal"]) if options["thermal"] else None,
            visible_topic=options["visible_topic"] or None,
            thermal_topic=options["thermal_topic"] or None,
            rate_hz=options["frame_rate_hz"] or None,
        )
        player = BagPlayer(recording, values)
        replay = LiveReplay(
            player,
            recording,
            values,
            _serialised,
            rate=options["rate"],
            search_s=options["search_s"],
            most_frames=options["most_frames"],
        )
        replay.run()
    except (RecordingError, OSError) as error:
        say(f"live: cannot play: {error}")
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        ignore_further_signals()
        if replay is not None:
            replay.write(Path(options["out"]))
        if recording is not None:
            recording.close()
        with limited_clean_up():
            if player is not None:
                player.close()
            rclpy.try_shutdown()
    return 0 if replay is not None and replay.result["complete"] else 1


def _parameters() -> tuple[dict[str, Any], FuseParameters]:
    """Return the player's options, and the fuse node's parameters from JSON text in `fuse`."""
    node = Node("bag_player_options")
    defaults = {
        "recording": "", "thermal": "", "visible_topic": "", "thermal_topic": "", "out": ".",
        "frame_rate_hz": 0.0, "rate": 1.0, "search_s": 6.0, "most_frames": 0, "fuse": "{}",
    }  # fmt: skip
    options: dict[str, Any] = {
        name: node.declare_parameter(name, value).value for name, value in defaults.items()
    }
    node.destroy_node()
    return options, FuseParameters.from_values(json.loads(options["fuse"]))


if __name__ == "__main__":
    sys.exit(main())
