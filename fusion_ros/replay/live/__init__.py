# SPDX-License-Identifier: Apache-2.0
"""Live replay: a recording is played through DDS into a fuse node, in real time, and measured.

This package does not import rclpy; `fusion_ros/nodes/bag_player.py` sends the messages.
"""
