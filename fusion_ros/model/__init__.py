# SPDX-License-Identifier: Apache-2.0
"""What is computed: the fusion network, its presets, exact inference form and weights files.

This room knows tensors. It knows nothing of images on disk, of cameras or of ROS.
"""
