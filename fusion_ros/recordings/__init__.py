# SPDX-License-Identifier: Apache-2.0
"""Pairs on disk: bags, pictures and videos, read completely or with a report of the rest."""
