# SPDX-License-Identifier: Apache-2.0
"""Counts and measurements of the fuse node, as status, diagnostics, trace and log lines."""
