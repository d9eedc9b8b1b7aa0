# SPDX-License-Identifier: Apache-2.0
"""The attack notes every way in which a command can break, and nothing else."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import fusion_ros.cli.main as program
from attack import commands, mutations
from attack.trial import Tally, table


def exit_with(code: int) -> Callable[[list[str]], int]:
    return lambda arguments: code


def fail(arguments: list[str]) -> int:
    raise KeyError("planted")


def die(arguments: list[str]) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def hang(arguments: list[str]) -> int:
    time.sleep(60)
    return 0


def swallow_memory(arguments: list[str]) -> int:
    return len(bytes(commands.MEMORY_BYTES * 2)) and 0


@pytest.mark.parametrize(
    ("behaviour", "way"),
    [
        (exit_with(0), None),
        (exit_with(2), None),
        (fail, "traceback"),
        (die, "death"),
        (hang, "hang"),
        (swallow_memory, "traceback"),
    ],
)
def test_each_way_to_break_is_noted_with_its_input(
    behaviour, way: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "main", behaviour)
    monkeypatch.setattr(commands, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(commands.command, "__defaults__", (1.0,))
    tally = Tally("files", 1, tmp_path, 10.0, tmp_path / "kept")
    file = tmp_path / "bad.yaml"
    file.write_text("bad", encoding="utf-8")
    ended = commands.attempt(tally, "planted", ["fuse"], file)
    assert tally.tried == 1
    assert [breach["way"] for breach in tally.breaches] == ([way] if way else [])
    assert (ended is None) == (way is not None)
    kept = list((tmp_path / "kept").glob("*")) if way else []
    assert len(kept) == (1 if way else 0)
    assert ("planted" in table([tally])) == bool(way)


def test_changes_repeat_with_their_seed_and_differ_from_the_original() -> None:
    text = "a: 1\nb: [1, 2]\nc: {d: x}\n"
    for change, data in ((mutations.of_text, text), (mutations.of_bytes, text.encode())):
        first = [change(random.Random(n), data) for n in range(200)]
        again = [change(random.Random(n), data) for n in range(200)]
        assert first == again
        assert sum(changed != text.encode() for changed in first) > 180
        assert len(set(first)) > 40
