# SPDX-License-Identifier: Apache-2.0
"""Calibration from recorded pairs: coarse search, refinement, verdict."""
