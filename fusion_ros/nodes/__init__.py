# SPDX-License-Identifier: Apache-2.0
"""The ROS side: the fuse node, the synthetic camera, the recorder. Only this room imports rclpy."""
