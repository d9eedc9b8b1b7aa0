# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros export`: create the shipped files from the weights of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from fusion_ros.engines.parity import Parity, compare, golden_pair
from fusion_ros.files.folders import discard, publish, reserved, stage
from fusion_ros.files.writing import write_bytes
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.onnx_export import export_onnx
from fusion_ros.model.onnx_file import onnx_path
from fusion_ros.model.weights import LoadedWeights, load_weights, save_weights
from training.config_file import import_files
from training.data.pairs import find_named_pairs
from training.data.reading import read_pair
from training.evaluate import network_fuser, scores_of
from training.run.progress import shown


def onnx_parity(weights: LoadedWeights, onnx: bytes, height: int = 96, width: int = 160) -> Parity:
    """Compare the ONNX file on ONNX Runtime with PyTorch."""
    import onnxruntime

    pair = golden_pair(height, width, weights.metadata.config.visible_channels)
    visible, thermal = (image.reshape(1, height, width, -1) for image in pair)
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"visible": visible, "thermal": thermal})
    net = ByteNetwork(weights.net).eval()
    with torch.inference_mode():
        wanted = net(torch.from_numpy(visible), torch.from_numpy(thermal)).numpy()
    return compare(got, wanted)


def measured(weights: Path, data: str) -> dict[str, float]:
    """Return the mean qw and qe of 8-bit outputs on ``KIND=FOLDER``, named after the folder."""
    fuser, rows = network_fuser(str(weights)), []
    for pair in find_named_pairs("--score", data):
        visible, thermal = read_pair(pair)[0]
        rows.append(scores_of(fuser(pair.name, visible, thermal), visible, thermal, ["qw", "qe"]))
    name = Path(data.partition("=")[2]).resolve().name
    return {f"{name}_{m}": round(float(np.mean([r[m] for r in rows])), 4) for m in ("qw", "qe")}


def run(options: argparse.Namespace) -> int:
    """Run `fusion-ros export`; returns the exit code."""
    import_files(options.modules)
    loaded = load_weights(options.weights)
    scores = dict(loaded.metadata.metrics)
    if options.score:
        scores |= measured(options.weights, options.score)
    name = options.name or loaded.metadata.preset
    if Path(name).name != name or "\0" in name:
        raise ValueError(f"--name is {name!r}; allowed is a file name without a folder")
    target = options.out / f"{name}.safetensors"
    if options.half and target.exists() and target.samefile(options.weights):
        raise ValueError(f"--half would replace {target} by its rounding; use another --name")
    with reserved(options.out):
        staging = stage(options.out)
        try:
            _write(staging / target.name, loaded, scores, options)
            publish(staging, [target.name, onnx_path(target).name])
        finally:
            discard(staging)
    return 0


def _write(
    path: Path, loaded: LoadedWeights, scores: dict[str, float], options: argparse.Namespace
) -> None:
    """Write both files, and print their sizes and figures."""
    metadata = save_weights(
        path,
        loaded.net,
        training_data=loaded.metadata.training_data,
        metrics=scores,
        version=options.version or loaded.metadata.version,
        dtype=torch.float16 if options.half else torch.float32,
    )
    weights = load_weights(path)
    onnx = export_onnx(weights, half=options.half)
    write_bytes(onnx_path(path), onnx)
    parity = onnx_parity(weights, onnx)
    described = f", {shown(metadata.metrics)}" if metadata.metrics else ""
    for file, what in ((path, described), (onnx_path(path), f", {parity}")):
        file.chmod(0o644)
        print(f"{options.out / file.name}: {file.stat().st_size / 1e6:.2f} MB{what}")
