# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay`, offline and live."""
