# SPDX-License-Identifier: Apache-2.0
"""Attacks on the real program, by kind: `make attack`."""
