# SPDX-License-Identifier: Apache-2.0
"""Units of stamps, which are integers in nanoseconds."""

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
