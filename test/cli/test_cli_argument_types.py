# SPDX-License-Identifier: Apache-2.0
"""Types of options: errors name the value and the allowed range before anything runs."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from fusion_ros.cli.argument_types import (
    image_size,
    number,
    result_file,
    result_folder,
    whole_number,
)
from fusion_ros.cli.main import main


def test_valid_texts_are_parsed(tmp_path: Path) -> None:
    assert image_size("640x480") == (640, 480)
    assert (number(0, 1)("0"), number(0, 1)("1"), number(0)("1e3")) == (0, 1, 1000)
    assert whole_number(1)("12") == 12
    assert result_folder(str(tmp_path / "new" / "deeper")) == tmp_path / "new" / "deeper"
    assert result_file(str(tmp_path / "new.onnx")) == tmp_path / "new.onnx"


@pytest.mark.parametrize("text", ["640", "640x", "0x480", "-1x4", "640X480", "axb"])
def test_a_malformed_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="WIDTHxHEIGHT"):
        image_size(text)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "half", ""])
def test_a_number_out_of_range_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}'.* 0 to 1"):
        number(0, 1)(text)


def test_an_error_names_an_open_range() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="more than 0"):
        number(0, above=True)("0")
    with pytest.raises(argparse.ArgumentTypeError, match="whole number, 1 or more"):
        whole_number(1)("2.5")


def test_a_result_path_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    with pytest.raises(argparse.ArgumentTypeError, match="link"):
        result_folder(str(tmp_path / "link" / "below"))
    for parse in (result_folder, result_file):  # an unset variable of a script
        with pytest.raises(argparse.ArgumentTypeError, match="empty"):
            parse("")
    result_folder(str(tmp_path / ("x" * 300)))  # refused by the system, when it is created
    result_file(str(tmp_path / ("x" * 300)))


def test_the_name_of_a_single_result_is_refused_as_a_folder(tmp_path: Path) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as .*fused$"):
        result_folder(str(tmp_path / "fused.PNG"))
    (tmp_path / "old.png").mkdir()
    assert result_folder(str(tmp_path / "old.png")).is_dir()
    assert result_folder(str(tmp_path / "drive.2026")) == tmp_path / "drive.2026"


def test_a_result_path_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.touch()
    for text in (str(file), str(file / "below")):
        with pytest.raises(argparse.ArgumentTypeError, match="taken is a file"):
            result_folder(text)
    with pytest.raises(argparse.ArgumentTypeError, match="is a folder"):
        result_file(str(tmp_path))
    with pytest.raises(argparse.ArgumentTypeError, match="none does not exist"):
        result_file(str(tmp_path / "none" / "new.onnx"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["out"], "SOURCE"),
        (["clips", "out", "--seconds", "3"], "--seconds"),
        (["clips", "out", "--live"], "SOURCE"),
        (["clips", "out", "--visible-topic", "/a", "--thermal-topic", "/a"], "'/a'"),
    ],
)
def test_record_refuses_options_that_exclude_each_other(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *arguments]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "option", "text", "allowed"),
    [
        (["record", "clips", "out", "--visible-topic", "/a b"], "--visible-topic", "/a b", "topic"),
        (["record", "clips", "out", "--jpeg", "101"], "--jpeg", "101", "1 to 100"),
        (["replay", "bag", "--jobs", "0"], "--jobs", "0", "1 or more"),
        (["replay", "bag", "--confidence", "2"], "--confidence", "2", "0 to 1"),
        (["demo", "--seconds", "many"], "--seconds", "many", "1 to 60"),
        (["replay", "bag", "--live", "--rate", "0"], "--rate", "0", "0.01 to 100"),
    ],
)
def test_an_error_names_option_value_and_allowed_values(
    arguments: list[str],
    option: str,
    text: str,
    allowed: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    for token in (option, repr(text), allowed):
        assert token in error


def test_an_argument_is_escaped_in_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["doctor", "\x1b[2J\n"], ["\x1b[2J\n"], ["record", "out", "--jpeg", "\x1b"]):
        with pytest.raises(SystemExit):
            main(arguments)
        printed = capsys.readouterr().err
        assert "\x1b" not in printed
        assert r"\x1b" in printed
        assert len(printed.splitlines()) == 1
