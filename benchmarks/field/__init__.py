# SPDX-License-Identifier: Apache-2.0
"""The node among other processes: cameras, fuse node and listener, for latency and soak."""
