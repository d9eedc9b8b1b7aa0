# SPDX-License-Identifier: Apache-2.0
"""The calibration file: versioned YAML, checked on reading (docs/how-to/calibrate.md)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fusion_ros.files.reading import MalformedFileError, UnreadableFileError, parse_yaml, read_bytes
from fusion_ros.files.writing import write_text
from fusion_ros.outside_text import printable
from fusion_ros.registration.geometry import (
    Calibration,
    CameraModel,
    GeometryError,
    HomographyCalibration,
    RigCalibration,
    Size,
)
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration

VERSION = 1
_VERSION_KEY = "fusion_ros_calibration"


class CalibrationFileError(ValueError):
    """A calibration file that cannot be used; the text names the file, the entry and the fix."""


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration file.

    Raises:
        CalibrationFileError: missing, unreadable, of another version, incomplete or contradictory.
    """
    path = Path(path)
    content = read_yaml(path)
    version = content.pop(_VERSION_KEY, None)
    if version != VERSION:
        raise CalibrationFileError(
            f"{path}: {_VERSION_KEY} is {printable(repr(version))}; allowed is {VERSION}. For a "
            "camchain or camera_info files, run `fusion-ros calibrate --import-kalibr` (or "
            "--import-camera-info) first"
        )
    content.pop("quality", None)
    content.pop("note", None)
    with errors_of(path):
        for name, parse in (("homography", _homography), ("rig", _rig)):
            if set(content) == {name}:
                entries = _Entries(content[name], name)
                calibration: Calibration = parse(entries)
                entries.done()
                return calibration
        raise GeometryError(
            f"entries are {sorted(map(str, content))}; allowed is one of homography and rig, "
            "beside quality and note"
        )


def save_calibration(
    path: str | Path, calibration: Calibration, *, quality: Mapping[str, Any] | None = None
) -> None:
    """Write a calibration file. `quality` is stored for users; no program reads it."""
    content: dict[str, Any] = {_VERSION_KEY: VERSION}
    if isinstance(calibration, HomographyCalibration):
        content["homography"] = {
            "thermal_to_visible": _numbers(calibration.matrix),
            "thermal_size": [calibration.thermal_size.width, calibration.thermal_size.height],
            "visible_size": [calibration.visible_size.width, calibration.visible_size.height],
            "exact_distance_m": float(calibration.exact_distance_m),
        }
    else:
        content["rig"] = {
            "visible": _camera_entry(calibration.visible),
            "thermal": _camera_entry(calibration.thermal),
            "visible_to_thermal": {
                "rotation": _numbers(calibration.rotation),
                "translation_m": _numbers(calibration.translation_m),
            },
            "distance_m": float(calibration.distance_m),
        }
    if quality:
        content["quality"] = dict(quality)
    write_text(path, yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def make_registration(options: RegistrationOptions) -> ThermalRegistration:
    """Make the registration for these options, with their calibration file read.

    With live options it is not ready: `fusion_ros.calibration.live_rig` makes their calibration
    from live data and the `declared_parts`.

    Raises:
        CalibrationFileError: the file cannot be used.
        ValueError: the mode needs a file of its kind.
    """
    if options.is_live:
        declared_parts(options)  # report an unusable file now, not when the cameras have started
        return ThermalRegistration(options)
    if options.mode in ("none", "resize") or not options.calibration_file:
        return ThermalRegistration(options)
    calibration = load_calibration(options.calibration_file)
    try:
        return ThermalRegistration(options, calibration)
    except GeometryError as error:
        raise CalibrationFileError(f"{options.calibration_file}: {error}") from error


def declared_parts(
    options: RegistrationOptions,
) -> tuple[float, tuple[np.ndarray, np.ndarray] | None]:
    """Return the parts of a live calibration that are known beforehand.

    Returns:
        The distance of the plane in metres, and rotation and translation from visible to thermal,
        or None if they come from tf.

    Raises:
        CalibrationFileError: the file cannot be used.
        ValueError: source "camera_info" without a file that holds a rig.
    """
    if options.source == "tf":
        return options.distance_m, None
    if not options.calibration_file:
        raise ValueError(
            "source is 'camera_info' and calibration_file is empty; set it to a file with the "
            "transform between the cameras, or use source 'tf'"
        )
    rig = load_calibration(options.calibration_file)
    if not isinstance(rig, RigCalibration):
        raise ValueError(
            f"{options.calibration_file} holds a homography; source 'camera_info' needs a rig, "
            "which has the transform between the cameras"
        )
    return options.distance_m or rig.distance_m, (rig.rotation, rig.translation_m)


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn every error about the content of a file into a `CalibrationFileError` with its name.

    NumPy and OpenCV raise more than GeometryError for entries of other types and sizes:
    OverflowError for a number of 400 digits, TypeError, LinAlgError, cv2.error.
    """
    try:
        yield
    except Exception as error:
        text = printable(" ".join(str(error).split()), 400)
        if not isinstance(error, GeometryError):
            kind = type(error).__name__
            text = f"an entry is not of the expected type or size ({kind}: {text})"
        raise CalibrationFileError(f"{path}: {text}") from error


def read_yaml(path: Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> dict[str, Any]:
    """Read the mapping in a small YAML file.

    Raises:
        CalibrationFileError: missing, too large, no YAML, or no mapping.
    """
    try:
        data = read_bytes(path)
        # OpenCV writes a version line that is not valid YAML.
        data = data.removeprefix(b"%YAML:1.0\n").removeprefix(b"%YAML:1.0\r\n")
        content = parse_yaml(data, loader)
    except UnreadableFileError as error:
        raise CalibrationFileError(str(error)) from error
    except MalformedFileError as error:
        raise CalibrationFileError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise CalibrationFileError(f"{path}: holds {type(content).__name__}, not named entries")
    return content


class _Entries:
    """A mapping in which unknown entries are an error."""

    def __init__(self, content: Any, name: str) -> None:
        if not isinstance(content, dict):
            raise GeometryError(f"{name} is {content!r}; allowed are named entries")
        self._left, self._name = dict(content), name

    def take(self, key: str, *default: Any) -> Any:
        if key not in self._left and not default:
            raise GeometryError(f"{self._name}.{key} is missing")
        return self._left.pop(key, *default)

    def section(self, key: str) -> _Entries:
        return _Entries(self.take(key), f"{self._name}.{key}")

    def number(self, key: str, default: float) -> float:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise GeometryError(f"{self._name}.{key} is {value!r}; allowed is a number")
        return float(value)

    def size(self, key: str) -> Size:
        value = self.take(key)
        whole = isinstance(value, list) and len(value) == 2
        if not whole or not all(type(n) is int for n in value):
            raise GeometryError(f"{self._name}.{key} is {value!r}; allowed is [width, height]")
        return Size(*value)

    def done(self) -> None:
        if self._left:
            raise GeometryError(f"{self._name} has unknown entries {sorted(map(str, self._left))}")


def _homography(entries: _Entries) -> HomographyCalibration:
    return HomographyCalibration(
        entries.take("thermal_to_visible"),
        entries.size("thermal_size"),
        entries.size("visible_size"),
        entries.number("exact_distance_m", 0.0),
    )


def _rig(entries: _Entries) -> RigCalibration:
    transform = entries.section("visible_to_thermal")
    calibration = RigCalibration(
        _camera(entries.section("visible")),
        _camera(entries.section("thermal")),
        transform.take("rotation"),
        transform.take("translation_m"),
        entries.number("distance_m", 10.0),
    )
    transform.done()
    return calibration


def _camera(entries: _Entries) -> CameraModel:
    model, distortion = entries.take("distortion_model", "none"), entries.take("distortion", [])
    if not isinstance(distortion, list) or not all(type(n) in (int, float) for n in distortion):
        raise GeometryError(f"distortion is {distortion!r}; allowed is a list of numbers")
    camera = CameraModel(
        entries.size("size"), entries.take("camera_matrix"), str(model), tuple(distortion)
    )
    entries.done()
    return camera


def _numbers(values: np.ndarray) -> list:
    return np.asarray(values, np.float64).tolist()


def _camera_entry(camera: CameraModel) -> dict[str, Any]:
    return {
        "size": [camera.size.width, camera.size.height],
        "camera_matrix": _numbers(camera.matrix),
        "distortion_model": camera.distortion_model,
        "distortion": list(camera.distortion),
    }
