# SPDX-License-Identifier: Apache-2.0
"""``python -m training.export``: create the shipped files from the weights of a run.

    python -m training.export --weights runs/compact/weights.safetensors --out DIR
        [--name compact] [--half] [--score tno=DIR] [--version 1.0]

Writes ``NAME.safetensors`` (with the results of ``--score`` in its metadata) and ``NAME.onnx``,
which a node without PyTorch runs, and prints the difference between the images of both.
For the weights that ship, DIR is fusion_ros/model/weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from fusion_ros.engines.parity import Parity, compare, golden_pair
from fusion_ros.files.writing import write_bytes
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.onnx_export import export_onnx
from fusion_ros.model.onnx_file import onnx_path
from fusion_ros.model.weights import LoadedWeights, WeightsError, load_weights, save_weights
from training.evaluate import evaluate, network_fuser
from training.pairs import DataSetError, find_pairs


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
    kind, equals, root = data.partition("=")
    if not equals:
        raise DataSetError(f"--score is {data!r}; allowed is KIND=FOLDER")
    pairs = find_pairs(kind, Path(root)).pairs
    rows = evaluate({"net": network_fuser(str(weights))}, pairs, ["qw", "qe"], None)["net"]
    name = Path(root).name
    return {f"{name}_{m}": round(float(np.mean([r[m] for r in rows])), 4) for m in ("qw", "qe")}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", help="file name without suffix; default the preset")
    parser.add_argument("--half", action="store_true", help="store tensors and kernels as float16")
    parser.add_argument("--score", help="KIND=FOLDER for qw and qe in the metadata")
    parser.add_argument("--version", help="version of these weights; default: that of the file")
    options = parser.parse_args(arguments)
    try:
        loaded = load_weights(options.weights)
        scores = dict(loaded.metadata.metrics)
        if options.score:
            scores |= measured(options.weights, options.score)
        options.out.mkdir(parents=True, exist_ok=True)
        name = options.name or loaded.metadata.preset
        target = options.out / f"{name}.safetensors"
        metadata = save_weights(
            target,
            loaded.net,
            training_data=loaded.metadata.training_data,
            metrics=scores,
            version=options.version or loaded.metadata.version,
            dtype=torch.float16 if options.half else torch.float32,
        )
        target.chmod(0o644)
    except (WeightsError, DataSetError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB, {dict(metadata.metrics)}")
    weights = load_weights(target)
    onnx = export_onnx(weights, half=options.half)
    write_bytes(onnx_path(target), onnx)
    onnx_path(target).chmod(0o644)
    print(f"{onnx_path(target)}: {len(onnx) / 1e6:.2f} MB, {onnx_parity(weights, onnx)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
