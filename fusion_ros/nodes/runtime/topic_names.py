# SPDX-License-Identifier: Apache-2.0
"""Topics that belong to an image topic, by the rules of image_transport."""

from __future__ import annotations

from rclpy.node import Node

COMPRESSED = "/compressed"


def camera_info_topic(node: Node, stream: str) -> str:
    """Return `STREAM/camera_info` where that is remapped, else the topic beside the image topic.

    A remapping of the image alone selects its camera, including the camera_info.
    """
    name = f"{stream}/camera_info"
    remapped = node.resolve_topic_name(name)
    if remapped != node.resolve_topic_name(name, only_expand=True):
        return remapped
    image = node.resolve_topic_name(f"{stream}/image_raw").removesuffix(COMPRESSED)
    return image.rpartition("/")[0] + "/camera_info"
