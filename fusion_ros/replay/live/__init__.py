# SPDX-License-Identifier: Apache-2.0
"""A recording played in time through DDS into the real fuse node, and what that shows.

No rclpy here: `fusion_ros/nodes/bag_player.py` does the playing.
"""
