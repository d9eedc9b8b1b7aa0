# SPDX-License-Identifier: Apache-2.0
"""Process: a visible and a thermal camera with little processor load.

    python -m benchmarks.field.cameras --out FILE [--rate 30] [--seconds 60] [--size 640x512]

Publishes prepared images, both of a pair with one stamp, and writes a CSV: stamp, monotonic times
of begin and end of each publish, and the number of published frames of each camera. Starts when a
node has subscribed. With `--lossy` frames are lost, delayed and duplicated; with `--numbered` the
number of the row is drawn into both images (see `strip`).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from benchmarks.field import strip
from benchmarks.field.lossy import Lossy
from fusion_ros.files.tables import new_table
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.nodes.runtime.process_tuning import tune_process
from fusion_ros.nodes.runtime.subscription import image_quality

PICTURES = 8
COLUMNS = (
    "stamp_ns",
    "visible_sent_ns",
    "thermal_sent_ns",
    "thermal_done_ns",
    "visible_passed",
    "thermal_passed",
)
START_TIMEOUT_S = 90.0


def drawn(height: int, width: int) -> list[tuple[Image, Image]]:
    """Return colour and 16-bit thermal messages of a moving scene."""
    rng = np.random.default_rng(1)
    soft = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), width / 20)
    warm = 29500 + soft / soft.std() * 300 + rng.normal(size=soft.shape) * 4
    warm[height // 3 : height // 3 + 20, width // 2 : width // 2 + 12] = 31000
    colour = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2)

    def message(pixels: np.ndarray, order: ChannelOrder, encoding: str) -> Image:
        # A header of its own: a delayed frame keeps its stamp.
        return encode_image(pixels, order, encoding, Header(frame_id="camera"))

    return [
        (
            message(np.roll(colour, 5 * n, axis=1), ChannelOrder.RGB, "rgb8"),
            message(np.roll(warm, 5 * n, axis=1).astype(np.uint16), ChannelOrder.GREY, "mono16"),
        )
        for n in range(PICTURES)
    ]


def _pixels(message: Image) -> np.ndarray:
    """Return a view on the message's memory, HxWxC or HxW."""
    kind = np.uint16 if message.encoding == "mono16" else np.uint8
    flat = np.frombuffer(message.data, kind)
    return flat.reshape(message.height, message.width, -1).squeeze()


def main() -> int:
    """Publish for `--seconds`; return 1 if no node subscribes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", default="640x512")
    parser.add_argument("--reliability", default="best_effort")
    parser.add_argument("--lossy", type=int, metavar="SEED")
    parser.add_argument("--numbered", action="store_true")
    args = parser.parse_args(remove_ros_args(sys.argv)[1:])
    width, height = (int(n) for n in args.size.split("x"))
    tune_process()
    rclpy.init()
    node = Node("cameras")
    quality = image_quality(args.reliability)
    visible = node.create_publisher(Image, "visible/image_raw", quality)
    thermal = node.create_publisher(Image, "thermal/image_raw", quality)
    pictures = drawn(height, width)
    end_s = time.monotonic() + START_TIMEOUT_S
    while not (visible.get_subscription_count() and thermal.get_subscription_count()):
        if time.monotonic() > end_s:
            return 1
        time.sleep(0.05)
    time.sleep(2.5)  # a node that adapts to the reliability subscribes again within this time
    with new_table(args.out) as rows:
        rows.write(COLUMNS)
        links = [None if args.lossy is None else Lossy(args.lossy + n) for n in range(2)]
        begun_ns, clock_ns = time.monotonic_ns(), time.time_ns()
        for number in range(round(args.rate * args.seconds)):
            due_ns = begun_ns + round(number * 1e9 / args.rate)
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            colour, warm = pictures[number % PICTURES]
            # Stamps of numbered frames are one period apart even if this process is late.
            stamp_ns = clock_ns + due_ns - begun_ns if args.numbered else time.time_ns()
            for message in (colour, warm):
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
            if args.numbered:
                strip.write(_pixels(colour), number, strip.VISIBLE_ROW, dark=20, bright=235)
                strip.write(_pixels(warm), number, strip.THERMAL_ROW, dark=29000, bright=30500)
            times = []
            for publisher, link, message in zip(
                (visible, thermal), links, (colour, warm), strict=True
            ):
                times.append(time.monotonic_ns())
                for arrived in (message,) if link is None else link.arrivals(message):
                    publisher.publish(arrived)
            passed = [number + 1 if link is None else link.passed for link in links]
            rows.write((stamp_ns, *times, time.monotonic_ns(), *passed))
    time.sleep(1.0)  # deliver the last frames before the topics are removed
    node.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
