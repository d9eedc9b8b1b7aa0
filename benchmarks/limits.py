# SPDX-License-Identifier: Apache-2.0
"""How far from the machine's limits: matrix arithmetic and memory, measured, and our share.

python -m benchmarks.limits [--json FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.engines import weights_for
from benchmarks.timing import as_row, machine, measure, report
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.parity import golden_pair
from fusion_ros.model.byte_network import ByteNetwork


def matrix_peak_gflops(side: int = 2048) -> float:
    """float32 matrix product of PyTorch's library, all cores."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    out = torch.empty(side, side)
    sample = measure({"": lambda: torch.mm(a, b, out=out)}, runs=8, seconds=8)[""]
    return 2 * side**3 / sample.best_ms / 1e6


def memory_gigabytes_per_s(megabytes: int = 256) -> float:
    """Reading and writing a block that no cache holds."""
    source = torch.rand(megabytes << 18)
    target = torch.empty_like(source)
    sample = measure({"": lambda: target.copy_(source)}, runs=8, seconds=8)[""]
    return 2 * source.nbytes / sample.best_ms / 1e6


def activations_gigabytes(net: torch.nn.Module, height: int, width: int) -> float:
    """float32 read and written by the convolutions, each layer's answers going through memory."""
    total = 0

    def count(layer: object, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += 4 * (inputs[0].numel() + output.numel())

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
    return total / 1e9


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))
    print(machine())
    peak, memory = matrix_peak_gflops(), memory_gigabytes_per_s()
    print(f"measured limits: {peak:.0f} GFLOP/s float32, {memory:.1f} GB/s memory")
    rows = []
    for name in ("compact", "paper"):
        weights = weights_for(name)
        engine = create_engine(weights)
        pair = golden_pair(height, width, engine.visible_channels)
        sample = measure({"": lambda e=engine, p=pair: e.infer(*p)}, runs=20, seconds=8)[""]
        net = ByteNetwork(weights.net).net
        planes = (
            torch.zeros(1, engine.visible_channels, height, width),
            torch.zeros(1, 1, height, width),
        )
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            net(*planes)
        gflop = counter.get_total_flops() / 1e9
        gigabytes = activations_gigabytes(net, height, width)
        # Neither at its limit: what both together would take, one after the other.
        bound_ms = 1e3 * max(gflop / peak, gigabytes / memory)
        rate = gflop / sample.best_ms * 1e3
        print(
            f"{name}: {gflop:.2f} GFLOP in {sample.best_ms:.1f} ms is {rate:.0f} GFLOP/s, "
            f"{100 * rate / peak:.0f} % of the matrix peak; activations {gigabytes * 1e3:.0f} MB, "
            f"{100 * gigabytes / sample.best_ms * 1e3 / memory:.0f} % of memory bandwidth; "
            f"no faster than {bound_ms:.1f} ms"
        )
        labels = {"preset": name, "size": args.size, "gflop": gflop, "gigabytes": gigabytes}
        rows.append(as_row(sample, **labels, peak_gflops=peak, memory_gb_s=memory))
    report(args.json, "limits", rows)


if __name__ == "__main__":
    main()
