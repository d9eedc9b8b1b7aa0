# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros train`, `evaluate` and `export`: the training workspace of a checkout."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

_TRAIN = """\
examples:
  fusion-ros train training/configs/compact_own_cameras.yaml train='[{kind: folders, root: my}]'
  fusion-ros train my.yaml --prepare     decode the data sets and print what was found
  fusion-ros train my.yaml loss.qe=2     change one value of the file

The same command resumes a run that was stopped. On several GPUs or machines:
torchrun --nproc-per-node=4 -m fusion_ros.cli.main train my.yaml
"""
_EVALUATE = """\
examples:
  fusion-ros evaluate --weights compact --data tno=data/tno21 --out results/
  fusion-ros evaluate --weights my.safetensors compact --data folders=my --peers rivals/ --out r/

All methods are scored on grey images rounded to 8 bit. The folder of --out receives table.md,
table.csv, per_image.csv, contact_sheet.png and the fused images; several data sets have a folder
each. Each score is written at once, and the same command computes only those that are missing.
"""
_EXPORT = """\
examples:
  fusion-ros export --weights runs/mine/weights.safetensors --out ship/ --name mine

Writes NAME.safetensors and NAME.onnx, which a node without PyTorch runs, and prints the difference
between the images of both. For the weights that ship, --out is fusion_ros/model/weights.
"""


def add_parser(subparsers: Any) -> None:
    """Add the three commands to the sub-commands of `fusion-ros`."""
    _add_train(subparsers)
    _add_evaluate(subparsers)
    _add_export(subparsers)


def _add_train(subparsers: Any) -> None:
    parser = _command(subparsers, "train", "train a network on aligned pairs", _TRAIN)
    parser.add_argument("config", type=Path, help="YAML file, such as training/configs/*.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the file")
    parser.add_argument(
        "--prepare", action="store_true", help="decode the data sets, report on them, and end"
    )


def _add_evaluate(subparsers: Any) -> None:
    parser = _command(
        subparsers, "evaluate", "score and rank networks, rivals and classical methods", _EVALUATE
    )
    parser.add_argument("--weights", nargs="*", default=[], help="weights files or preset names")
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="KIND=FOLDER",
        help="data sets, such as tno=data/tno21 (kinds: training/README.md)",
    )  # fmt: skip
    parser.add_argument("--split", type=Path, help="file with the names of the pairs to use")
    parser.add_argument(
        "--peers", type=Path, metavar="DIR",
        help="folder of folders of other people's results, named like the visible images",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and images")
    parser.add_argument("--measures", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--no-baselines", action="store_true", help="leave out classical methods")
    _add_modules(parser)


def _add_export(subparsers: Any) -> None:
    parser = _command(subparsers, "export", "write the weights of a run as files to ship", _EXPORT)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", help="file name without suffix (default: the preset)")
    parser.add_argument("--half", action="store_true", help="store tensors and kernels as float16")
    parser.add_argument("--score", metavar="KIND=FOLDER", help="qw and qe in the metadata")
    parser.add_argument("--version", help="version of these weights (default: that of the file)")
    _add_modules(parser)


def _add_modules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--modules", nargs="*", default=[], metavar="FILE",
        help="Python files that register the layouts of the weights",
    )  # fmt: skip


def _command(subparsers: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the module of the command in `training/`."""
    try:
        module = importlib.import_module(f"training.{args.command}")
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"{error.name} is not installed; allowed: a checkout of fusion_ros with "
            "pip install -e '.[train]'"
        ) from error
    code: int = module.run(args)
    return code
