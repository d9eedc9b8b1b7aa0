# SPDX-License-Identifier: Apache-2.0
"""Compare one call for several camera pairs with one call for each pair.

    python -m benchmarks.batch [--pairs 1 2 4 8] [--size 640x480] [--json FILE]

The network accepts batches, an `Engine` one pair. This measures the gain of a batch.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import HEADER, as_row, machine, measure, report
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.cpu import cpu_has_fast_bfloat16
from fusion_ros.engines.cuda_graphs import CudaGraphs
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import LoadedWeights, load_weights, shipped_weights

#: Function of a batch: (N, H, W, C) `uint8` visible and thermal.
BatchCall = Callable[[np.ndarray, np.ndarray], Any]


def torch_cpu(weights: LoadedWeights, pairs: int, height: int, width: int) -> BatchCall:
    """Return a function that runs PyTorch as `TorchEngine` does."""
    dtype = torch.bfloat16 if cpu_has_fast_bfloat16() else torch.float32
    net = ByteNetwork(weights.net, dtype).eval().to(memory_format=torch.channels_last)

    def run(visible: np.ndarray, thermal: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return net(torch.from_numpy(visible), torch.from_numpy(thermal))

    return run


def torch_cuda(weights: LoadedWeights, pairs: int, height: int, width: int) -> BatchCall:
    """Return the same on a GPU, including copies."""
    device = torch.device("cuda", 0)
    net = ByteNetwork(weights.net, torch.float16).eval().to(device)
    graphs = CudaGraphs(net.to(memory_format=torch.channels_last), device)
    out = np.empty((pairs, height, width, weights.metadata.config.output_channels), np.uint8)

    def run(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            graphs(visible, thermal, out)
        return out

    return run


def openvino(weights: LoadedWeights, pairs: int, height: int, width: int) -> BatchCall:
    """Return a function that runs OpenVINO with the options of `OpenVinoEngine`."""
    from fusion_ros.engines.openvino_engine import OpenVinoEngine

    engine = OpenVinoEngine(weights)
    model = engine._converted()
    seen, felt = model.inputs
    channels = engine.visible_channels
    model.reshape({seen: [pairs, height, width, channels], felt: [pairs, height, width, 1]})
    request = engine._core.compile_model(model, "CPU", engine._options).create_infer_request()
    return lambda visible, thermal: request.infer(
        [visible, thermal], share_inputs=True, share_outputs=True
    )


def ways() -> dict[str, Callable[..., BatchCall]]:
    """Return the available functions by name."""
    result: dict[str, Callable[..., BatchCall]] = {"torch cpu": torch_cpu}
    if importlib.util.find_spec("openvino") is not None:
        result["openvino cpu"] = openvino
    if torch.cuda.is_available():
        result["torch cuda"] = torch_cuda
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="compact", choices=PRESETS)
    parser.add_argument("--pairs", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--size", type=image_size, default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = args.size
    size = f"{width}x{height}"
    weights = load_weights(shipped_weights(args.preset))
    configure_process()
    visible, thermal = golden_pair(height, width, weights.metadata.config.visible_channels)
    print(machine())
    print(f"{args.preset} {size}, ms a pair {'':14s} {HEADER}")
    rows = []
    for way, make in ways().items():
        single = make(weights, 1, height, width)
        for pairs in args.pairs:
            batch = make(weights, pairs, height, width)
            seen = np.tile(visible.reshape(1, height, width, -1), (pairs, 1, 1, 1))
            felt = np.tile(thermal.reshape(1, height, width, 1), (pairs, 1, 1, 1))

            def one_by_one(
                single: BatchCall = single, seen: np.ndarray = seen, felt: np.ndarray = felt
            ) -> None:
                for index in range(len(seen)):
                    single(seen[index : index + 1], felt[index : index + 1])

            samples = measure(
                {
                    "one call": lambda batch=batch, seen=seen, felt=felt: batch(seen, felt),
                    "one by one": one_by_one,
                },
                runs=30,
                seconds=4,
            )
            for name, sample in samples.items():
                each = sample.divided_by(pairs)
                print(f"  {way:12s} {pairs} pairs, {name:11s}   {each}")
                labels = {"engine": way, "pairs": pairs, "how": name, "size": size}
                rows.append(as_row(each, **labels, preset=args.preset))
    report(args.json, "batch", rows)


if __name__ == "__main__":
    main()
