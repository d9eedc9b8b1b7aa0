# SPDX-License-Identifier: Apache-2.0
"""The checks of `fusion-ros doctor`. They do not raise: a broken part is a result."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fusion_ros import __version__
from fusion_ros.cli.node import NO_RCLPY_FIX
from fusion_ros.files.shipped import config_file
from fusion_ros.nodes.runtime import shared_memory
from fusion_ros.nodes.runtime.dds_profile import PROFILE_NAME, profile_settings, users_profile
from fusion_ros.outside_text import error_line

_DISTRIBUTIONS = {"3": "humble", "7": "jazzy", "9": "kilted", "10": "lyrical"}
"""By the first number of rclpy's version."""
_MESSAGE_FIX = "make setup (without a distribution), or colcon build --packages-select fusion_ros"


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        state: "ok", "note" (works, could be better) or "missing" (a function does not work).
        fix: a remedy, or "".
        group: heading of the line; set by `examine`.
    """

    name: str
    state: str
    what: str
    fix: str = ""
    group: str = ""


def examine(calibration: Path | None = None) -> list[Check]:
    """Run all checks, in the order of the report; `calibration` is a file to check as well."""
    groups: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("Python", _python),
        ("ROS", _ros),
        ("DDS", lambda: _dds(os.environ)),
        ("Engines", _engines),
        ("Weights", _weights),
    ]
    if calibration is not None:
        groups.append(("Calibration", lambda: _calibration(calibration)))
    return [
        dataclasses.replace(check, group=group) for group, run in groups for check in _guarded(run)
    ]


def _guarded(run: Callable[[], Iterator[Check]]) -> list[Check]:
    try:
        return list(run())
    except Exception as error:  # the error describes the broken part
        fix = "reinstall the part in this error"
        return [Check("examination", "missing", error_line(error), fix)]


def _python() -> Iterator[Check]:
    version = platform.python_version()
    where = f"{version} at {sys.executable}, {platform.machine()} {platform.system()}"
    known = (3, 10) <= sys.version_info[:2] <= (3, 13)
    fix = "" if known else "tested with 3.10 to 3.13"
    yield Check("python", "ok" if known else "note", where, fix)
    yield Check("fusion_ros", "ok", f"{__version__} at {Path(__file__).parents[1]}")
    for module, names, fix in (
        ("numpy", ("numpy",), "pip install numpy"),
        ("cv2", ("opencv-python-headless", "opencv-python"), _OPENCV_FIX),
        ("safetensors", ("safetensors",), "pip install safetensors"),
        ("tqdm", ("tqdm",), "pip install tqdm"),
    ):
        if importlib.util.find_spec(module) is None:
            yield Check(module, "missing", "not installed", fix)
        else:
            yield Check(module, "ok", _version(*names) or "installed, version unknown")


_OPENCV_FIX = "pip install 'opencv-python-headless>=4.8,<5', or rosdep on a ROS distribution"


def _ros() -> Iterator[Check]:
    if importlib.util.find_spec("rclpy") is None:
        yield Check("rclpy", "missing", "not installed; the node cannot run", NO_RCLPY_FIX)
    else:
        version = _version("ros-rclpy", "rclpy")
        known = _DISTRIBUTIONS.get(version.partition(".")[0], "unknown distribution")
        distribution = os.environ.get("ROS_DISTRO") or known
        yield Check("rclpy", "ok", f"{version or 'installed'} ({distribution})")
        yield _middleware()
    if importlib.util.find_spec("fusion_ros.msg") is not None:
        yield Check("fusion_ros/msg/FusionStatus", "ok", "built")
    else:
        what = "not built; the node runs without its status topic"
        yield Check("fusion_ros/msg/FusionStatus", "note", what, _MESSAGE_FIX)
    if importlib.util.find_spec("message_filters") is not None:
        yield Check("message_filters", "ok", "installed")
    else:
        what = "not installed: pairing_policy cannot be one of its policies"
        fix = "apt install ros-DISTRO-message-filters on a ROS distribution"
        yield Check("message_filters", "note", what, fix)


def _middleware() -> Check:
    """Look for RMW implementations in the ament index of each active prefix."""
    prefixes = [sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    index = "share/ament_index/resource_index/rmw_typesupport"
    paths = (
        path for prefix in filter(None, prefixes) for path in Path(prefix, index).glob("rmw_*")
    )
    found = sorted({path.name for path in paths} - {"rmw_implementation"})
    chosen = os.environ.get("RMW_IMPLEMENTATION", "")
    if not found:
        fix = "pip install ros-rmw-fastrtps-cpp, or apt install ros-DISTRO-rmw-fastrtps-cpp"
        return Check("middleware", "missing", "none found", fix)
    if chosen and chosen not in found:
        what = f"RMW_IMPLEMENTATION is {chosen}, installed are {', '.join(found)}"
        return Check("middleware", "missing", what, "install it, or unset the variable")
    what = ", ".join(found) + (f"; {chosen} is chosen" if chosen else "")
    return Check("middleware", "ok", what)


def _dds(environment: Mapping[str, str]) -> Iterator[Check]:
    own, shipped = users_profile(environment), str(config_file(PROFILE_NAME))
    if own is None:
        what = "none set; launch files and fusion-ros use the shipped one, other processes do not"
        ((variable, file),) = profile_settings(environment).items()
        fix = f"for the processes of your cameras: export {variable}={file}"
        yield Check("profile", "note", what, fix)
    elif not Path(own[1]).is_file():
        what = f"{own[0]}={own[1]}, but this file does not exist"
        yield Check("profile", "missing", what, f"unset {own[0]}, or name a file")
    else:
        whose = "the shipped one" if own[1] == shipped else "your own"
        yield Check("profile", "ok", f"{own[0]}={own[1]} ({whose})")
    yield Check("shipped profile", "ok", shipped)
    yield from _shared_memory(shared_memory.SHARED_MEMORY)


def _shared_memory(folder: Path) -> Iterator[Check]:
    name = "shared memory"
    if not folder.is_dir():
        yield Check(name, "note", f"{folder} does not exist; DDS uses the network", "")
        return
    left = shared_memory.clean(folder)
    if str(left):
        yield Check("left by dead processes", "note", f"{folder}: {left}")
    free = shutil.disk_usage(folder).free
    what = f"{free >> 20} MB free in {folder}"
    needed = shared_memory.NEEDED_BYTES
    if free < needed:
        what += f"; two cameras, the node and a subscriber take {needed >> 20} MB"
        yield Check(name, "missing", what, shared_memory.FIX_TOO_SMALL)
    else:
        yield Check(name, "ok", what)


def _engines() -> Iterator[Check]:
    from fusion_ros.engines.choice import choose, probe_engines

    for probe in probe_engines():
        state = "ok" if probe.available else "note"
        yield Check(f"{probe.name} on {probe.device}", state, probe.why, probe.fix)
    best = choose()
    yield Check("auto", "ok", f"{best.name} on {best.device}")


def _weights() -> Iterator[Check]:
    from fusion_ros.model.config import PRESETS
    from fusion_ros.model.onnx_file import read_onnx
    from fusion_ros.model.weights import WeightsError, load_weights, shipped_weights

    for name in sorted(PRESETS):
        try:
            path = shipped_weights(name)
        except WeightsError as error:
            # Only the default preset must be shipped; users can train the others.
            state = "missing" if name == "compact" else "note"
            yield Check(name, state, "none shipped", str(error))
            continue
        try:
            weights = load_weights(path)
            onnx = read_onnx(weights)
        except WeightsError as error:
            yield Check(name, "missing", str(error), "reinstall fusion_ros")
            continue
        what = f"version {weights.metadata.version}, sha256 {weights.metadata.sha256}, {path}"
        if onnx is None:
            what += "; without an ONNX file, so that OpenVINO needs PyTorch"
        yield Check(name, "note" if onnx is None else "ok", what)


def _calibration(file: Path) -> Iterator[Check]:
    from fusion_ros.calibration.description import expected_parallax_px, summary
    from fusion_ros.calibration.files import CalibrationFileError, load_calibration
    from fusion_ros.calibration.plausibility import check_calibration
    from fusion_ros.registration.geometry import GeometryError

    try:
        calibration = load_calibration(file)
    except CalibrationFileError as error:
        fix = "create the file with fusion-ros calibrate (docs/how-to/calibrate.md)"
        yield Check("file", "missing", str(error), fix)
        return
    yield Check("file", "ok", f"{file}: {summary(calibration)}")
    fix = "run fusion-ros calibrate again; check units and image sizes of imported files"
    try:
        doubts = check_calibration(calibration)
    except GeometryError as error:
        yield Check("geometry", "missing", str(error), fix)
        return
    for doubt in doubts:
        yield Check("geometry", "note", doubt, fix)
    if parallax_px := expected_parallax_px(calibration):
        off = ", ".join(f"{px:.1f} px at {metres:g} m" for metres, px in parallax_px.items())
        yield Check("expected parallax", "ok", off.replace("inf m", "infinity"))
    else:
        what = "unknown: a homography does not hold the distance between the cameras"
        fix = "for scenes of changing distance: calibrate with --board, or import both cameras"
        yield Check("expected parallax", "note", what, fix)


def _version(*names: str) -> str:
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
