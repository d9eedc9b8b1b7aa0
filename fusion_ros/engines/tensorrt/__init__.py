# SPDX-License-Identifier: Apache-2.0
"""Inference on NVIDIA GPUs with TensorRT; engines are built ahead of time and kept in the cache."""
