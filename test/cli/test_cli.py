# SPDX-License-Identifier: Apache-2.0
"""The command line: start-up, help, and the commands `node` and `doctor`."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fusion_ros import __version__
from fusion_ros.calibration.files import save_calibration
from fusion_ros.cli import doctor_checks, node
from fusion_ros.cli.doctor_checks import Check
from fusion_ros.cli.main import main, parser
from fusion_ros.registration.geometry import (
    CameraModel,
    HomographyCalibration,
    RigCalibration,
    Size,
)

COMMANDS = sorted(parser()._subparsers._group_actions[0].choices)
REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "training" / "README.md",
    *sorted(REPOSITORY.glob("docs/**/*.md")),
]


def shown_commands() -> list[str]:
    """Each `fusion-ros` command line in a block of a page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in re.findall(r"^```.*?^```", text, flags=re.DOTALL | re.MULTILINE):
            found += re.findall(r"^(?:\$ )?fusion-ros (.*)$", block, flags=re.MULTILINE)
    return found


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from fusion_ros.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'cv2', 'numpy', 'rclpy', 'openvino', 'tensorrt'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("line", shown_commands())
def test_every_command_line_in_the_documentation_is_valid(line: str) -> None:
    parser().parse_args(shlex.split(line, comments=True))  # else it exits


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: fusion-ros {command}" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"fusion-ros {__version__}\n"


@pytest.mark.parametrize("arguments", [["dance"], ["fuse"], ["fuse", "--preset", "x"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("line", "near"),
    [
        (["repaly", "bag"], "did you mean replay?"),
        (["train"], "required: FILE (see"),
        (["fuse", "--tripych"], "--triptych"),
        (["fuse", "--tone-mod", "linear"], "--set tone_mode=..."),
        (["fuse", "--rate", "9"], "--frame-rate"),
        (["record", "a", "b", "--storage", "mcp"], "did you mean mcap?"),
    ],
)
def test_an_unknown_word_names_the_nearest_one(
    line: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(line)
    assert end.value.code == 2
    assert near in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--colormap", "--gate", "--fps", "--bag"])
def test_an_unknown_word_without_a_near_one_gets_no_advice(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["fuse", "vis", "--out", "fused", option, "x"])
    error = capsys.readouterr().err
    assert option in error
    assert "mean" not in error


@pytest.mark.parametrize(("line", "advised"), [("a.png b.png", True), ("a.png -x", False)])
def test_a_second_input_path_is_answered_with_its_option(
    line: str, advised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["fuse", *line.split(), "--out", "fused"])
    assert ("--thermal" in capsys.readouterr().err) is advised


def test_the_command_alone_shows_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(re.search(rf"^ +(fusion-ros )?{c}\b", printed, re.MULTILINE) for c in COMMANDS)


def test_arguments_may_stand_between_options() -> None:
    args = parser().parse_args(["record", "vis", "--thermal", "ir", "bag"])
    assert (args.source, args.thermal, args.out) == (Path("vis"), Path("ir"), Path("bag"))


def test_options_are_completed_in_the_shell() -> None:
    pytest.importorskip("argcomplete")
    line = "fusion-ros record x --storage "
    environment = {**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "_ARGCOMPLETE_IFS": " "}
    environment |= {"COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    command = f"{shlex.quote(sys.executable)} -m fusion_ros 8>&1 9>&2 >/dev/null"
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["mcap", "sqlite3"]


def test_node_passes_its_arguments_to_ros() -> None:
    args = parser().parse_args(
        [
            "node",
            "--params",
            "f.yaml",
            "-p",
            "preset=paper",
            "--set",
            "rate:=1.5",
            "-r",
            "visible/image_raw:=/rgb",
            "--",
            "--log-level",
            "debug",
        ]
    )
    assert node.ros_arguments(args) == [
        *("--ros-args", "--params-file", "f.yaml"),
        *("-p", "preset:=paper", "-p", "rate:=1.5"),
        *("-r", "visible/image_raw:=/rgb", "--log-level", "debug"),
    ]


@pytest.mark.parametrize("wrong", [["-p", "preset"], ["-p", "=3"], ["-r", "a=b"], ["-r", "a:="]])
def test_node_refuses_malformed_assignments(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["node", *wrong])
    assert end.value.code == 2


def test_node_without_its_parameter_file_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["node", "--params", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ([], "/fuse_node"),
        (["-r", "__ns:=/front"], "/front/fuse_node"),
        (["-r", "__node:=mine", "--", "-r", "fuse_node:__ns:=/a/b"], "/a/b/mine"),
    ],
)
def test_node_refuses_a_parameter_file_that_ros_would_not_apply_to_it(
    more: list[str], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("/a/fuse_node:\n  ros__parameters: {engine: torch}\n")
    assert main(["node", "--params", str(file), *more]) == 2
    assert f"for {name} " in capsys.readouterr().err


def test_node_without_rclpy_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node.importlib.util, "find_spec", lambda name: None)
    assert main(["node"]) == 2
    assert "make setup" in capsys.readouterr().err


def test_the_doctor_finds_the_packages_of_this_environment() -> None:
    findings = {(f.group, f.name): f for f in doctor_checks.examine()}
    for name in ("python", "numpy", "cv2", "safetensors"):
        assert findings["Python", name].state == "ok"
    assert findings["Engines", "openvino on cpu"].state == "ok"
    assert findings["Engines", "auto"].what
    for finding in findings.values():
        assert finding.what
        assert finding.state in ("ok", "note", "missing")
        assert finding.state != "missing" or finding.fix


def test_the_doctor_reports_a_broken_part_as_a_finding() -> None:
    def broken() -> None:
        raise ImportError("libfoo.so.3: cannot open shared object file")

    (finding,) = doctor_checks._guarded(broken)
    assert finding.state == "missing"
    assert "libfoo.so.3" in finding.what


@pytest.mark.parametrize(
    ("environment", "state", "text"),
    [
        ({"ROS_DISTRO": "kilted"}, "note", "export FASTDDS_DEFAULT_PROFILES_FILE="),
        ({"ROS_DISTRO": "humble"}, "note", "export FASTRTPS_DEFAULT_PROFILES_FILE="),
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": "/none.xml"}, "missing", "unset"),
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": __file__}, "ok", "your own"),
    ],
)
def test_the_doctor_tells_own_and_shipped_dds_profile_apart(
    environment: dict[str, str], state: str, text: str
) -> None:
    profile = next(f for f in doctor_checks._dds(environment) if f.name == "profile")
    assert profile.state == state
    assert text in profile.what + profile.fix


def test_too_little_shared_memory_is_missing_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor_checks.shared_memory, "NEEDED_BYTES", 1 << 62)
    (finding,) = doctor_checks._shared_memory(tmp_path)
    assert finding.state == "missing"
    assert "--shm-size" in finding.fix


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("missing", 1)])
def test_the_exit_code_of_the_doctor_follows_the_findings(
    state: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Check("rclpy", state, "what it is", "what to do", "ROS")
    monkeypatch.setattr(doctor_checks, "examine", lambda calibration: [finding])
    assert main(["doctor"]) == code
    assert "what to do" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == code
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is (code == 0)
    assert report["findings"] == [dataclasses.asdict(finding)]


def test_the_doctor_escapes_text_from_outside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = Check("rclpy", "missing", "\x1b[2J", "a\nb", "ROS")
    monkeypatch.setattr(doctor_checks, "examine", lambda calibration: [check])
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"a\nb" in printed


def examined(file: Path) -> dict[str, Check]:
    findings = doctor_checks.examine(file)
    return {f.name: f for f in findings if f.group == "Calibration"}


def test_the_doctor_reports_the_expected_parallax_of_two_cameras(tmp_path: Path) -> None:
    cameras = [
        CameraModel(Size(640, 480), np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]))
        for _ in range(2)
    ]
    rig = RigCalibration(*cameras, np.eye(3), np.array([-0.05, 0, 0]), distance_m=10.0)
    save_calibration(tmp_path / "rig.yaml", rig)
    found = examined(tmp_path / "rig.yaml")
    assert {"50 mm", "10 m"} <= set(re.findall(r"\d+ mm|\d+ m\b", found["file"].what))
    # 600 px * 0.05 m is 30 px m: 30 / 2.5 - 30 / 10 = 9, 30 / 5 - 3 = 3, 30 / 20 - 3 = -1.5, 0 - 3.
    assert found["expected parallax"].what == (
        "9.0 px at 2.5 m, 3.0 px at 5 m, 1.5 px at 20 m, 3.0 px at infinity"
    )


def test_the_doctor_reports_a_homography_without_parallax_and_a_broken_file(
    tmp_path: Path,
) -> None:
    size = Size(640, 480)
    save_calibration(tmp_path / "h.yaml", HomographyCalibration(np.eye(3), size, size))
    assert examined(tmp_path / "h.yaml")["expected parallax"].state == "note"
    (tmp_path / "bad.yaml").write_text("fusion_ros_calibration: 9")
    finding = examined(tmp_path / "bad.yaml")["file"]
    assert finding.state == "missing"
    assert "bad.yaml" in finding.what
