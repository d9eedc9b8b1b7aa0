# SPDX-License-Identifier: Apache-2.0
"""Codes of all findings; imports nothing, so that a gate is checked quickly."""

from __future__ import annotations

INCOMPLETE = frozenset(
    {"damaged_file", "missing_messages", "no_frames", "damaged_messages", "wrong_encoding"}
)
"""Findings that prevent the verdict "passed": part of the recording was not read."""

BY_QUESTION = {
    "recording": (
        "damaged_file", "missing_messages", "no_frames", "unfinished_recording", "bag_metadata",
        "partial", "swapped_topics", "swapped_inputs", "same_picture", "wrong_encoding",
        "damaged_messages", "visible_not_8_bit", "wrong_byte_order", "format_changed",
        "thermal_shows_colours", "radiometric_rendering", "engine_error", "unusable_pair",
    ),
    "time": (
        "zero_stamps", "bad_stamps", "time_jumped_back", "constant_offset", "offset_in_images",
        "missing_visible_frames", "missing_thermal_frames", "unpaired_visible_frames",
        "unpaired_thermal_frames", "stall", "duplicate_frames", "late_frames", "doubtful_pairing",
    ),
    "geometry": ("misaligned", "doubtful_calibration"),
    "exposure": (
        "gain_jump", "exposure_jump", "repeated_frames", "frozen", "shutter", "flicker",
        "thermal_constant", "fused_constant", "fused_is_visible",
        "implausible_temperatures",
    ),
    "detectors": (),
}  # fmt: skip
"""Findings of a replay by the question about the rig that they answer, see `replay.rig`."""

OFFLINE = tuple(code for codes in BY_QUESTION.values() for code in codes)
LIVE = ("counts_do_not_add_up", "lost_on_the_wire", "frames_lost", "player_behind")
"""Additional findings of a replay with --live."""

CODES = (*OFFLINE, *LIVE)
