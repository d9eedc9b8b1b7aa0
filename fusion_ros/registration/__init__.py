# SPDX-License-Identifier: Apache-2.0
"""Registration: geometry of the two cameras, warping, seam and alignment monitor."""
