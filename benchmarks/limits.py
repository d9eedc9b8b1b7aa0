# SPDX-License-Identifier: Apache-2.0
"""Measure the machine's limits of arithmetic and memory, and the share that engines reach.

python -m benchmarks.limits [--size 640x480] [--engine auto] [--json FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import as_row, machine, measure, report
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.cpu import cpu_has_fast_bfloat16
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.weights import load_weights, shipped_weights

BYTES = {"float32": 4, "bfloat16": 2}


def matrix_peak_gflops(precision: str, side: int = 2048) -> float:
    """Return the rate of a square matrix product on all cores, of two libraries of PyTorch.

    These are its product and a 1x1 convolution of the same size. On an AMD CPU the product reaches
    half the rate of the convolution in float32.
    """
    dtype = getattr(torch, precision)
    a, b = torch.rand(side, side).to(dtype), torch.rand(side, side).to(dtype)
    out = torch.empty(side, side, dtype=dtype)
    planes = a.reshape(1, side, 32, side // 32).to(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(side, side, 1, bias=False).to(dtype)
    layer = layer.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        samples = measure(
            {"product": lambda: torch.mm(a, b, out=out), "convolution": lambda: layer(planes)},
            runs=12,
            seconds=6,
        )
    return 2 * side**3 / min(sample.best_ms for sample in samples.values()) / 1e6


def memory_gigabytes_per_s(megabytes: int = 256) -> float:
    """Return the rate of copying a block larger than all caches."""
    source = torch.rand(megabytes << 18)
    target = torch.empty_like(source)
    sample = measure({"": lambda: target.copy_(source)}, runs=12, seconds=6)[""]
    return 2 * source.nbytes / sample.best_ms / 1e6


def activations(net: torch.nn.Module, height: int, width: int) -> int:
    """Return the number of values that the convolutions read and write."""
    total = 0

    def count(layer: object, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += inputs[0].numel() + output.numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in net.modules()
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
    ]
    channels = net.config.visible_channels
    with torch.inference_mode():
        net(torch.zeros(1, channels, height, width), torch.zeros(1, 1, height, width))
    for hook in hooks:
        hook.remove()
    return total


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=image_size, default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    configure_process()
    width, height = args.size
    size = f"{width}x{height}"
    print(machine())
    precisions = ["float32", "bfloat16"] if cpu_has_fast_bfloat16() else ["float32"]
    peaks = {precision: matrix_peak_gflops(precision) for precision in precisions}
    memory = memory_gigabytes_per_s()
    measured = ", ".join(f"{peak:.0f} GFLOP/s {precision}" for precision, peak in peaks.items())
    print(f"measured limits: {measured}, {memory:.1f} GB/s memory")
    rows = []
    for name in ("compact", "paper"):
        weights = load_weights(shipped_weights(name))
        channels = weights.metadata.config.visible_channels
        net = ByteNetwork(weights.net).net
        planes = torch.zeros(1, channels, height, width), torch.zeros(1, 1, height, width)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            net(*planes)
        gflop, numbers = counter.get_total_flops() / 1e9, activations(net, height, width)
        for precision, peak in peaks.items():
            engine = create_engine(weights, name=args.engine, device="cpu", precision=precision)
            pair = golden_pair(height, width, channels)
            sample = measure({"": lambda e=engine, p=pair: e.infer(*p)}, runs=30, seconds=5)[""]
            gigabytes = numbers * BYTES[precision] / 1e9
            row = as_row(
                sample,
                preset=name,
                size=size,
                precision=precision,
                engine=engine.describe().name,
                gflop=gflop,
                gigabytes=gigabytes,
                peak_gflops=peak,
                memory_gb_s=memory,
                gflops=gflop / sample.median_ms * 1e3,
                peak_percent=1e5 * gflop / sample.median_ms / peak,
                memory_percent=1e5 * gigabytes / sample.median_ms / memory,
                # Time of the arithmetic alone or of the memory alone at its limit.
                bound_ms=1e3 * max(gflop / peak, gigabytes / memory),
            )
            rows.append(row)
            print(
                f"{name} {precision} on {row['engine']}: {gflop:.2f} GFLOP in "
                f"{sample.median_ms:.2f} ms ({sample.best_ms:.2f} best) is {row['gflops']:.0f} "
                f"GFLOP/s, {row['peak_percent']:.0f} % of the matrix peak; activations "
                f"{gigabytes * 1e3:.0f} MB, {row['memory_percent']:.0f} % of memory bandwidth; "
                f"no faster than {row['bound_ms']:.2f} ms"
            )
    report(args.json, "limits", rows)


if __name__ == "__main__":
    main()
