# SPDX-License-Identifier: Apache-2.0
"""Synthetic camera: publishes a rendered street as a camera driver does.

Publishes `<modality>/image_raw` and `<modality>/camera_info`, stamped by the node's clock. The time
of the scene is the stamp minus `epoch_s`, so that two cameras of either modality show the same
moments.

    ros2 run fusion_ros synthetic_camera --ros-args -p modality:=thermal -p rate_hz:=9.0
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, ClassVar

import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.nodes.runtime.log_lines import info_line
from fusion_ros.nodes.runtime.node_process import run_node
from fusion_ros.nodes.runtime.parameter_server import declare
from fusion_ros.nodes.runtime.subscription import image_quality
from fusion_ros.nodes.runtime.topic_names import camera_info_topic
from fusion_ros.outside_text import printable
from fusion_ros.parameters import ParameterError
from fusion_ros.parameters.specification import parameter, specs_of
from fusion_ros.synthetic import Scene
from fusion_ros.synthetic.exposures import Exposure, ExposureTimer
from fusion_ros.synthetic.rig import seen_by_thermal_camera
from fusion_ros.synthetic.scene import MAX_SIDE, MIN_SIDE

ENCODINGS = {
    "visible": ("rgb8", "bgr8", "mono8"),
    "thermal": ("mono16", "16UC1", "32FC1", "mono8"),
}


@dataclasses.dataclass(frozen=True)
class CameraParameters:
    """Parameters of a synthetic camera."""

    group: ClassVar[str] = "Camera"

    modality: str = parameter("visible", "Modality of the camera.", choices=tuple(ENCODINGS))
    rate_hz: float = parameter(30.0, "Images per second.", within=(0.01, 1000.0))
    width: int = parameter(640, "Width of the image in pixels.", within=(MIN_SIDE, MAX_SIDE))
    height: int = parameter(480, "Height of the image in pixels.", within=(MIN_SIDE, MAX_SIDE))
    encoding: str = parameter(
        "",
        "Encoding. visible: rgb8, bgr8, mono8. thermal: mono16 and 16UC1 (centikelvin), 32FC1 "
        "(degrees Celsius), mono8 (5 to 40 degrees Celsius). Empty: the first one.",
    )
    seed: int = parameter(
        7,
        "Seed of the scene and of all random numbers; both cameras need the same one.",
        within=(0, 2**31),
    )
    offset_ms: float = parameter(0.0, "Constant error of the stamps in milliseconds.")
    jitter_ms: float = parameter(
        0.0,
        "Standard deviation of the stamps' random error in milliseconds.",
        within=(0.0, 1e6),
    )
    drop_ratio: float = parameter(0.0, "Share of the images that are dropped.", within=(0.0, 1.0))
    frame_id: str = parameter("", "Frame id of the header. Empty: <modality>_camera.")
    max_frames: int = parameter(
        0, "Number of images after which the node ends. 0: no end.", within=(0, 2**31)
    )
    aligned: bool = parameter(
        True,
        "false: the thermal camera is beside the visible one, rotated and with a longer lens; "
        "config/demo_calibration.yaml has the calibration.",
    )
    epoch_s: float = parameter(0.0, "Time of the clock at which the scene begins, in seconds.")
    reliability: str = parameter(
        "best_effort", "Reliability of the publishers.", choices=("best_effort", "reliable")
    )


class SyntheticCamera(Node):
    """Node that renders an image ahead of time and publishes it when it is due.

    Raises:
        ParameterError: a parameter has a value that is not allowed.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("synthetic_camera", **kwargs)
        values = CameraParameters(**declare(self, specs_of(CameraParameters), read_only=True))
        self.modality = values.modality
        allowed = ENCODINGS[values.modality]
        self.encoding = values.encoding or allowed[0]
        if self.encoding not in allowed:
            raise ParameterError(
                f"parameter encoding is {printable(repr(self.encoding))}; allowed: "
                f"{', '.join(allowed)}"
            )
        self.reliability = values.reliability
        self.max_frames = values.max_frames
        self._askew = self.modality == "thermal" and not values.aligned
        self.published = 0
        self._epoch_ns = round(values.epoch_s * 1e9)
        self._frame_id = values.frame_id or f"{self.modality}_camera"
        self._scene = Scene(values.width, values.height, seed=values.seed)
        self._exposures = ExposureTimer(
            values.rate_hz,
            offset_ms=values.offset_ms,
            jitter_ms=values.jitter_ms,
            drop_ratio=values.drop_ratio,
            seed=values.seed + (self.modality == "thermal"),
        )
        self._info = _camera_info(values.width, values.height)
        quality = image_quality(self.reliability)
        self._images = self.create_publisher(Image, f"{self.modality}/image_raw", quality)
        self._infos = self.create_publisher(
            CameraInfo, camera_info_topic(self, self.modality), quality
        )
        info_line(self)(
            f"{self.modality} camera on {self._images.topic_name}: {values.width} x "
            f"{values.height} {self.encoding} at {values.rate_hz:g} Hz, {self.reliability}"
        )

    def run(self, executor: SingleThreadedExecutor) -> None:
        """Publish until `max_frames` or a shutdown, and serve callbacks meanwhile."""
        now = self._now()
        while self.context.ok() and not 0 < self.max_frames <= self.published:
            exposure = self._exposures.next_after(now)
            if not exposure.dropped:
                image = self._take(exposure)
            now = self._wait_until(exposure.due_ns, executor)
            if not self.context.ok():
                return
            # Later ones are left out: the clock jumped, or this machine is overloaded.
            if not exposure.dropped and now - exposure.due_ns <= 5e8:
                self._images.publish(image)
                self._info.header = image.header
                self._infos.publish(self._info)
                self.published += 1

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _wait_until(self, due_ns: int, executor: SingleThreadedExecutor) -> int:
        """Serve callbacks until `due_ns` and return the time of the clock."""
        began = now = self._now()
        # A clock set back (simulated time) would make this endless; then return at once.
        while self.context.ok() and began <= now < due_ns:
            executor.spin_once(timeout_sec=min(0.05, max(0.0, (due_ns - now) / 1e9)))
            now = self._now()
        return now

    def _take(self, exposure: Exposure) -> Image:
        seconds = (exposure.due_ns - self._epoch_ns) / 1e9
        if self._epoch_ns == 0:
            seconds %= 3600.0
        if self.modality == "visible":
            pixels = self._scene.visible(seconds)
        else:
            counts = self._scene.thermal(seconds)
            if self._askew:
                counts = seen_by_thermal_camera(counts)
            pixels = _in_encoding(counts, self.encoding)
        stamp = Time(nanoseconds=max(0, exposure.stamp_ns)).to_msg()
        header = Header(stamp=stamp, frame_id=self._frame_id)
        return encode_image(pixels, ChannelOrder.RGB, self.encoding, header)


def _in_encoding(centikelvin: np.ndarray, encoding: str) -> np.ndarray:
    if encoding == "32FC1":
        return (centikelvin / np.float32(100.0) - np.float32(273.15)).astype(np.float32)
    if encoding == "mono8":
        shade = (centikelvin.astype(np.float32) - 27815.0) * (255.0 / 3500.0)
        return np.clip(shade, 0, 255).astype(np.uint8)
    return centikelvin


def _camera_info(width: int, height: int) -> CameraInfo:
    """Return a pinhole camera with 53 degrees horizontal field of view and no distortion."""
    focal, x, y = float(width), width / 2 - 0.5, height / 2 - 0.5
    info = CameraInfo()
    info.width, info.height = width, height
    info.distortion_model = "plumb_bob"
    info.d = [0.0] * 5
    info.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def main(args: list[str] | None = None) -> int:
    """Run the camera; return 0 after its end or a stop, 2 for an unusable parameter."""

    def work(camera: SyntheticCamera, executor: SingleThreadedExecutor) -> int:
        camera.run(executor)
        return 0

    return run_node(
        "synthetic_camera", SyntheticCamera, work, args=args, refusals=(ParameterError,)
    )


if __name__ == "__main__":
    sys.exit(main())
