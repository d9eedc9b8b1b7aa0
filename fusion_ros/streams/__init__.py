# SPDX-License-Identifier: Apache-2.0
"""From two time-stamped streams to pairs, with accounting; no ROS, no threads of its own."""
