# SPDX-License-Identifier: Apache-2.0
"""Writes `config/fuse.yaml` and `docs/parameters.md` from the parameter table.

    python -m fusion_ros.nodes.parameter_files

A test fails when the files in the tree are not what this writes.
"""

from __future__ import annotations

import itertools
import json
import textwrap
from pathlib import Path

from fusion_ros.nodes.parameters import SPECS, ParameterSpec, Value

REPOSITORY = Path(__file__).resolve().parents[2]


def as_yaml() -> str:
    """A parameter file with every default, commented."""
    lines = [
        "# Parameters of the fuse node, each at its default. Written from the table in",
        "# fusion_ros/nodes/parameters.py by `python -m fusion_ros.nodes.parameter_files`.",
        "# [live]: may be changed while the node runs; the others take effect at `configure`.",
        "/**:",
        "  ros__parameters:",
    ]
    for group, specs in itertools.groupby(SPECS, key=lambda spec: spec.group):
        lines += ["", f"    # --- {group}"]
        for spec in specs:
            note = f"{spec.meaning} {_mark(spec)}Allowed: {spec.allowed}."
            lines += [f"    # {line}" for line in textwrap.wrap(note, 92)]
            lines.append(f"    {spec.name}: {_scalar(spec.default)}")
    return "\n".join(lines) + "\n"


def as_markdown() -> str:
    """The reference page."""
    lines = [
        "# Parameters of the fuse node",
        "",
        "Written from the table in `fusion_ros/nodes/parameters.py` by",
        "`python -m fusion_ros.nodes.parameter_files`; do not edit.",
        "",
        "*Live* parameters may be changed while the node runs (`ros2 param set`). The others are",
        "read by `configure`; setting one on a configured node is refused with that reason.",
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
    """Write both files."""
    for path, text in (
        (REPOSITORY / "config" / "fuse.yaml", as_yaml()),
        (REPOSITORY / "docs" / "parameters.md", as_markdown()),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(REPOSITORY)}")


def _scalar(value: Value) -> str:
    # JSON's scalars are YAML's; a float keeps its point, without which ROS reads an integer.
    return json.dumps(value)


def _mark(spec: ParameterSpec) -> str:
    return "[live] " if spec.live else ""


if __name__ == "__main__":
    main()
