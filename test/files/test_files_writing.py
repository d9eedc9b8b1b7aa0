# SPDX-License-Identifier: Apache-2.0
"""Files are replaced whole or not at all, and nothing is written through a link or a device."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.files import writing
from fusion_ros.files.images import new_video, write_image
from fusion_ros.files.tables import write_table
from fusion_ros.files.writing import (
    UnwritableFileError,
    new_file,
    new_file_path,
    write_bytes,
    write_json,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]
IMAGE = np.random.default_rng(3).integers(0, 255, (240, 320, 3), np.uint8)


def write_video(path: Path) -> None:
    with new_video(path, 10.0) as video:
        for n in range(12):
            video.write(np.roll(IMAGE, 9 * n, axis=0))


WRITERS: dict[str, Callable[[Path], object]] = {
    "file.bin": lambda path: write_bytes(path, b"x" * 100_000),
    "file.txt": lambda path: write_text(path, "x" * 100_000),
    "file.json": lambda path: write_json(path, list(range(40_000))),
    "file.csv": lambda path: write_table(path, ({"n": n} for n in range(40_000))),
    "file.png": lambda path: write_image(path, IMAGE),
    "file.mp4": write_video,
}


@contextlib.contextmanager
def limited(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size`, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[0][1]))
    sys.dont_write_bytecode = True  # Python would leave a cut one
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        sys.dont_write_bytecode = before[1]


@pytest.fixture(params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of making the temporary file: some file systems have no O_TMPFILE."""
    if request.param == "named":
        monkeypatch.setattr(writing, "_unnamed", lambda folder: None)
    return request.param


@pytest.mark.parametrize("name", WRITERS)
def test_an_earlier_file_is_replaced_and_keeps_its_permissions(
    tmp_path: Path, name: str, way: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"earlier")
    path.chmod(0o640)
    WRITERS[name](path)
    assert path.stat().st_size > 10_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(
    tmp_path: Path, name: str, way: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"earlier")
    with limited(8192), pytest.raises(OSError, match=name):
        WRITERS[name](path)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_link_is_replaced_and_its_target_is_unchanged(
    tmp_path: Path, name: str, way: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).symlink_to(precious)
    WRITERS[name](folder / name)
    assert precious.read_bytes() == b"precious"
    assert not (folder / name).is_symlink()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "fifo"])
@pytest.mark.parametrize("name", WRITERS)
def test_other_kinds_of_files_are_refused(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    path = tmp_path / name
    make(path)
    kind = stat.S_IFMT(path.stat().st_mode)
    with pytest.raises(UnwritableFileError, match=re.escape(str(path))):
        WRITERS[name](path)
    assert stat.S_IFMT(path.stat().st_mode) == kind
    assert os.listdir(tmp_path) == [name]


def test_a_device_stays_a_device() -> None:
    with pytest.raises(UnwritableFileError, match="/dev/null"):
        write_text("/dev/null", "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def begin(path: Path, write: Callable, error: type[BaseException]) -> None:
    """Write half of a file, then fail."""
    with write(path) as file:
        if isinstance(file, Path):
            file.write_bytes(b"half")
        else:
            file.write(b"half")
        raise error


@pytest.mark.parametrize("write", [new_file, new_file_path])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_an_error_of_the_body_leaves_the_earlier_file(
    tmp_path: Path, way: str, write: Callable, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"earlier")
    with pytest.raises(error):
        begin(path, write, error)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["file"]


def killed_while_writing(path: Path, how: str) -> None:
    code = textwrap.dedent(f"""
        import os, signal
        from fusion_ros.files.writing import {how}
        with {how}({str(path)!r}) as file:
            (open(file, "wb") if hasattr(file, "suffix") else file).write(b"x" * 100_000)
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_kill_leaves_the_earlier_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"earlier")
    killed_while_writing(path, "new_file")
    assert path.read_bytes() == b"earlier"
    if writing._unnamed(os.open(tmp_path, os.O_RDONLY)) is not None:
        assert os.listdir(tmp_path) == ["file.csv"]


def test_abandoned_temporary_files_are_removed_and_locked_ones_are_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file.mp4"
    killed_while_writing(path, "new_file_path")
    assert len(os.listdir(tmp_path)) == 1
    with new_file_path(path) as living:
        assert os.listdir(tmp_path) == [living.name]
        with new_file_path(path) as other:
            other.write_bytes(b"other")
        assert living.exists()
        living.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["file.mp4"]


def test_a_replaced_temporary_file_is_not_published(tmp_path: Path) -> None:
    precious, path = tmp_path / "precious", tmp_path / "file.mp4"
    precious.write_bytes(b"precious")

    def exchange() -> None:
        with new_file_path(path) as unfinished:
            unfinished.unlink()
            unfinished.symlink_to(precious)

    with pytest.raises(UnwritableFileError, match=r"file\.mp4"):
        exchange()
    assert not path.exists()
    assert precious.read_bytes() == b"precious"


def test_two_temporary_names_differ_and_a_taken_one_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, precious = tmp_path / "file", tmp_path / "precious"
    assert writing.temporary_name(path) != writing.temporary_name(path)
    precious.write_bytes(b"precious")
    planted = tmp_path / ".planted"
    planted.symlink_to(precious)
    monkeypatch.setattr(writing, "temporary_name", lambda path: planted.name)
    for write in (new_file, new_file_path):
        with pytest.raises(FileExistsError), write(path):
            pass
    assert precious.read_bytes() == b"precious"


def test_long_names_and_names_that_are_no_utf8_are_written(tmp_path: Path) -> None:
    for name in ("n" * 251 + ".csv", os.fsdecode(b"caf\xe9.csv")):
        write_text(tmp_path / name, "text \udce9")
        assert (tmp_path / name).read_text(encoding="utf-8") == "text \\udce9"


@pytest.mark.parametrize("name", [".", ".."])
def test_the_name_of_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnwritableFileError, match="a folder"):
        write_bytes(name, b"")
    assert os.listdir(tmp_path) == []
