# SPDX-License-Identifier: Apache-2.0
"""Process: a visible and a thermal camera with little processor load.

    python -m benchmarks.field.cameras --out FILE [--rate 30] [--seconds 60] [--size 640x512]

Publishes prepared images, both of a pair with one stamp, and writes a CSV: stamp, monotonic
times of begin and end of each publish, and the number of messages of each camera so far. Starts
when a node has subscribed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fusion_ros.engines.parity import golden_pair
from fusion_ros.files.tables import new_table
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.nodes.runtime.process_tuning import tune_process
from fusion_ros.nodes.runtime.subscription import image_quality

PICTURES = 8
COLUMNS = (
    "stamp_ns", "visible_sent_ns", "thermal_sent_ns", "thermal_done_ns",
    "visible_passed", "thermal_passed",
)  # fmt: skip
START_TIMEOUT_S = 90.0


def drawn(height: int, width: int) -> list[tuple[Image, Image]]:
    """Return colour and 16-bit thermal messages of a moving scene."""
    colour, grey = golden_pair(height, width, 3)
    warm = grey.astype(np.uint16) * 8 + 29_000

    def message(pixels: np.ndarray, order: ChannelOrder, encoding: str) -> Image:
        return encode_image(pixels, order, encoding, Header(frame_id="camera"))

    return [
        (
            message(np.roll(colour, 5 * n, axis=1), ChannelOrder.RGB, "rgb8"),
            message(np.roll(warm, 5 * n, axis=1), ChannelOrder.GREY, "mono16"),
        )
        for n in range(PICTURES)
    ]


def main(
    mark: Callable[[Image, Image, int], object] = lambda visible, thermal, number: None,
    links: Sequence[Callable[[Image], Iterable[Image]]] = (lambda message: [message],) * 2,
) -> int:
    """Publish for `--seconds`; return 1 if no node subscribes.

    Args:
        mark: called with each pair and its number before they are published.
        links: yield the messages that are published in place of one; for each camera.
    """
    args = _arguments()
    width, height = (int(n) for n in args.size.split("x"))
    tune_process()
    rclpy.init()
    node = Node("cameras")
    quality = image_quality("best_effort")
    publishers = [
        node.create_publisher(Image, f"{modality}/image_raw", quality)
        for modality in ("visible", "thermal")
    ]
    pictures = drawn(height, width)
    end_s = time.monotonic() + START_TIMEOUT_S
    while not all(publisher.get_subscription_count() for publisher in publishers):
        if time.monotonic() > end_s:
            return 1
        time.sleep(0.05)
    time.sleep(2.5)  # the node adapts to the reliability and subscribes again within this time
    begun_ns, clock_ns = time.monotonic_ns(), time.time_ns()
    passed = [0, 0]
    with new_table(args.out) as rows:
        rows.write(COLUMNS)
        for number in range(round(args.rate * args.seconds)):
            due_ns = begun_ns + round(number * 1e9 / args.rate)
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            pair = pictures[number % PICTURES]
            stamp_ns = clock_ns + due_ns - begun_ns  # one period apart even if this process is late
            mark(*pair, number)
            for message in pair:
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
            times = []
            for camera, message in enumerate(pair):
                times.append(time.monotonic_ns())
                for arrived in links[camera](message):
                    publishers[camera].publish(arrived)
                    passed[camera] += 1
            rows.write((stamp_ns, *times, time.monotonic_ns(), *passed))
    time.sleep(1.0)  # deliver the last frames before the topics are removed
    node.destroy_node()
    rclpy.shutdown()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", default="640x512")
    return parser.parse_args(remove_ros_args(sys.argv)[1:])


if __name__ == "__main__":
    sys.exit(main())
