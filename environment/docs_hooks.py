# SPDX-License-Identifier: Apache-2.0
"""Pages of the documentation site that are generated from code and notebooks by mkdocs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

REPOSITORY = Path(__file__).resolve().parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages (mkdocs event `on_files`)."""
    from mkdocs.structure.files import File

    pages = {"reference/cli.md": command_line_page(), "reference/messages.md": messages_page()}
    notebooks = [file.src_uri for file in files if file.src_uri.endswith(".ipynb")]
    for uri in notebooks:
        text = (REPOSITORY / "docs" / uri).read_text(encoding="utf-8")
        pages[str(Path(uri).with_suffix(".md"))] = notebook_page(json.loads(text), Path(uri).name)
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


def notebook_page(notebook: dict[str, Any], name: str) -> str:
    """Return a notebook with its stored outputs as Markdown; the title is its first line."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            else:
                image = "".join(output["data"]["image/jpeg"].split())
                parts.append(f"![output of the cell above](data:image/jpeg;base64,{image})")
    title, rest = parts[0].split("\n", 1)
    link = f"This page is a notebook: [download]({name}). A test runs it and compares the outputs."
    return "\n\n".join([title, link, rest.strip(), *parts[1:]]) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()
