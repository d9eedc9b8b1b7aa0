# SPDX-License-Identifier: Apache-2.0
"""What options take: the value and what is allowed are told, before anything is begun."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from fusion_ros.cli.argument_types import (
    number,
    picture_size,
    result_file,
    result_folder,
    whole_number,
)
from fusion_ros.cli.main import main


def test_what_is_allowed_is_understood(tmp_path: Path) -> None:
    assert picture_size("640x480") == (640, 480)
    assert (number(0, 1)("0"), number(0, 1)("1"), number(0)("1e3")) == (0, 1, 1000)
    assert whole_number(1)("12") == 12
    assert result_folder(str(tmp_path / "new" / "deeper")) == tmp_path / "new" / "deeper"
    assert result_file(str(tmp_path / "new.onnx")) == tmp_path / "new.onnx"


@pytest.mark.parametrize("text", ["640", "640x", "0x480", "-1x4", "640X480", "axb"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="allowed is WIDTHxHEIGHT"):
        picture_size(text)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "half", ""])
def test_numbers_outside_a_range_are_refused_with_it(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}'; allowed is 0 to 1"):
        number(0, 1)(text)


def test_open_ranges_are_told_in_words() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="allowed is more than 0"):
        number(0, above=True)("0")
    with pytest.raises(argparse.ArgumentTypeError, match="allowed is whole numbers, 1 or more"):
        whole_number(1)("2.5")


def test_a_result_cannot_go_where_a_file_or_no_folder_is(tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.touch()
    for text in (str(file), str(file / "below")):
        with pytest.raises(argparse.ArgumentTypeError, match="is a file; allowed is a folder"):
            result_folder(text)
    with pytest.raises(argparse.ArgumentTypeError, match="is a folder; allowed is a file"):
        result_file(str(tmp_path))
    with pytest.raises(argparse.ArgumentTypeError, match="there is no folder"):
        result_file(str(tmp_path / "none" / "new.onnx"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["out"], "name a SOURCE"),
        (["out", "clips", "--seconds", "3"], "--seconds: only with --live"),
        (["out", "clips", "--live"], "SOURCE: not with --live"),
        (["out", "clips", "--visible-topic", "/a", "--thermal-topic", "/a"], "are both '/a'"),
    ],
)
def test_record_refuses_what_does_not_go_together(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["record", "out", "clips", "--visible-topic", "/a b"], "'/a b' is no topic"),
        (["record", "out", "clips", "--jpeg", "101"], "'101'; allowed is whole numbers, 1 to 100"),
        (["replay", "bag", "--jobs", "0"], "'0'; allowed is whole numbers, 1 or more"),
        (["replay", "bag", "--confidence", "2"], "'2'; allowed is 0 to 1"),
        (["demo", "--seconds", "many"], "'many'; allowed is 1 to 60"),
    ],
)
def test_options_name_themselves_and_what_is_allowed(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
