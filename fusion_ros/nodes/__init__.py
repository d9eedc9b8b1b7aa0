# SPDX-License-Identifier: Apache-2.0
"""ROS nodes: fuse node, synthetic camera, recorder, bag player; only this package imports rclpy."""
