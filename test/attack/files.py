# SPDX-License-Identifier: Apache-2.0
"""Kinds `files` and `pictures`: slightly changed copies of every input of the commands."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from detector_models import bright_cells
from planted_faults import shots

from attack import mutations
from attack.commands import attempt, command
from attack.trial import Tally

QUICK = ("--engine", "torch", "--measures", "none", "--baselines", "none")
SIZE = (96, 72)


def clip(folder: Path, count: int = 3) -> Path:
    """A folder with `vis` and `ir`, colour and 16-bit."""
    for kind in ("vis", "ir"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for n, shot in enumerate(shots(count)):
        pixels = shot.frame.pixels
        kind = "vis" if pixels.ndim == 3 else "ir"
        if kind == "ir":
            pixels = 7000 + 10 * pixels.astype(np.uint16)
        cv2.imwrite(str(folder / kind / f"{n // 2:04d}.png"), pixels)
    return folder


def attack_files(tally: Tally) -> None:
    """Calibrations, parameter files, gates, labels, class names, weights and detectors."""
    recording = clip(tally.folder / "clip")
    kinds = _kinds(tally.folder, recording)
    for name, (good, arguments) in kinds.items():
        (tally.folder / f"f.{good.name}").write_bytes(good.read_bytes())
        ended = command(arguments, tally.folder)
        if ended.code not in (0, 1):
            tally.notes.append(f"{name}: the unchanged file is refused: {ended.text[-200:]!r}")
    names = list(kinds)
    while tally.has_time:
        name = names[tally.tried % len(names)]
        good, arguments = kinds[name]
        file = tally.folder / f"f.{good.name}"
        data = good.read_bytes()
        if name == "weights" and tally.random.random() < 0.6:
            file.write_bytes(_header_changed(tally, data))
        elif good.suffix in (".safetensors", ".onnx"):
            file.write_bytes(mutations.of_bytes(tally.random, data))
        else:
            file.write_bytes(mutations.of_text(tally.random, data.decode()))
        ended = attempt(tally, name, arguments, file)
        cut = len(file.read_bytes()) < 0.9 * len(data)
        if ended is not None and ended.code == 0 and cut and good.suffix == ".safetensors":
            tally.breach("silent", name, "weights that are cut were used", file)


def _kinds(folder: Path, recording: Path) -> dict[str, tuple[Path, list[object]]]:
    """By name: the good file, and the command that reads the changed one."""
    root = Path(__file__).resolve().parents[2]
    fuse = ["fuse", "--visible", recording / "vis" / "0000.png", "--thermal",
            recording / "ir" / "0000.png", "--out", folder / "fused"]  # fmt: skip
    fuse += ["--engine", "torch"]
    replay = ["replay", recording, "--out", folder / "report", *QUICK]
    detector = bright_cells(folder / "detector.onnx")
    written = {
        "gate.yaml": _GATE,
        "params.yaml": _PARAMETERS,
        "kalibr.yaml": _KALIBR,
        "camera_info.yaml": _CAMERA_INFO,
        "extrinsic.yaml": _EXTRINSIC,
        "labels.json": json.dumps(_labels()),
        "classes.txt": "lamp\n",
    }
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    good = {path.stem: path for path in map(folder.joinpath, written)}
    demo = root / "config" / "demo_calibration.yaml"
    weights = root / "fusion_ros" / "model" / "weights" / "compact.safetensors"

    def changed(path: Path) -> Path:
        return folder / f"f.{path.name}"

    calibrated = f"registration_calibration_file={changed(demo)}"
    detect = [*replay, "--no-report", "--detector", detector]
    return {
        "calibration": (demo, ["calibrate", "--show", changed(demo)]),
        "calibration in use": (
            demo,
            [*fuse, "--set", "registration_mode=homography", "--set", calibrated],
        ),
        "Kalibr file": (
            good["kalibr"],
            ["calibrate", "--import-kalibr", changed(good["kalibr"]), "--out", folder / "k.yaml"],
        ),
        "camera_info file": (
            good["camera_info"],
            ["calibrate", "--import-camera-info", changed(good["camera_info"]),
             good["camera_info"], "--extrinsic", good["extrinsic"], "--out", folder / "c.yaml"],
        ),
        "extrinsic file": (
            good["extrinsic"],
            ["calibrate", "--import-camera-info", good["camera_info"], good["camera_info"],
             "--extrinsic", changed(good["extrinsic"]), "--out", folder / "c.yaml"],
        ),
        "parameter file": (good["params"], [*fuse, "--params", changed(good["params"])]),
        "gate": (good["gate"], [*replay, "--no-report", "--gate", changed(good["gate"])]),
        "labels": (good["labels"], [*detect, "--labels", changed(good["labels"])]),
        "class names": (good["classes"], [*detect, "--classes", changed(good["classes"])]),
        "detector": (detector, [*replay, "--no-report", "--detector", changed(detector)]),
        "weights": (weights, [*fuse, "--weights", changed(weights)]),
    }  # fmt: skip


def _header_changed(tally: Tally, data: bytes) -> bytes:
    """Weights whose JSON header has another value somewhere, with the right length."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    inner = header["__metadata__"]["fusion_ros"]
    if tally.random.random() < 0.5:
        changed = mutations.of_text(tally.random, inner).decode(errors="replace")
        header["__metadata__"]["fusion_ros"] = changed
        text = json.dumps(header).encode()
    else:
        text = mutations.of_text(tally.random, json.dumps(header))
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def attack_pictures(tally: Tally) -> None:
    """Pictures of every format that `fuse` and `replay` read, changed by a little."""
    folder = clip(tally.folder / "clip", 1)
    colour = cv2.imread(str(folder / "vis" / "0000.png"))
    counts = cv2.imread(str(folder / "ir" / "0000.png"), cv2.IMREAD_UNCHANGED)
    good: list[tuple[str, str, np.ndarray]] = [
        ("vis", suffix, colour) for suffix in (".png", ".jpg", ".bmp", ".tif")
    ]
    good += [("ir", suffix, counts) for suffix in (".png", ".tif")]
    commands: list[Callable[[Path], list[object]]] = [
        lambda pair: ["fuse", "--visible", pair / "vis", "--thermal", pair / "ir", "--out",
                      tally.folder / "fused", "--engine", "torch"],
        lambda pair: ["replay", pair, "--out", tally.folder / "report", *QUICK, "--no-report"],
    ]  # fmt: skip
    while tally.has_time:
        kind, suffix, pixels = good[tally.tried % len(good)]
        pair = clip(tally.folder / "pair", 1)
        for old in (pair / kind).iterdir():
            old.unlink()
        data = cv2.imencode(suffix, pixels)[1].tobytes()
        changed = mutations.of_bytes(tally.random, data)
        file = pair / kind / f"0000{suffix}"
        file.write_bytes(changed)
        make = commands[tally.tried // len(good) % 2]
        what = f"{kind}{suffix} by {make(pair)[0]}"
        ended = attempt(tally, what, make(pair), file)
        is_cut = len(changed) < 0.75 * len(data)
        passed = ended is not None and ended.code == 0 and is_cut
        if passed and not _is_told(ended.text, tally.folder / "report", make(pair)[0]):
            detail = f"{len(changed)} of {len(data)} bytes: nothing is said about it"
            tally.breach("silent", what, detail, file)


def _is_told(text: str, report: Path, name: object) -> bool:
    """Whether the command says that the picture is not whole."""
    if name == "fuse":
        return "0000" in text
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    return bool(summary["findings"])


def _labels() -> dict[str, object]:
    return {
        "images": [
            {"id": n, "file_name": f"{n:04d}.png", "width": SIZE[0], "height": SIZE[1]}
            for n in range(3)
        ],
        "categories": [{"id": 1, "name": "lamp"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [10.0, 10.0, 20.0, 20.0],
             "iscrowd": 0} for n in range(3)
        ],
    }  # fmt: skip


_GATE = """limits:
  fused_share: {min: 0.5}
  sync.skew_ms.p95: {max: 15}
forbid: [time_jumped_back, swapped_topics]
forbid_severity: error
expect: []
"""
_PARAMETERS = """fuse_node:
  ros__parameters:
    tone_mode: percentile
    tone_low_percent: 1.0
    tone_high_percent: 99.0
    tone_dead_pixels: ''
    pairing_tolerance_ms: 20.0
    tone_clahe_tiles: 8
    fallback: true
"""
_CAMERA = """  camera_model: pinhole
  distortion_model: radtan
  distortion_coeffs: [0.01, 0.0, 0.0, 0.0]
  intrinsics: [60.0, 60.0, 32.0, 24.0]
  resolution: [64, 48]
"""
_KALIBR = f"""cam0:
{_CAMERA}cam1:
  T_cn_cnm1: [[1.0,0.0,0.0,0.05],[0.0,1.0,0.0,0.0],[0.0,0.0,1.0,0.0],[0.0,0.0,0.0,1.0]]
{_CAMERA}"""
_EXTRINSIC = """R: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
T: [0.05, 0.0, 0.0]
"""
_CAMERA_INFO = """image_width: 64
image_height: 48
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [60.0, 0.0, 32.0, 0.0, 60.0, 24.0, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.01, 0.0, 0.0, 0.0, 0.0]}
"""
