# SPDX-License-Identifier: Apache-2.0
"""Options of the registration; importing this module needs no OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.options import Options, option

MODES = ("none", "resize", "homography", "calibrated")
SOURCES = ("file", "camera_info", "tf")


@dataclass(frozen=True)
class RegistrationOptions(Options):
    """How thermal frames are warped onto the visible grid.

    A live source (`is_live`) needs a caller that supplies the calibration while frames arrive; see
    `fusion_ros.calibration.live_rig`.

    Raises:
        ValueError: an option outside what is allowed, with its name and value.
    """

    mode: str = option(
        "resize",
        "How thermal frames are warped onto the visible grid. `none`: not at all, both cameras "
        "must have the same size. `resize`: stretched to the visible size. `homography`: by the "
        "3x3 matrix in `calibration_file`. `calibrated`: by the geometry of both cameras, exact "
        "on a plane at `distance_m`.",
        choices=MODES,
    )
    calibration_file: str = option(
        "",
        "Path of the YAML calibration file for the modes `homography` and `calibrated`; see "
        "docs/explanation/calibration.md.",
    )
    source: str = option(
        "file",
        "Source of the geometry in mode `calibrated`. `file`: all of it from `calibration_file`. "
        "`camera_info`: intrinsics from both cameras' camera_info topics, their relative pose "
        "from the file. `tf`: intrinsics from camera_info, the relative pose from /tf and "
        "/tf_static, no file. Until all of it has arrived, the thermal camera counts as lost.",
        choices=SOURCES,
    )
    distance_m: float = option(
        0.0,
        "Distance of the plane on which mode `calibrated` is exact. 0 takes the value in the "
        "calibration file; source `tf` has no file and needs a value here.",
        within=(0.0, 1e6),
    )
    feather_percent: float = option(
        5.0,
        "Width of the seam where the thermal image ends inside the visible one [percent of the "
        "visible width]. Thermal detail fades out over it, brightness over four times as much. "
        "0 gives a hard edge.",
        within=(0.0, 50.0),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_live and self.mode != "calibrated":
            raise ValueError(
                f"source is {self.source!r} and mode is {self.mode!r}; sources other than 'file' "
                "need mode 'calibrated'"
            )
        if self.source == "tf" and self.calibration_file:
            raise ValueError(
                f"source is 'tf' and calibration_file is {self.calibration_file!r}; use source "
                "'camera_info' to take the relative pose from a file, or leave calibration_file "
                "empty"
            )
        if self.source == "tf" and self.distance_m == 0:
            raise ValueError(
                "source is 'tf' and distance_m is 0; set distance_m to the distance [m] at which "
                "both images must coincide"
            )

    @property
    def is_live(self) -> bool:
        """Whether the calibration, or a part of it, arrives while running."""
        return self.source != "file"
