# SPDX-License-Identifier: Apache-2.0
"""Readers of small files return, or raise their documented error, for any content.

Each reader gets valid files that are damaged in three ways: bytes are changed, entries get values
of other types at any depth, and the file is replaced by a folder, a FIFO, a device and the like.
"""

from __future__ import annotations

import copy
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_files import METADATA, READERS, Reader, as_weights, as_yaml

from fusion_ros.detection import DetectorError, OnnxDetector
from fusion_ros.files.reading import FAST_LOADER, MalformedFileError, parse_yaml
from fusion_ros.model.weights import WeightsError, load_weights

ODD = [
    None, True, False, 0, -1, 1, 2**40, 10**400, 1e308, -0.0, math.inf, -math.inf, math.nan, "",
    "text", "1", "0x10", "1e400", "\x00", "\x1b[2J", "é", [], {}, [[]], [1, [2, [3]]], {"a": {}},
    {1: 2}, [None] * 20, ["text"] * 4, "x" * 5000,
]  # fmt: skip


def places(value: Any, here: tuple = ()) -> list[tuple]:
    """The paths of all entries at any depth."""
    found = [here]
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(item, (*here, key))
    return found


def changed(value: Any, place: tuple, change: str, odd: Any) -> Any:
    if not place:
        return copy.deepcopy(odd)
    value = copy.deepcopy(value)
    above = value
    for key in place[:-1]:
        above = above[key]
    if change == "remove":
        del above[place[-1]]
    elif change == "wrap":
        above[place[-1]] = [above[place[-1]]]
    elif change == "rename" and isinstance(above, dict):
        above[odd if isinstance(odd, str | int | float) else "odd"] = above.pop(place[-1])
    elif change == "repeat" and isinstance(above, list):
        above.extend([above[place[-1]]] * 3)
    else:
        above[place[-1]] = copy.deepcopy(odd)
    return value


def reads_or_refuses(reader: Reader, path: Path) -> Exception | None:
    """Call the reader; any exception but the documented one fails the test."""
    try:
        reader.read(path)
    except reader.error as error:
        text = str(error)
        assert len(text) < 2500, f"{len(text)} characters"
        assert "\x1b" not in text
        return error
    return None


SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def prepared(reader: Reader, folder: Path) -> Path:
    for old in folder.iterdir():
        old.unlink()
    reader.beside(folder)
    return folder / reader.name


@pytest.mark.parametrize("name", READERS)
def test_the_valid_file_is_read(folder: Path, name: str) -> None:
    reader = READERS[name]
    path = prepared(reader, folder)
    path.write_bytes(reader.dump(reader.content))
    assert reads_or_refuses(reader, path) is None


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@SETTINGS
def test_entries_of_any_other_type_at_any_depth(name: str, folder: Path, data: Any) -> None:
    reader = READERS[name]
    content = reader.content
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(content)))
        change = data.draw(st.sampled_from(["set", "set", "remove", "wrap", "rename", "repeat"]))
        content = changed(content, place, change, data.draw(st.sampled_from(ODD)))
    path = prepared(reader, folder)
    path.write_bytes(reader.dump(content))
    reads_or_refuses(reader, path)


LONG = ["x" * 3000, {"y" * 3000: 1}, ["z" * 3000], {f"k{n} \x1b[2J": n for n in range(200)}]


@pytest.mark.parametrize("name", READERS)
def test_messages_about_long_entries_stay_short(folder: Path, name: str) -> None:
    reader = READERS[name]
    for place, change in itertools.product(places(reader.content), ["set", "rename"]):
        for odd in LONG:
            path = prepared(reader, folder)
            path.write_bytes(reader.dump(changed(reader.content, place, change, odd)))
            reads_or_refuses(reader, path)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@SETTINGS
def test_changed_bytes_are_refused_or_read(name: str, folder: Path, data: Any) -> None:
    reader = READERS[name]
    raw = bytearray(reader.dump(reader.content))
    head = min(len(raw), 4000)  # of weights, the header
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, head))
        many = data.draw(st.integers(0, 40))
        kind = data.draw(st.sampled_from(["cut", "zero", "insert", "delete", "yaml"]))
        if kind == "cut":
            del raw[at:]
        elif kind == "zero":
            raw[at : at + many] = bytes(len(raw[at : at + many]))
        elif kind == "insert":
            raw[at:at] = data.draw(st.binary(max_size=20))
        elif kind == "delete":
            del raw[at : at + many]
        else:
            raw[at:at] = data.draw(st.sampled_from(SNIPPETS))
    path = prepared(reader, folder)
    path.write_bytes(bytes(raw))
    reads_or_refuses(reader, path)


SNIPPETS = [
    b"!!int ", b"!!timestamp ", b"!!binary ", b"!!float ", b"!!bool ", b"!!set ", b"!!omap ",
    b"!!python/object:os.system ", b"&a ", b"*a ", b"<<: ", b"? ", b"--- ", b"2020-13-41",
    b"\xff",    b"[" * 3000, b'"\\ud800"',
    b"1:" * 3000 + b"1", b"9" * 6000, b"\t", b"{", b"NaN", b"\xef\xbb\xbf",
    b"%YAML:1.0\n", b"1_000", b".inf",
]  # fmt: skip


def a_folder(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_loop_of_links(path: Path) -> None:
    path.symlink_to(path.name)


def nothing(path: Path) -> None:
    return None


def unreadable(path: Path) -> None:
    path.write_bytes(b"content")
    path.chmod(0)
    if os.geteuid() == 0:  # root reads it all the same
        path.unlink()


def a_sparse_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5 << 30)


@pytest.mark.parametrize(
    "make",
    [a_folder, a_fifo, a_device, a_dangling_link, a_loop_of_links, nothing, unreadable,
     a_sparse_file],
)  # fmt: skip
@pytest.mark.parametrize("name", READERS)
def test_unreadable_files_are_refused_at_once(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    reader = READERS[name]
    path = prepared(reader, folder)
    make(path)
    if name == "yolo" and not path.exists() and not path.is_symlink():
        path.parent.rmdir()
    refused = reads_or_refuses(reader, path)
    # Figures of single pairs are optional in a comparison.
    assert refused is not None or (name == "pairs" and not path.exists())


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\xff\xfe\x00", b"\x00" * 100, b"null", b"[]", b"{}", b"{" * 100_000,
     b"[" * 100_000, b"a: " * 1000, b"- " * 5000, b'"' + b"x" * 900_000],
    ids=lambda content: repr(content[:8]),
)  # fmt: skip
def test_empty_content_is_refused_or_read(folder: Path, name: str, content: bytes) -> None:
    reader = READERS[name]
    path = prepared(reader, folder)
    path.write_bytes(content)
    reads_or_refuses(reader, path)


@pytest.mark.parametrize("name", [n for n, reader in READERS.items() if reader.dump is as_yaml])
def test_yaml_that_grows_by_its_aliases_is_refused(folder: Path, name: str) -> None:
    reader = READERS[name]
    lines = ['a0: &a0 ["lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = prepared(reader, folder)
    path.write_bytes(reader.dump(reader.content) + "\n".join(lines).encode())
    assert "aliases" in str(reads_or_refuses(reader, path))
    path.write_bytes(b"limits: &a\n  a: *a\n")
    assert reads_or_refuses(reader, path) is not None


def test_a_file_of_pickled_weights_runs_nothing(folder: Path) -> None:
    path = folder / "w.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(WeightsError):
        load_weights(path)


def test_weights_that_claim_a_huge_network_take_no_memory(folder: Path) -> None:
    """The file decides the shape of the network; its tensors are compared before any is made."""
    metadata = copy.deepcopy(METADATA)
    metadata["preset"] = "custom"
    metadata["config"].update(layout="encoder_decoder", widths=[8192] * 12, decoder_groups=1)
    path = folder / "w.safetensors"
    path.write_bytes(as_weights(metadata))
    weights = load_weights(path)
    with pytest.raises(WeightsError, match=r"lacks|unknown|shape"):
        _ = weights.net


@pytest.mark.parametrize(
    "content",
    [b"", b"text", bytes(1000), b"\x08\x07" * 50],
    ids=["empty", "text", "zeros", "proto"],
)
def test_a_file_that_is_no_model_is_refused(folder: Path, content: bytes) -> None:
    pytest.importorskip("onnxruntime")
    path = folder / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(DetectorError):
        OnnxDetector(path)


@pytest.mark.parametrize("make", [a_folder, a_fifo, a_device, nothing, a_sparse_file])
def test_a_path_that_is_no_file_is_refused(folder: Path, make: Callable[[Path], None]) -> None:
    pytest.importorskip("onnxruntime")
    make(folder / "m.onnx")
    with pytest.raises(DetectorError):
        OnnxDetector(folder / "m.onnx")


@pytest.mark.parametrize("loader", [yaml.SafeLoader, FAST_LOADER])
def test_a_key_that_stands_twice_is_refused(loader: type[yaml.SafeLoader]) -> None:
    for text in ("a: 1\na: 2\n", "- {b: {c: 1, c: 1}}"):
        with pytest.raises(MalformedFileError, match="stands twice"):
            parse_yaml(text, loader)
    merged = "x: &a {k: 1}\ny: {<<: *a, k: 2}\nz: {<<: *a, m: 3}"
    assert parse_yaml(merged, loader)["y"] == {"k": 2}
