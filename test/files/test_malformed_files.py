# SPDX-License-Identifier: Apache-2.0
"""Readers of small files return, or raise their documented error, for any content.

Each reader gets valid files that are damaged in three ways: bytes are changed, entries get values
of other types at any depth, and the file is replaced by a folder, a FIFO, a device and the like.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import io
import json
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

from fusion_ros.calibration.files import CalibrationFileError, load_calibration
from fusion_ros.calibration.imports import import_camera_info, import_extrinsic, import_kalibr
from fusion_ros.detection import DetectorError, OnnxDetector, read_labels
from fusion_ros.model.config import FusionNetConfig
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import METADATA_KEY, WeightsError, load_weights, save_weights
from fusion_ros.parameters import FuseParameters, ParameterError
from fusion_ros.parameters.files import read_parameters
from fusion_ros.replay.compare import compare_runs
from fusion_ros.replay.detection import _class_names
from fusion_ros.replay.gate import Gate

ROOT = Path(__file__).resolve().parents[2]
CAMERA = {
    "camera_model": "pinhole",
    "distortion_model": "radtan",
    "distortion_coeffs": [0.01, 0.0, 0.0, 0.0],
    "intrinsics": [60.0, 60.0, 32.0, 24.0],
    "resolution": [64, 48],
}
STEP = [[1.0, 0.0, 0.0, 0.05], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
K = [60.0, 0.0, 32.0, 0.0, 60.0, 24.0, 0.0, 0.0, 1.0]
MATRIX = [[60.0, 0.0, 32.0], [0.0, 60.0, 24.0], [0.0, 0.0, 1.0]]
RIG_CAMERA = {
    "size": [64, 48], "camera_matrix": MATRIX, "distortion_model": "plumb_bob",
    "distortion": [0.1, 0.0, 0.0, 0.0],
}  # fmt: skip
SUMMARY = {
    "format": 1,
    "recording": {"sha256": "ab"},
    "findings": [{"code": "partial", "severity": "error"}],
    "fused_share": 1.0,
    "sync": {"skew_ms": {"p95": 2.0}},
    "quality": {"candidates": {"fused": {"qw": {"mean": 0.8}}}},
    "times": {"stages_ms": {"fuse": {"p50": 5.0}}},
}
COCO = {
    "categories": [{"id": 1, "name": "person"}, {"id": "two", "name": "car"}],
    "images": [
        {"id": 0, "file_name": "a/000.png", "width": 64, "height": 48},
        {"id": 1, "file_name": "001.png", "frame_index": 1},
    ],
    "annotations": [
        {"image_id": 0, "category_id": 1, "bbox": [1, 2, 3.5, 4], "iscrowd": 0},
        {"image_id": 1, "category_id": "two", "bbox": [1, 2, 3, 4]},
    ],
}


def read_all_parameters(path: Path) -> object:
    return FuseParameters.from_values(read_parameters(path))


def compared(path: Path) -> object:
    """Both runs are this one, so that both sides of a comparison get the damaged file."""
    return compare_runs(path.parent, path.parent)


def judged(path: Path) -> object:
    return Gate.load(path).judge(SUMMARY)


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader of small files.

    Attributes:
        read: takes the path.
        error: documented exception for files that cannot be used.
        name: of the file.
        content: of a valid file, as plain values.
        dump: makes the file's bytes of such values.
        beside: other files that it needs.
    """

    read: Callable[[Path], object]
    error: type[Exception]
    name: str
    content: Any
    dump: Callable[[Any], bytes]
    beside: Callable[[Path], object] = lambda folder: None


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "replace")


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def as_lines(value: Any) -> bytes:
    lines = value if isinstance(value, list) else [value]
    return "\n".join(map(str, lines)).encode("utf-8", "replace")


def as_table(rows: Any) -> bytes:
    text = io.StringIO()
    rows = rows if isinstance(rows, list) else [rows]
    csv.writer(text).writerows(row if isinstance(row, list) else [row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def a_summary(folder: Path) -> None:
    (folder / "summary.json").write_bytes(as_json(SUMMARY))


TINY = FusionNetConfig(
    layout="blend", visible_channels=1, output_channels=1, widths=(4, 4), activation="relu",
    downsampling="strided_conv", decoder_groups=1, head_channels=0, bias=True, padding="replicate",
)  # fmt: skip


def as_weights(values: Any) -> bytes:
    """A weights file whose header holds these values, around the tensors of a tiny network."""
    header = {METADATA_KEY: values if isinstance(values, str) else json.dumps(values)}
    packed = json.dumps({**TENSORS, "__metadata__": header}).encode()
    return len(packed).to_bytes(8, "little") + packed + PAYLOAD


def tiny_weights() -> tuple[dict, bytes, dict]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.safetensors"
        torch.manual_seed(1)
        about = {"training_data": "none", "metrics": {"qw": 0.5}, "version": "1"}
        save_weights(path, FusionNet(TINY), **about)
        raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    metadata = header.pop("__metadata__")
    return header, raw[8 + length :], json.loads(metadata[METADATA_KEY])


TENSORS, PAYLOAD, METADATA = tiny_weights()
READERS = {
    "homography": Reader(
        load_calibration, CalibrationFileError, "c.yaml",
        {"fusion_ros_calibration": 1, "homography": {
            "thermal_to_visible": [[1.0, 0, 1], [0, 1.0, 2], [0, 0, 1.0]],
            "thermal_size": [64, 48], "visible_size": [128, 96], "exact_distance_m": 3.0},
         "quality": {"verdict": "good"}, "note": "text"},
        as_yaml,
    ),
    "rig": Reader(
        load_calibration, CalibrationFileError, "c.yaml",
        {"fusion_ros_calibration": 1, "rig": {
            "visible": RIG_CAMERA, "thermal": RIG_CAMERA, "distance_m": 10.0,
            "visible_to_thermal": {"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
                                   "translation_m": [0.05, 0, 0]}}},
        as_yaml,
    ),
    "kalibr": Reader(
        import_kalibr, CalibrationFileError, "k.yaml",
        {"cam0": CAMERA, "cam1": {**CAMERA, "T_cn_cnm1": STEP}}, as_yaml,
    ),
    "camera_info": Reader(
        import_camera_info, CalibrationFileError, "i.yaml",
        {"image_width": 64, "image_height": 48, "distortion_model": "plumb_bob",
         "camera_matrix": {"rows": 3, "cols": 3, "data": K}, "d": [0.1, 0, 0, 0, 0]}, as_yaml,
    ),
    "extrinsic": Reader(
        import_extrinsic, CalibrationFileError, "e.yaml",
        {"R": {"data": [1.0, 0, 0, 0, 1, 0, 0, 0, 1]}, "T": [0.1, 0, 0]}, as_yaml,
    ),
    "parameters": Reader(
        read_all_parameters, ParameterError, "p.yaml",
        {"/**": {"ros__parameters": {"tone_mode": "percentile", "pairing_tolerance_ms": 20.0}},
         "ns": {"fuse_node": {"ros__parameters": {"pairing_queue_size": 8}}}}, as_yaml,
    ),
    "gate": Reader(
        judged, ValueError, "g.yaml",
        {"limits": {"fused_share": {"min": 0.9}, "sync.skew_ms.p95": {"max": 15}},
         "forbid": ["partial"], "forbid_severity": "error", "expect": []}, as_yaml,
    ),
    "summary": Reader(compared, ValueError, "summary.json", SUMMARY, as_json),
    "pairs": Reader(
        compared, ValueError, "pairs.csv",
        [["pair", "arrived_s", "visible_stamp_ns", "fused_sha256", "fused.qw"],
         ["0", "0.0", "100", "aa", "0.8"], ["1", "0.1", "200", "bb", ""]], as_table, a_summary,
    ),
    "coco": Reader(read_labels, ValueError, "l.json", COCO, as_json),
    "yolo": Reader(
        lambda path: read_labels(path.parent, ["person", "car"]), ValueError, "000.txt",
        ["0 0.5 0.5 0.1 0.1", "1 0.2 0.2 0.1 0.1"], as_lines,
    ),
    "classes": Reader(_class_names, ValueError, "classes.txt", ["person", "car"], as_lines),
    "weights": Reader(load_weights, WeightsError, "w.safetensors", METADATA, as_weights),
}  # fmt: skip
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
    with pytest.raises(WeightsError, match=r"lacks|unknown|shape"):
        load_weights(path)


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
