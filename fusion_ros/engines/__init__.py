# SPDX-License-Identifier: Apache-2.0
"""Inference back ends: `uint8` images in, `uint8` images out.

This package handles devices, number formats and warm-up. It has no code for colour, thermal scales
or ROS.
"""
