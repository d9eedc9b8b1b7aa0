# SPDX-License-Identifier: Apache-2.0
"""Declaration of command-line options, and the options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from fusion_ros.cli.argument_types import number

Group = argparse._ActionsContainer  # noqa: SLF001 -- argparse has no public name
"""A parser, or a group of its options."""


class Option(NamedTuple):
    """An option or argument; see `opt`."""

    flags: tuple[str, ...]
    settings: dict[str, Any]


def opt(names: str, help: str, **settings: Any) -> Option:
    """Return an option: "--name PLACEHOLDER", or "name PLACEHOLDER" for an argument.

    "-n --name PLACEHOLDER" has two names.

    A placeholder makes the value a text unless `settings` of `add_argument` name another type;
    without one the option is a switch. PATH, FILE and DIR stand for a `Path`.
    """
    words = names.split()
    flags = [words[0], *(word for word in words[1:] if word.startswith("-"))]
    placeholders = words[len(flags) :]
    if placeholders:
        settings["metavar"] = tuple(placeholders) if len(placeholders) > 1 else placeholders[0]
        if placeholders[0] in ("PATH", "FILE", "DIR"):
            settings.setdefault("type", Path)
    else:
        settings.setdefault("action", "store_true")
    return Option(tuple(flags), {**settings, "help": help})


def parameter_values(args: argparse.Namespace, **options: str) -> dict[str, Any]:
    """Return the node's parameters of --params, --set and the options for one of them.

    `options` names the parameters of options beside those of the network and the engine.

    Raises:
        ValueError: a parameter file or assignment is unusable.
    """
    from fusion_ros.parameters.files import read_parameters

    values = read_parameters(args.params, args.set)
    names = dict.fromkeys(("preset", "weights", "engine", "device"))
    for option, parameter in {**names, **options}.items():
        value = getattr(args, option)
        if value is not None:
            values[parameter or option] = str(value) if isinstance(value, Path) else value
    return values


def add_options(group: Group, *options: Option) -> None:
    """Add options to a parser or to a group of its options."""
    for flags, settings in options:
        group.add_argument(*flags, **settings)


# fmt: off
PARAMETERS = (
    opt("--params FILE", "ROS 2 parameter file of the fuse node, such as config/fuse.yaml"),
    opt("--set NAME=VALUE", "one parameter of the fuse node, such as tone_mode=percentile; "
        "repeatable, overrides --params (list: docs/reference/parameters.md)",
        action="append", default=[]),
)
"""The fuse node's parameters."""

TOPICS = tuple(
    opt(f"--{stream}-topic TOPIC", f"{stream} image topic of a bag, such as /{stream}/image_raw "
        "(default: chosen by message type and name)")
    for stream in ("visible", "thermal")
)

MATCHING = (
    opt("--pairs FILE", "CSV file with a pair in each row: visible path, thermal path; relative to "
        "its folder"),
    opt("--pattern VISIBLE THERMAL", "names of the two cameras' files with {} for the part that "
        "both share, such as rgb_{} lwir_{}", nargs=2),
    opt("--by-order", "pair files by their position in sorted order instead of by their names; "
        "needs the same number of both"),
    opt("--frame-rate HZ", "frames per second of images (default: the times in their names, else "
        "30), and of videos that do not state theirs", type=number(0, above=True)),
    opt("--dry-run", "print the pairs, their rules and the files left over, and end"),
)
TOLERANCE = opt("--tolerance-ms MS", "largest difference, in milliseconds, of two time stamps that "
                "belong together (default: %(default)g)", type=number(0), default=20.0)

ENGINE = (
    opt("--engine NAME", "inference back end: auto, torch, openvino or tensorrt (default: auto, "
        "the first that runs here)"),
    opt("--device NAME", "auto, cpu or cuda (default: auto, a GPU where one is usable)"),
)
# fmt: on


def add_weights(parser: Group) -> None:
    """Add `--preset` or `--weights`, the network."""
    add_options(
        parser.add_mutually_exclusive_group(),
        opt(
            "--preset NAME",
            "network whose shipped weights are used: compact (default), compact_permissive (for "
            "products) or paper",
        ),
        opt("--weights FILE", "weights of your own, a .safetensors file"),
    )
