# SPDX-License-Identifier: Apache-2.0
"""The fusion network, its presets, its exact form for inference, and weights files.

This package handles tensors. It has no code for image files, cameras or ROS.
"""
