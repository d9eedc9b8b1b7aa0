# SPDX-License-Identifier: Apache-2.0
"""The training workspace: data sets, losses, the run, evaluation and export of weights."""
