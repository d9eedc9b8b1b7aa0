# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one file that opens anywhere, with all that a person wants to see of a replay."""

from __future__ import annotations

from fusion_ros.replay.report.material import Material
from fusion_ros.replay.report.page import write_report

__all__ = ["Material", "write_report"]
