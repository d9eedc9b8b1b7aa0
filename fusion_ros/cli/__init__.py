# SPDX-License-Identifier: Apache-2.0
"""The command `fusion-ros`, for people at a desk."""
