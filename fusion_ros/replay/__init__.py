# SPDX-License-Identifier: Apache-2.0
"""Offline evaluation of recordings: pairing and fusion, findings, gate, comparison and report.

Needs no ROS installation.
"""
