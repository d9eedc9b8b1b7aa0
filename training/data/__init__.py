# SPDX-License-Identifier: Apache-2.0
"""Pairs of the data sets: finding, reading, packing, sampling and augmentation."""
