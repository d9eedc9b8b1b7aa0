# SPDX-License-Identifier: Apache-2.0
"""Calibration: files, imports, and estimation from a board or from recorded pairs.

This package builds on `imaging` and `registration`.
"""
