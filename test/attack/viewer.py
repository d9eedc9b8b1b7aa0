# SPDX-License-Identifier: Apache-2.0
"""Process: a subscriber of the fused image that the attack stops and kills.

python viewer.py [reliable | best_effort]
"""

from __future__ import annotations

import sys

import rclpy
from sensor_msgs.msg import Image

from fusion_ros.nodes.runtime.subscription import image_quality


def main() -> int:
    """Spin until the process ends."""
    rclpy.init()
    node = rclpy.create_node("viewer")
    quality = image_quality(sys.argv[1] if len(sys.argv) > 1 else "reliable", depth=5)
    node.create_subscription(Image, "fused/image_raw", lambda message: None, quality)
    print("subscribed", flush=True)
    rclpy.spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
