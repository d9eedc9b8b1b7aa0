# SPDX-License-Identifier: Apache-2.0
"""Import calibrations of other tools: Kalibr camchains, ROS camera_info files, OpenCV's files."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fusion_ros.calibration.files import errors_of, read_yaml
from fusion_ros.registration.geometry import CameraModel, GeometryError, RigCalibration, Size

_KALIBR_LENSES = {"radtan": "plumb_bob", "equidistant": "equidistant", "none": "none"}


class _OpenCvLoader(yaml.SafeLoader):
    """YAML with OpenCV's matrices."""


def _matrix(loader: _OpenCvLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    return loader.construct_mapping(node, deep=True)


_OpenCvLoader.add_constructor("tag:yaml.org,2002:opencv-matrix", _matrix)


def import_kalibr(
    path: str | Path, *, visible: str = "cam0", thermal: str = "cam1", distance_m: float = 10.0
) -> RigCalibration:
    """Read two cameras of a Kalibr camchain; they must be neighbours in the chain.

    Raises:
        CalibrationFileError: a camera is missing, its model is not supported, or the chain has no
            transform between the two.
    """
    path = Path(path)
    chain = read_yaml(path)
    with errors_of(path):
        cameras = {name: _kalibr_camera(chain, name) for name in (visible, thermal)}
        numbers = [int(name.removeprefix("cam")) for name in (visible, thermal)]
        if abs(numbers[0] - numbers[1]) != 1:
            raise GeometryError(f"{visible} and {thermal} are no neighbours in the chain")
        later = max((visible, thermal), key=lambda name: int(name.removeprefix("cam")))
        step = np.asarray(chain[later].get("T_cn_cnm1"), np.float64)
        if step.shape != (4, 4):
            raise GeometryError(f"{later}.T_cn_cnm1 is missing or no 4 x 4 matrix")
        # T_cn_cnm1 transforms points of camera n-1 to camera n.
        transform = step if later == thermal else np.linalg.inv(step)
        return RigCalibration(
            cameras[visible], cameras[thermal], transform[:3, :3], transform[:3, 3], distance_m
        )


def _kalibr_camera(chain: dict[str, Any], name: str) -> CameraModel:
    camera = chain.get(name)
    if not isinstance(camera, dict):
        raise GeometryError(f"no camera {name!r}; the file holds {sorted(map(str, chain))}")
    if camera.get("camera_model") != "pinhole":
        raise GeometryError(
            f"{name}.camera_model is {camera.get('camera_model')!r}; allowed is pinhole"
        )
    lens = camera.get("distortion_model")
    if lens not in _KALIBR_LENSES:
        raise GeometryError(
            f"{name}.distortion_model is {lens!r}; allowed are {', '.join(_KALIBR_LENSES)}"
        )
    fx, fy, cx, cy = (float(v) for v in camera.get("intrinsics", ()))
    width, height = camera.get("resolution", ())
    if not all(type(side) is int for side in (width, height)):
        raise GeometryError(f"{name}.resolution is {[width, height]!r}; allowed are whole numbers")
    coefficients = () if lens == "none" else tuple(camera.get("distortion_coeffs", ()))
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return CameraModel(Size(width, height), matrix, _KALIBR_LENSES[lens], coefficients)


def camera_from_info(
    *, width: int, height: int, k: Any, d: Any, distortion_model: str = ""
) -> CameraModel:
    """Return the camera of a `sensor_msgs/CameraInfo`, from its fields.

    Raises:
        GeometryError: not calibrated, or another lens model.
    """
    coefficients = tuple(float(c) for c in d)
    if len(coefficients) > 8 and not any(coefficients[8:]):
        coefficients = coefficients[:8]
    if not any(coefficients) and distortion_model not in ("equidistant", "fisheye"):
        distortion_model, coefficients = "none", ()
    if distortion_model in ("fisheye", "kannala_brandt4"):
        distortion_model = "equidistant"
    if not distortion_model:
        distortion_model = "rational_polynomial" if len(coefficients) == 8 else "plumb_bob"
    if distortion_model == "plumb_bob" and len(coefficients) == 8:
        distortion_model = "rational_polynomial"  # some drivers confuse the names
    return CameraModel(
        Size(int(width), int(height)), np.asarray(k, np.float64), distortion_model, coefficients
    )


def import_camera_info(path: str | Path) -> CameraModel:
    """Read one camera from a YAML file of camera_calibration or OpenCV, or an echoed message.

    Raises:
        CalibrationFileError: entries are missing, or the camera is not calibrated.
    """
    path = Path(path)
    info = read_yaml(path, _OpenCvLoader)
    with errors_of(path):
        return camera_from_info(
            width=_entry(info, "image_width", "width"),
            height=_entry(info, "image_height", "height"),
            k=_values(_entry(info, "camera_matrix", "k", "K")),
            d=_values(_entry(info, "distortion_coefficients", "d", "D")),
            distortion_model=str(info.get("distortion_model", "")),
        )


def import_extrinsic(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read rotation (3x3) and translation (metres) from a YAML file with `R` and `T`.

    OpenCV's stereo calibration writes such files: p_thermal = R p_visible + T.

    Raises:
        CalibrationFileError: entries are missing or of another size.
    """
    path = Path(path)
    content = read_yaml(path, _OpenCvLoader)
    with errors_of(path):
        rotation = np.asarray(_values(_entry(content, "R", "rotation")), np.float64)
        translation = np.asarray(_values(_entry(content, "T", "translation_m")), np.float64)
        return rotation.reshape(3, 3), translation.reshape(3)


def _entry(content: dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in content:
            return content[name]
    raise GeometryError(f"entry {' or '.join(names)} is missing")


def _values(entry: Any) -> Any:
    return entry["data"] if isinstance(entry, dict) and "data" in entry else entry
