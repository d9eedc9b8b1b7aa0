# SPDX-License-Identifier: Apache-2.0
"""Which topics belong to an image topic, by image_transport's rules."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode

COMPRESSED = "/compressed"


def camera_info_topic(node: LifecycleNode, stream: str) -> str:
    """`STREAM/camera_info` where that was remapped, else the one beside the image topic.

    Whoever remaps the image alone means the camera it belongs to.
    """
    name = f"{stream}/camera_info"
    remapped = node.resolve_topic_name(name)
    if remapped != node.resolve_topic_name(name, only_expand=True):
        return remapped
    image = node.resolve_topic_name(f"{stream}/image_raw").removesuffix(COMPRESSED)
    return image.rpartition("/")[0] + "/camera_info"
