# SPDX-License-Identifier: Apache-2.0
"""Two time-stamped streams and what is known of them; no ROS, no threads of its own."""
