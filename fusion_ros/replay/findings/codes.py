# SPDX-License-Identifier: Apache-2.0
"""Codes of all findings for gates; imports nothing, so that a gate is checked quickly."""

from __future__ import annotations

INCOMPLETE = frozenset(
    {"damaged_file", "missing_messages", "no_frames", "damaged_messages", "wrong_encoding"}
)
"""Findings that prevent the verdict "passed": part of the recording was not read."""

OFFLINE = (
    "damaged_file", "missing_messages", "no_frames", "unfinished_recording", "bag_metadata",
    "partial", "swapped_topics", "wrong_encoding", "damaged_messages", "zero_stamps", "shutter",
    "visible_not_8_bit", "engine_error", "unusable_pair", "wrong_byte_order", "format_changed",
    "time_jumped_back", "constant_offset", "offset_in_images", "missing_visible_frames",
    "missing_thermal_frames", "unpaired_visible_frames", "unpaired_thermal_frames", "stall",
    "duplicate_frames", "late_frames", "gain_jump", "exposure_jump", "repeated_frames",
    "misaligned", "flicker", "doubtful_pairing", "same_picture", "radiometric_rendering",
    "fused_constant", "fused_is_visible", "thermal_constant", "thermal_shows_colours",
    "swapped_inputs", "doubtful_calibration", "frozen", "bad_stamps",
)  # fmt: skip
"""Findings of a replay."""

LIVE = ("counts_do_not_add_up", "lost_on_the_wire", "frames_lost", "player_behind")
"""Additional findings of a replay with --live."""

CODES = (*OFFLINE, *LIVE)
