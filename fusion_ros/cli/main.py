# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros`: one command with sub-commands, each in a module of its own.

A sub-command's module adds its parser at start and imports heavy packages only when it runs, so
that `--help` responds at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from fusion_ros import __version__
from fusion_ros.cli import build_engine, calibrate, demo, doctor, fuse, node, record, training
from fusion_ros.cli.exit_codes import COULD_NOT_RUN, DONE, TABLE, reported
from fusion_ros.cli.replay import command as replay
from fusion_ros.engines.process import configure_process
from fusion_ros.outside_text import LINE_LIMIT, escape_output, printable

_DESCRIPTION = """\
Pairs the images of an RGB and a thermal camera and fuses each pair into one image.

  fusion-ros doctor                       check this machine: engines, ROS, missing parts
  fusion-ros demo                         synthetic cameras and the fuse node, end to end
  fusion-ros fuse v.png --thermal t.png --out fused/
  fusion-ros fuse folder/ --out fused/    images or videos of both cameras, paired by their names
  fusion-ros record clips/ bag            write a bag from images, videos or live topics
  fusion-ros replay bag --out report      evaluate a recording: report, figures, verdict
  fusion-ros calibrate --from-pairs bag --out rig.yaml
  fusion-ros node --params fuse.yaml      run the fuse node, with or without a ROS distribution
  fusion-ros build-engine --size 640x480  build a TensorRT engine ahead of time
  fusion-ros train my.yaml                train a network; then: evaluate, export
"""
_EPILOG = f"""\
`fusion-ros COMMAND --help` describes a command, with examples. Completion in bash and zsh, with the
package argcomplete: eval "$(register-python-argcomplete fusion-ros)"

{TABLE}"""


COMMANDS = (fuse, demo, node, record, replay, calibrate, build_engine, training, doctor)


class _Parser(argparse.ArgumentParser):
    """A parser that keeps the line breaks of its examples, and prints errors on one line.

    Arguments of a command may stand between its options. Unknown words are answered with the
    nearest one.

    >>> parser().parse_args(["record", "vis", "--thermal", "ir", "bag"]).out
    PosixPath('bag')
    """

    _given: Sequence[str] | None = None

    def __init__(self, *, description: str, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        if "\n" not in description:
            description = textwrap.fill(description, 96)
        super().__init__(description=description, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse`."""
        # argparse mixes arguments neither around -- nor with sub-commands, and argcomplete needs
        # its plain parser.
        is_plain = self._given is not None or self._subparsers is not None
        if is_plain or "--" in args or "_ARGCOMPLETE" in os.environ:
            return super().parse_known_args(args, namespace)
        self._given = args
        try:
            found, unknown = self.parse_known_intermixed_args(args, namespace)
            if unknown:
                text = f"unknown arguments: {' '.join(unknown)}"
                if "--thermal" in self._option_string_actions and not unknown[0].startswith("-"):
                    text += "; --thermal gives the thermal file or folder"
                self.error(text)
        finally:
            self._given = None
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print the message on one line, an unknown option or word first, and exit with 2."""
        options = list(self._option_string_actions)
        near: list[str] = []
        if wrong := re.search(r"invalid choice: '(.*?)' (.*)", message):
            near = get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]), 1)
        for option in self._given or ():
            name = option.partition("=")[0]
            if name.startswith("--") and not any(o.startswith(name) for o in options):
                message = f"unknown option {name}"
                near = _options_like(name, options)
                break
        hint = f"; did you mean {near[0]}?" if near else ""
        line = printable(message, LINE_LIMIT)
        self.exit(COULD_NOT_RUN, f"{self.prog}: {line}{hint} (see {self.prog} --help)\n")


def _options_like(name: str, options: Sequence[str]) -> list[str]:
    """Return the options, or parameters of the fuse node for `--set`, that resemble a name."""
    from fusion_ros.parameters import SPECS

    known = {option: option for option in options}
    if "--set" in options:
        known |= {f"--{s.name.replace('_', '-')}": f"--set {s.name}=..." for s in SPECS}
    same_word = [option for option in options if name.strip("-") in option.split("-")]
    return same_word or [known[near] for near in get_close_matches(name, known, 1, 0.7)]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    result = _Parser(prog="fusion-ros", description=_DESCRIPTION, epilog=_EPILOG)
    result.add_argument("--version", action="version", version=f"fusion-ros {__version__}")
    subparsers = result.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code."""
    escape_output()
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell requests completions of an unfinished line
        import argcomplete

        argcomplete.autocomplete(whole)
    args = whole.parse_args(arguments)
    if args.command is None:
        whole.print_help()
        return DONE
    configure_process()
    # Of OpenCV alone they name no file; the commands report each of these errors themselves.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    return reported(f"fusion-ros {args.command}", lambda: args.run(args))


if __name__ == "__main__":
    sys.exit(main())
