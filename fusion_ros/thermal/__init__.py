# SPDX-License-Identifier: Apache-2.0
"""Thermal counts to grey levels: units, tone curves, smoothing, gain jumps, sensor defects."""
