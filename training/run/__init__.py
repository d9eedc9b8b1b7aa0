# SPDX-License-Identifier: Apache-2.0
"""Parts of a training run: folder, step, compiling, progress and validation."""
