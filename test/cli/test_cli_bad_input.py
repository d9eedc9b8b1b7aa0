# SPDX-License-Identifier: Apache-2.0
"""Bad files on every command line: one line that names the file, the documented exit code.

Never a traceback, never the exit code of a verdict, and no wait for a FIFO without a writer.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.cli.exit_codes import COULD_NOT_RUN, TABLE
from fusion_ros.cli.main import main
from fusion_ros.files.images import write_image

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--engine", "torch", "--measures", "none", "--baselines", "none", "--no-report")


def missing(path: Path) -> None:
    return None


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(5).integers(0, 255, 3000, np.uint8).tobytes())


def text(path: Path) -> None:
    path.write_text("this is no such file\n: [", encoding="utf-8")


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 50_000)


def number(path: Path) -> None:
    path.write_bytes(b"1")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5 << 30)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS: list[Callable[[Path], object]] = [
    missing, empty, noise, text, deep, number, sparse, device, Path.mkdir, os.mkfifo,
]  # fmt: skip
COMMANDS = {
    "replay RECORDING": ("replay", "BAD", "--out", "out", *QUICK),
    "replay --params": ("replay", "clip", "--params", "BAD", "--out", "out", *QUICK),
    "replay --gate": ("replay", "clip", "--gate", "BAD", "--out", "out", *QUICK),
    "replay --weights": ("replay", "clip", "--weights", "BAD", "--out", "out", *QUICK),
    "replay --compare": ("replay", "clip", "--compare", "BAD", "--out", "out", *QUICK),
    "replay --detector": ("replay", "clip", "--detector", "BAD", "--out", "out", *QUICK),
    "fuse --visible": ("fuse", "--visible", "BAD", "--thermal", "clip/ir/000.png", "--out", "out"),
    "fuse --params": ("fuse", "--visible", "clip/vis", "--thermal", "clip/ir", "--out", "out",
                      "--params", "BAD"),
    "fuse --weights": ("fuse", "--visible", "clip/vis", "--thermal", "clip/ir", "--out", "out",
                       "--engine", "torch", "--weights", "BAD"),
    "calibrate --show": ("calibrate", "--show", "BAD"),
    "calibrate --import-kalibr": ("calibrate", "--import-kalibr", "BAD", "--out", "c.yaml"),
    "calibrate --import-camera-info": ("calibrate", "--import-camera-info", "BAD", "BAD",
                                       "--extrinsic", "BAD", "--out", "c.yaml"),
    "calibrate SOURCE": ("calibrate", "--from-pairs", "BAD", "--out", "c.yaml"),
    "record SOURCE": ("record", "BAD", "out"),
    "build-engine --params": ("build-engine", "--params", "BAD"),
    "node --params": ("node", "--params", "BAD"),
}  # fmt: skip


class TookTooLongError(BaseException):
    """Not an Exception, so that nothing on the way reports it as an error of the file."""


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """A working folder with a clip of one pair; a command that waits is interrupted."""
    if any(name in request.node.name for name in ("replay", "build-engine")):
        pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(1)
    for name in ("vis", "ir"):
        (tmp_path / "clip" / name).mkdir(parents=True)
        write_image(tmp_path / "clip" / name / "000.png", rng.integers(0, 255, (48, 64), np.uint8))
    monkeypatch.chdir(tmp_path)

    def late(*_: object) -> None:
        raise TookTooLongError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(150)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_file_is_one_line_and_the_right_exit_code(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, kind: Callable[[Path], object]
) -> None:
    bad = place / ("bad.png" if command == "fuse --visible" else "bad")
    kind(bad)
    arguments = [str(bad) if word == "BAD" else word for word in COMMANDS[command]]
    code = main(arguments)
    printed = capsys.readouterr().err
    # An unreadable image affects only its pair; the command has run.
    assert code in ({COULD_NOT_RUN, 1} if command == "fuse --visible" else {COULD_NOT_RUN}), printed
    assert "bad" in printed
    assert "Traceback" not in printed
    # The name of a Python exception shows an unforeseen kind of file.
    assert not re.search(r"could not run: \w*(Error|Exception):", printed), printed
    lines = [line for line in printed.splitlines() if line.strip()]
    assert all(len(line) < 2000 for line in lines)
    assert sum("could not run" in line for line in lines) <= 1


MEDIA: dict[str, tuple[str, ...]] = {
    "replay bag": ("replay", "bad.mcap", "--out", "out", *QUICK),
    "replay bag folder": ("replay", "folder", "--out", "out", *QUICK),
    "replay videos": ("replay", "bad.mp4", "--thermal", "bad_ir.mp4", "--out", "out", *QUICK),
    "record videos": ("record", "bad.mp4", "--thermal", "bad_ir.mp4", "out"),
    "calibrate bag": ("calibrate", "--from-pairs", "bad.db3", "--out", "c.yaml"),
    "calibrate videos": ("calibrate", "--from-pairs", "--visible", "bad.mp4",
                         "--thermal", "bad_ir.mp4", "--out", "c.yaml"),
    "fuse videos": ("fuse", "--visible", "bad.mp4", "--thermal", "bad_ir.mp4", "--out", "out"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [device, os.mkfifo, Path.mkdir], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("command", MEDIA)
def test_a_recording_that_is_no_regular_file_is_refused_without_reading(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, kind: Callable[[Path], object]
) -> None:
    (place / "folder").mkdir()
    for name in ("bad.mcap", "bad.db3", "bad.mp4", "bad_ir.mp4", "folder/bad.mcap"):
        kind(place / name)
    assert main(list(MEDIA[command])) in (COULD_NOT_RUN, 1)
    printed = capsys.readouterr().err
    assert "bad" in printed
    assert "Traceback" not in printed


def test_a_fifo_among_the_images_affects_only_its_pair(place: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for name in ("vis", "ir"):
        os.mkfifo(place / "clip" / name / "001.png")
    assert main(["replay", "clip", "--out", "out", *QUICK]) == COULD_NOT_RUN
    summary = json.loads((place / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["fused"] == 1
    assert summary["findings"]


OUTPUTS = {
    "calibrate --out": (
        "calibrate", "--import-kalibr", str(ROOT / "test" / "none.yaml"), "--out", "BAD"
    ),
    "calibrate --json": (
        "calibrate", "--from-pairs", "--visible", "clip/vis", "--thermal", "clip/ir",
        "--out", "c.yaml", "--json", "BAD",
    ),
    "replay --out": ("replay", "clip", "--out", "BAD", *QUICK),
    "fuse --out": ("fuse", "--visible", "clip/vis", "--thermal", "clip/ir", "--out", "BAD"),
}  # fmt: skip


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_that_is_no_file_or_folder_is_refused_before_anything_runs(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, make: Callable[[Path], object]
) -> None:
    make(place / "bad")
    arguments = [str(place / "bad") if word == "BAD" else word for word in OUTPUTS[command]]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == COULD_NOT_RUN
    assert "bad" in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == ["bad", "clip"]


def run(*arguments: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fusion_ros.cli.main", *arguments]
    # With a limited file size Python would leave cut byte code.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(  # type: ignore[call-overload]
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120,
        check=False, **options,
    )  # fmt: skip


def test_file_names_of_invalid_text_are_printed_escaped(place: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    name = os.fsdecode(b"caf\xe9\x1b[2J.yaml")
    done = run("calibrate", "--show", name, cwd=place)
    assert done.returncode == COULD_NOT_RUN
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    write_image(place / "clip/vis" / os.fsdecode(b"caf\xe9.png"), np.zeros((48, 64), np.uint8))
    done = run(
        "fuse", "--visible", "clip/vis", "--thermal", "clip/ir", "--out", "out",
        "--engine", "torch", cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "caf" in done.stdout


def test_a_closed_and_a_full_output_cause_no_traceback(place: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "fusion_ros.cli.main", "calibrate", "--show"]
    demo = ROOT / "config/demo_calibration.yaml"
    with Path("/dev/full").open("w") as full:
        for target in (writer, full):
            done = subprocess.run(
                [*command, str(demo)], cwd=ROOT, stdout=target, stderr=subprocess.PIPE, text=True,
                check=False,
            )  # fmt: skip
            assert done.returncode == COULD_NOT_RUN
            assert "Traceback" not in done.stderr
            assert "Exception ignored" not in done.stderr
    os.close(writer)


@pytest.mark.parametrize("limit", [100, 4096])
def test_a_full_disk_keeps_the_earlier_calibration(place: Path, limit: int) -> None:
    demo, out = ROOT / "config/demo_calibration.yaml", place / "rig.yaml"
    out.write_bytes(b"earlier")
    chain = place / "chain.yaml"
    camera = "  camera_model: pinhole\n  distortion_model: none\n  distortion_coeffs: []\n"
    camera += "  intrinsics: [60.0, 60.0, 32.0, 24.0]\n  resolution: [64, 48]\n"
    step = (
        "  T_cn_cnm1: [[1.0,0.0,0.0,0.05],[0.0,1.0,0.0,0.0],[0.0,0.0,1.0,0.0],[0.0,0.0,0.0,1.0]]\n"
    )
    chain.write_text(f"cam0:\n{camera}cam1:\n{step}{camera}", encoding="utf-8")
    assert demo.is_file()

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    options = {"preexec_fn": small}
    done = run("calibrate", "--import-kalibr", str(chain), "--out", str(out), cwd=place, **options)
    if limit == 100:
        assert done.returncode == COULD_NOT_RUN
        assert out.read_bytes() == b"earlier"
    else:
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in place.iterdir()) == ["chain.yaml", "clip", "rig.yaml"]


@pytest.mark.parametrize(
    ("storage", "limit"), [("mcap", 5000), ("sqlite3", 5000), ("sqlite3", 30000)]
)
def test_a_full_disk_leaves_no_part_of_a_recording(place: Path, storage: str, limit: int) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = ("record", "clip", "bag", "--storage", storage)
    done = run(*command, cwd=place, preexec_fn=small)
    assert done.returncode == COULD_NOT_RUN
    assert "bag: " in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in place.iterdir()) == ["clip"]


def test_record_names_its_order_of_arguments_when_they_are_swapped(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["record", "bag", "clip"]) == COULD_NOT_RUN
    assert "SOURCE OUT" in capsys.readouterr().err


def test_the_table_of_exit_codes_is_in_the_help_and_in_the_documentation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert TABLE in capsys.readouterr().out
    page = (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    assert TABLE in page
