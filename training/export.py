# SPDX-License-Identifier: Apache-2.0
"""``python -m training.export``: create the shipped files from the weights of a run.

    python -m training.export --weights runs/compact/weights.safetensors --out DIR
        [--name compact] [--half] [--score tno=DIR] [--version 1.0] [--no-onnx]

Writes ``NAME.safetensors`` (with the results of ``--score`` in its metadata) and ``NAME.onnx``
(dynamic height and width, multiples of the network's stride), and prints the largest difference
between PyTorch and ONNX Runtime.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from fusion_ros.files.writing import new_file_path
from fusion_ros.model.network import FusionNet
from fusion_ros.model.rewrites import optimise_for_inference
from fusion_ros.model.weights import WeightsError, load_weights, save_weights
from training.evaluate import evaluate, network_fuser
from training.pairs import DataSetError, find_pairs

OPSET = 18


def export_onnx(net: FusionNet, path: Path) -> None:
    """Write the inference form of a network as ONNX: inputs ``visible``, ``thermal``, float32."""
    side = net.config.stride * 2
    visible = torch.zeros(1, net.config.visible_channels, side, side)
    thermal = torch.zeros(1, 1, side, side)
    sizes = {0: "batch", 2: "height", 3: "width"}
    with new_file_path(path) as unfinished, warnings.catch_warnings():
        # The tracing exporter warns that it is deprecated; it supports dynamic sizes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            optimise_for_inference(net),
            (visible, thermal),
            str(unfinished),
            input_names=["visible", "thermal"],
            output_names=["fused"],
            dynamic_axes={"visible": sizes, "thermal": sizes, "fused": sizes},
            opset_version=OPSET,
            dynamo=False,
        )


def onnx_difference(net: FusionNet, path: Path, height: int = 96, width: int = 160) -> float:
    """Return the largest difference between PyTorch and ONNX Runtime on noise (range 2)."""
    import onnxruntime

    generator = torch.Generator().manual_seed(0)
    shape = (1, net.config.visible_channels, height, width)
    visible = torch.rand(shape, generator=generator) * 2 - 1
    thermal = torch.rand((1, 1, height, width), generator=generator) * 2 - 1
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"visible": visible.numpy(), "thermal": thermal.numpy()})
    with torch.inference_mode():
        expected = net(visible, thermal).numpy()
    return float(np.abs(result - expected).max())


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
    parser.add_argument("--half", action="store_true", help="store the tensors as float16")
    parser.add_argument("--score", help="KIND=FOLDER for qw and qe in the metadata")
    parser.add_argument("--version", help="version of these weights; default: that of the file")
    parser.add_argument("--no-onnx", action="store_true")
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
    if not options.no_onnx:
        net = load_weights(target).net
        path = target.with_suffix(".onnx")
        export_onnx(net, path)
        print(f"{path}: largest difference to PyTorch {onnx_difference(net, path):.2e} of 2")
    return 0


if __name__ == "__main__":
    sys.exit(main())
