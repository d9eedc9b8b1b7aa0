# SPDX-License-Identifier: Apache-2.0
"""What the fuse node counts and measures, as status, diagnostics, trace and log lines."""
