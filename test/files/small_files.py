# SPDX-License-Identifier: Apache-2.0
"""Every reader of small files, with the content of a valid file."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from fusion_ros.calibration.files import CalibrationFileError, load_calibration
from fusion_ros.calibration.imports import import_camera_info, import_extrinsic, import_kalibr
from fusion_ros.detection import read_class_names, read_labels
from fusion_ros.model.config import FusionNetConfig
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import METADATA_KEY, WeightsError, load_weights, save_weights
from fusion_ros.parameters import FuseParameters, ParameterError
from fusion_ros.parameters.files import read_parameters
from fusion_ros.replay.compare import compare_runs
from fusion_ros.replay.gate import Gate
from fusion_ros.thermal.zones import ZoneFileError, load_zones
from training.config import ConfigError
from training.config_file import load_config

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
    "zones": Reader(
        lambda path: load_zones(str(path), "celsius"), ZoneFileError, "z.yaml",
        {"fusion_ros_zones": 1, "unit": "celsius", "zones": [
            {"name": "bearing", "polygon": [[0, 0.1], [1, 0], [0.5, 1]], "warn_above": 60.0,
             "error_above": 80, "warn_below": -5, "error_below": -20.0, "hysteresis": 2}]},
        as_yaml,
    ),
    "training": Reader(
        load_config, ConfigError, "t.yaml",
        {"preset": "compact", "train": [{"kind": "folders", "root": "x", "weight": 2.0}],
         "augmentation": {"flip": 0.5}, "loss": {"qw": 1.0}, "crop": [64, 64], "steps": 9,
         "network": {"widths": [8, 16]}}, as_yaml,
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
    "classes": Reader(read_class_names, ValueError, "classes.txt", ["person", "car"], as_lines),
    "weights": Reader(load_weights, WeightsError, "w.safetensors", METADATA, as_weights),
}  # fmt: skip
