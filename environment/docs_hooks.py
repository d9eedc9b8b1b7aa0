# SPDX-License-Identifier: Apache-2.0
"""Pages of the documentation site that are generated from the code when mkdocs builds it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

REPOSITORY = Path(__file__).resolve().parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated reference pages (mkdocs event `on_files`)."""
    from mkdocs.structure.files import File

    pages = {"reference/cli.md": command_line_page(), "reference/messages.md": messages_page()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def command_line_page() -> str:
    """Return the help of `fusion-ros` and of each sub-command as Markdown."""
    from fusion_ros.cli.main import parser

    parts = ["# Command line", "Generated from the program's own `--help`."]
    for command in _commands(parser()):
        parts += [f"## {command.prog}", f"```text\n{command.format_help().strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def messages_page() -> str:
    """Return every message definition as Markdown."""
    parts = ["# Messages", "Generated from `msg/`. Each field's comment is its specification."]
    for path in sorted((REPOSITORY / "msg").glob("*.msg")):
        parts += [f"## fusion_ros/msg/{path.stem}", f"```text\n{path.read_text().strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()
