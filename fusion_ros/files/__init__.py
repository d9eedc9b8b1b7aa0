# SPDX-License-Identifier: Apache-2.0
"""Files read in one go and checked, files written whole or not at all. No pixels, no ROS."""
