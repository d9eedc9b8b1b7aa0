# SPDX-License-Identifier: Apache-2.0
"""Recordings on disk: files of bags, read completely or with a report of what is missing."""
