# SPDX-License-Identifier: Apache-2.0
"""How two cameras that do not line up are brought together: files, imports, and the two ways to
find a calibration (from pairs of pictures as they come, or with a board).

Knows `imaging`, and nothing of networks or ROS.
"""
