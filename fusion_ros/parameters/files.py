# SPDX-License-Identifier: Apache-2.0
"""Read parameter files as ROS 2 does; generate the default file and the reference page.

    python -m fusion_ros.parameters.files

writes `config/fuse.yaml` and `docs/reference/parameters.md`. A test compares both with the table.
"""

from __future__ import annotations

import itertools
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusion_ros.files.reading import MalformedFileError, UnreadableFileError, parse_yaml, read_bytes
from fusion_ros.files.writing import write_text
from fusion_ros.outside_text import printable
from fusion_ros.parameters.specification import ParameterError, Value
from fusion_ros.parameters.table import SPECS

REPOSITORY = Path(__file__).resolve().parents[2]
_DEEPEST_NAMESPACE = 16
_FUSE_NODE = re.compile(r"(/\w+|/\*+)*/(fuse_node|\*{1,2})")


def read_parameters(file: Path | None, assignments: Sequence[str] = ()) -> dict[str, Any]:
    """Return the unchecked values of a parameter file and of NAME=VALUE texts, which win.

    Args:
        file: a ROS 2 parameter file. Sections for every node (`/**`) and for nodes named
            `fuse_node` are read; a file with a single section may have it under any name.
        assignments: values in YAML syntax, for instance "tone_mode=percentile".

    Raises:
        ParameterError: a malformed or unreadable file, or a malformed text.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values.update(_of_the_fuse_node(file))
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"parameter {printable(repr(text))}: allowed is NAME=VALUE")
        prefix = f"parameter {printable(repr(text))}: the value is not YAML"
        values[name.strip()] = _from_yaml(value, prefix)
    return values


def check_section(file: Path, node: str) -> None:
    """Check that ROS applies a section of a parameter file to a node, such as /front/fuse_node.

    ROS is silent otherwise.

    Raises:
        ParameterError: a malformed or unreadable file, or no section is for the node.
    """
    names = list(_read_sections(file))
    if not any(re.fullmatch(_pattern(name), node) for name in names):
        raise _no_section(file, names, node)


def _pattern(section: str) -> str:
    """Return the regular expression for the names of nodes that a section of ROS is for."""
    tokens = {"**": "(/[^/]+)*", "*": "/[^/]+"}
    return "".join(tokens.get(part, f"/{re.escape(part)}") for part in section.split("/") if part)


def _no_section(file: Path, names: Sequence[str], node: str) -> ParameterError:
    found = printable(", ".join(names)) or "none"
    return ParameterError(
        f"parameter file {printable(file, 300)} has no section with ros__parameters for "
        f"{printable(node)} (sections: {found}); allowed is one named /** or {printable(node)}, as "
        "in config/fuse.yaml"
    )


def _read_sections(file: Path) -> dict[str, dict[str, Any]]:
    try:
        written = read_bytes(file)
    except UnreadableFileError as error:
        raise ParameterError(f"parameter file {error}") from error
    return _sections(_from_yaml(written, f"parameter file {printable(file, 300)} is not YAML"))


def _of_the_fuse_node(file: Path) -> dict[str, Any]:
    """Return the fuse node's values in the file, without the parameters of rclpy itself."""
    sections = _read_sections(file)
    meant = {name: given for name, given in sections.items() if _FUSE_NODE.fullmatch(name)}
    if not meant and len(sections) == 1:
        meant = sections
    if not meant:
        raise _no_section(file, list(sections), "fuse_node")
    values: dict[str, Any] = {}
    # As in ROS, the node's own section takes priority over `/**`.
    for name in sorted(meant, key=lambda name: "*" not in name):
        values |= meant[name]
    return {k: v for k, v in values.items() if k != "use_sim_time" and k != "qos_overrides"}


def _sections(loaded: Any, inside: str = "", depth: int = 0) -> dict[str, dict[str, Any]]:
    """Return each `ros__parameters` mapping by its full name; namespaces may be nested."""
    found: dict[str, dict[str, Any]] = {}
    if depth > _DEEPEST_NAMESPACE:  # YAML can refer to itself
        return found
    for key, content in loaded.items() if isinstance(loaded, dict) else ():
        name = f"{inside}/{str(key).strip('/')}"
        given = content.get("ros__parameters") if isinstance(content, dict) else None
        if isinstance(given, dict):
            found[name] = given
        else:
            found |= _sections(content, name, depth + 1)
    return found


def _from_yaml(text: bytes | str, prefix: str) -> Any:
    try:
        return parse_yaml(text)
    except MalformedFileError as error:
        raise ParameterError(f"{prefix}: {error}") from error


def as_yaml() -> str:
    """Return a parameter file with every default and description."""
    lines = [
        "# Parameters of the fuse node with their defaults.",
        "# Generated from fusion_ros/parameters/ by `python -m fusion_ros.parameters.files`.",
        "# [live]: takes effect while the node runs; the others are read by `configure`.",
        "/**:",
        "  ros__parameters:",
    ]
    for group, specs in itertools.groupby(SPECS, key=lambda spec: spec.group):
        lines += ["", f"    # --- {group}"]
        for spec in specs:
            mark = "[live] " if spec.live else ""
            note = f"{spec.meaning} {mark}Allowed: {spec.allowed}."
            lines += [f"    # {line}" for line in textwrap.wrap(note, 92)]
            lines.append(f"    {spec.name}: {_scalar(spec.default)}")
    return "\n".join(lines) + "\n"


def as_markdown() -> str:
    """Return the reference page."""
    lines = [
        "# Parameters of the fuse node",
        "",
        "Generated from `fusion_ros/parameters/` by",
        "`python -m fusion_ros.parameters.files`; do not edit.",
        "",
        "*Live* parameters take effect while the node runs (`ros2 param set`). The others are read",
        "by `configure`; setting one on a configured node is refused with that reason. A change is",
        "checked together with all other values. To change two parameters that depend on each",
        "other, such as `tone_fixed_low` and `tone_fixed_high`, set them in an order in which each",
        "step is valid, or in one call of the service `set_parameters_atomically`.",
    ]
    for group, specs in itertools.groupby(SPECS, key=lambda spec: spec.group):
        lines += [
            "",
            f"## {group}",
            "",
            "| parameter | type | default | allowed | live | meaning |",
        ]
        lines.append("|---|---|---|---|---|---|")
        for spec in specs:
            allowed = spec.allowed.replace("|", "\\|")
            live = "yes" if spec.live else ""
            lines.append(
                f"| `{spec.name}` | {spec.kind.__name__} | `{_scalar(spec.default)}` | {allowed} "
                f"| {live} | {spec.meaning.replace('|', chr(92) + '|')} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both generated files."""
    for path, text in (
        (REPOSITORY / "config" / "fuse.yaml", as_yaml()),
        (REPOSITORY / "docs" / "reference" / "parameters.md", as_markdown()),
    ):
        path.parent.mkdir(exist_ok=True)
        write_text(path, text)
        print(f"wrote {path.relative_to(REPOSITORY)}")


def _scalar(value: Value) -> str:
    # JSON's scalars are YAML's; a float keeps its point, without which ROS reads an integer.
    return json.dumps(value)


if __name__ == "__main__":
    main()
