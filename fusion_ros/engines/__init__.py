# SPDX-License-Identifier: Apache-2.0
"""How the network runs: engines take and give `uint8` pictures and hide everything in between.

This room knows devices, number formats and warm-up. It knows nothing of colour, thermal scales or
ROS.
"""
