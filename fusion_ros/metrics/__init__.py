# SPDX-License-Identifier: Apache-2.0
"""Fusion quality measures: pure functions on NCHW float tensors in [0, 1]."""

from fusion_ros.metrics.quality_index import edge_image, qe, qw, sobel_magnitude

__all__ = ["edge_image", "qe", "qw", "sobel_magnitude"]
