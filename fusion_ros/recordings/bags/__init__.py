# SPDX-License-Identifier: Apache-2.0
"""ROS bags: readers of mcap, sqlite3 and ROS 1 files, also damaged ones, and a writer."""
