# SPDX-License-Identifier: Apache-2.0
"""Installed files and metadata, whose faults show on another machine only."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml

import fusion_ros
from fusion_ros.parameters import SPECS

REPOSITORY = Path(__file__).resolve().parents[1]
MESSAGE = REPOSITORY / "msg" / "FusionStatus.msg"
LAUNCH_FILES = sorted((REPOSITORY / "launch").rglob("*.launch.py"))

# Python packages that ROS distributes, and the package.xml key of those whose key is another.
ROS_IMPORTS = {
    "builtin_interfaces",
    "ament_index_python",
    "diagnostic_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "message_filters",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
}
# Import name of what pip distributes -> its name there.
PIP_IMPORTS = {
    "cv2": "opencv-python-headless",
    "jinja2": "jinja2",
    "markupsafe": "markupsafe",
    "numpy": "numpy",
    "pyiqa": "pyiqa",
    "openvino": "openvino",
    "PIL": "pillow",
    "pi_heif": "pi-heif",
    "rosbags": "rosbags",
    "safetensors": "safetensors",
    "torch": "torch",
    "torchmetrics": "torchmetrics",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
}
# Never declared: they are looked for, and their absence is said.
# The last three come with rosbags, and compression with Python 3.14.
OPTIONAL_IMPORTS = {
    "tensorrt", "torch2trt", "onnx", "onnxruntime", "pycocotools", "rerun", "argcomplete",
    "wandb",     "backports", "compression", "lz4",
}  # fmt: skip


@pytest.fixture(scope="module")
def manifest() -> ElementTree.Element:
    """package.xml."""
    return ElementTree.parse(REPOSITORY / "package.xml").getroot()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files alone, as a clone has them."""
    if not (REPOSITORY / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout: which files a clone has is not known")
    folder = tmp_path_factory.mktemp("checkout")
    for name in tracked_files():
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that pip makes of a clone."""
    out = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--no-index"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(out), "."],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.glob("*.whl")
    return zipfile.ZipFile(file)


def tracked_files() -> list[str]:
    """Paths that git tracks, relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name]


def console_scripts(wheel: zipfile.ZipFile) -> dict[str, str]:
    """Command -> "module:function", as pip will install them."""
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    entries = configparser.ConfigParser(delimiters=("=",))
    entries.optionxform = str  # type: ignore[assignment,method-assign]
    entries.read_string(wheel.read(name).decode())
    return dict(entries["console_scripts"])


def imported_packages(checkout: Path) -> dict[str, str]:
    """Top-level name of every absolute import in what users get -> a file that has it."""
    files = [*(checkout / "fusion_ros").rglob("*.py"), *(checkout / "launch").rglob("*.py")]
    found: dict[str, str] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], str(file.relative_to(checkout)))
    return found


def message_lines() -> Iterator[tuple[str, str]]:
    """(declaration, comment) of each field and constant of the message."""
    for line in MESSAGE.read_text(encoding="utf-8").splitlines():
        declaration, _, comment = line.partition("#")
        if declaration.strip():
            yield declaration.strip(), comment.strip()


def test_versions_of_package_xml_and_package_are_equal(manifest: ElementTree.Element) -> None:
    assert manifest.findtext("version") == fusion_ros.__version__


def test_wheel_has_version_and_name(wheel: zipfile.ZipFile) -> None:
    assert Path(str(wheel.filename)).name.startswith(f"fusion_ros-{fusion_ros.__version__}-")


def test_maintainer_address_is_valid_for_colcon(manifest: ElementTree.Element) -> None:
    maintainer = manifest.find("maintainer")
    assert maintainer is not None
    # catkin_pkg's own rule
    rule = r"[-a-zA-Z0-9_%+]+(\.[-a-zA-Z0-9_%+]+)*@[-a-zA-Z0-9%]+(\.[-a-zA-Z0-9%]+)*\.[a-zA-Z]{2,}"
    assert re.fullmatch(rule, maintainer.attrib["email"])


def test_every_command_has_a_stub_for_ros2_run(wheel: zipfile.ZipFile) -> None:
    stubs = {path.name: path for path in (REPOSITORY / "executables").iterdir()}
    commands = console_scripts(wheel)

    assert set(stubs) == set(commands)
    for name, stub in stubs.items():
        module, function = commands[name].split(":")
        text = stub.read_text(encoding="utf-8")
        assert text.startswith("#!/usr/bin/env python3\n")
        assert f"from {module} import {function}\n" in text
        assert os.access(stub, os.X_OK), f"{stub} is not executable"


def test_cmake_installs_every_stub() -> None:
    cmake = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"executables/([\w-]+)", cmake))

    assert named == {path.name for path in (REPOSITORY / "executables").iterdir()}


def test_colcon_installs_the_command_line_into_bin() -> None:
    cmake = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")

    assert "install(PROGRAMS executables/fusion-ros DESTINATION bin)" in cmake


def test_every_command_has_its_module_and_function(wheel: zipfile.ZipFile) -> None:
    for command, target in console_scripts(wheel).items():
        module, function = target.split(":")
        name = module.replace(".", "/") + ".py"
        assert name in wheel.namelist(), f"{command} starts {module}, which is not in the wheel"
        body = ast.parse(wheel.read(name)).body
        defined = [node.name for node in body if isinstance(node, ast.FunctionDef)]
        assert function in defined, f"{command} calls {target}, which is not there"


def test_wheel_has_every_file_of_the_package(checkout: Path, wheel: zipfile.ZipFile) -> None:
    package = {
        str(path.relative_to(checkout))
        for path in (checkout / "fusion_ros").rglob("*")
        if path.is_file()
    }

    assert package - set(wheel.namelist()) == set()


@pytest.mark.parametrize("folder", ["launch", "config", "msg"])
def test_wheel_installs_the_folder_into_share(
    folder: str, checkout: Path, wheel: zipfile.ZipFile
) -> None:
    place = f"/data/share/fusion_ros/{folder}/"
    shipped = {name.split(place)[1] for name in wheel.namelist() if place in name}

    there = checkout / folder
    assert shipped == {str(p.relative_to(there)) for p in there.rglob("*") if p.is_file()}
    assert shipped


def test_wheel_has_the_ament_index_entry(wheel: zipfile.ZipFile) -> None:
    data = {name.split("/data/")[1] for name in wheel.namelist() if "/data/" in name}

    assert "share/ament_index/resource_index/packages/fusion_ros" in data
    assert "share/fusion_ros/package.xml" in data
    assert "lib/fusion_ros/fuse_node" in data


def test_every_field_of_the_message_has_a_comment() -> None:
    bare = [declaration for declaration, comment in message_lines() if not comment]

    assert bare == []


def test_every_measured_field_of_the_message_names_its_unit() -> None:
    units = {"_ms": "[ms]", "_hz": "[Hz]", "_s": "[s]", "_score": "[0 to 1]"}
    for declaration, comment in message_lines():
        if "=" in declaration or not declaration.startswith("float64"):
            continue
        name = re.sub(r"_p\d+$", "", declaration.split()[1])
        unit = next((unit for suffix, unit in units.items() if name.endswith(suffix)), None)
        if unit is None:
            unit = "[ms]" if "_ms_" in name else None
        assert unit is not None, f"{declaration}: the name carries no unit"
        assert unit in comment, f"{declaration}: the comment does not name {unit}"


def test_the_messages_packages_are_declared(manifest: ElementTree.Element) -> None:
    used = {declaration.split("/")[0] for declaration, _ in message_lines() if "/" in declaration}
    cmake = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")

    assert used <= {node.text for node in manifest.iterfind("depend")}
    for package in used:
        assert f"find_package({package} REQUIRED)" in cmake


def test_every_ros_package_that_is_imported_is_declared(
    checkout: Path, manifest: ElementTree.Element
) -> None:
    declared = {node.text for node in manifest if node.tag in ("depend", "exec_depend")}
    used = {
        name: file for name, file in imported_packages(checkout).items()
        if name in ROS_IMPORTS
    }  # fmt: skip

    # builtin_interfaces comes with every message package
    missing = {name: file for name, file in used.items() if name not in declared}
    missing.pop("builtin_interfaces", None)
    assert missing == {}


def test_every_other_package_that_is_imported_is_declared(checkout: Path) -> None:
    setup = (checkout / "setup.py").read_text(encoding="utf-8")
    for name, file in imported_packages(checkout).items():
        if name in sys.stdlib_module_names or name in ROS_IMPORTS | OPTIONAL_IMPORTS:
            continue
        if name == "fusion_ros":
            continue
        assert name in PIP_IMPORTS, f"{file} imports {name}, of which nothing here knows"
        assert f'"{PIP_IMPORTS[name]}' in setup, f"{file} imports {name}; setup.py does not name it"


@pytest.mark.parametrize("lane", ["jazzy", "kilted"])
def test_every_ros_wheel_of_a_lane_is_pinned(lane: str) -> None:
    environment = REPOSITORY / "environment"
    files = ("message-build.txt", f"{lane}/message-build.txt", "../setup.py")
    text = "\n".join((environment / name).read_text(encoding="utf-8") for name in files)
    wanted = set(re.findall(r'(?:^|f")(ros-[a-z-]+)', text, flags=re.MULTILINE))
    constraints = (environment / lane / "constraints.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^(ros-[a-z-]+)==", constraints, flags=re.MULTILINE))
    assert {"ros-rclpy", "ros-ament-cmake"} <= wanted <= pinned


def test_parameter_files_hold_parameters() -> None:
    for file in [REPOSITORY / "config" / "fuse.yaml"]:
        for node, content in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            assert list(content) == ["ros__parameters"], f"{file.name}: {node}"
            assert content["ros__parameters"], f"{file.name}: {node}"


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda file: file.name)
def test_launch_files_define_generate_launch_description(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    compile(tree, str(file), "exec")

    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert "generate_launch_description" in functions


def test_launch_arguments_of_parameters_have_their_choices_and_descriptions(monkeypatch) -> None:
    for name in ("launch", "launch.actions", "launch.substitutions", "launch_ros.actions"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "fusion_ros.nodes.runtime.launch_exit", MagicMock())
    path = REPOSITORY / "launch" / "fuse.launch.py"
    spec = importlib.util.spec_from_file_location("fuse_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    calls = sys.modules["launch.actions"].DeclareLaunchArgument.call_args_list
    declared = {call.args[0]: call.kwargs for call in calls}
    for parameter in SPECS:
        if parameter.name in module.PARAMETER_ARGUMENTS:
            argument = declared[parameter.name]
            assert argument["choices"] in (None, ["", *parameter.choices])
            assert argument["description"].startswith(parameter.meaning)
