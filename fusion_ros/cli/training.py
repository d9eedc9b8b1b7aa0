# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros train`, `evaluate` and `export`: the training workspace of a checkout."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from fusion_ros.cli.argument_types import result_folder
from fusion_ros.cli.options import add_options, opt
from fusion_ros.metrics.names import HIGHER_IS_BETTER

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


# fmt: off
_MODULES = opt("--modules FILE", "Python files that register the layouts of the weights", type=str,
               nargs="*", default=[])
_COMMANDS = (
    ("train", "train a network on aligned pairs", _TRAIN, (
        opt("config FILE", "YAML file, such as training/configs/*.yaml"),
        opt("overrides KEY=VALUE", "changes to the file", nargs="*", default=[]),
        opt("--prepare", "decode the data sets, report on them, and end"),
    )),
    ("evaluate", "score and rank networks, rivals and classical methods", _EVALUATE, (
        opt("--weights NAME", "weights files or preset names", nargs="*", default=[]),
        opt("--data KIND=FOLDER", "data sets, such as tno=data/tno21 (kinds: training/README.md)",
            nargs="+", required=True),
        opt("--split FILE", "file with the names of the pairs to use"),
        opt("--peers DIR", "folder of folders of other people's results, named like the visible "
            "images"),
        opt("--out DIR", "folder for tables and images", required=True, type=result_folder),
        opt("--measures NAME", f"measures to compute (default: all): {', '.join(HIGHER_IS_BETTER)}",
            nargs="*"),
        opt("--no-baselines", "leave out classical methods"),
        _MODULES,
    )),
    ("export", "write the weights of a run as files to ship", _EXPORT, (
        opt("--weights FILE", "weights of a run", required=True),
        opt("--out DIR", "folder for the files", required=True, type=result_folder),
        opt("--name NAME", "file name without suffix (default: the preset)"),
        opt("--half", "store tensors and kernels as float16"),
        opt("--score KIND=FOLDER", "data set whose qw and qe are stored in the metadata"),
        opt("--version TEXT", "version of these weights (default: that of the file)"),
        _MODULES,
    )),
)
# fmt: on


def add_parser(subparsers: Any) -> None:
    """Add the three commands to the sub-commands of `fusion-ros`."""
    for name, what, epilog, options in _COMMANDS:
        description = f"{what[0].upper()}{what[1:]}."
        parser = subparsers.add_parser(name, help=what, description=description, epilog=epilog)
        add_options(parser, *options)
        parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the module of the command in `training/`."""
    if sys.stderr.isatty():
        print("loading PyTorch ...", file=sys.stderr)
    try:
        module = importlib.import_module(f"training.{args.command}")
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"{error.name} is not installed; allowed: a checkout of fusion_ros with "
            "pip install -e '.[train]'"
        ) from error
    code: int = module.run(args)
    return code
