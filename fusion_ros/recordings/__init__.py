# SPDX-License-Identifier: Apache-2.0
"""Recordings: bags, image folders and videos. Parts that cannot be read are reported as damage."""
