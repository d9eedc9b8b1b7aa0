# SPDX-License-Identifier: Apache-2.0
"""Process life cycle, executor, QoS, message codec and rclpy compatibility of all nodes."""
