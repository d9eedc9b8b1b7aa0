# SPDX-License-Identifier: Apache-2.0
"""Process life cycle, executor and logs: shared by all nodes."""
