# SPDX-License-Identifier: Apache-2.0
"""`report.html`: the results of a replay on one page, without other files."""

from __future__ import annotations

from fusion_ros.replay.report.material import Material
from fusion_ros.replay.report.page import write_report

__all__ = ["Material", "write_report"]
