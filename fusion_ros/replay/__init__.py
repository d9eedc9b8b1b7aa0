# SPDX-License-Identifier: Apache-2.0
"""A recording in, a verdict out: reads bags, folders and videos, and drives pairer and pipeline.

Knows nothing of a live ROS; `rosbags` reads the bags and is imported where a bag is opened.
"""
