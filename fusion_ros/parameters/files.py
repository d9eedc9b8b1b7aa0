# SPDX-License-Identifier: Apache-2.0
"""Parameter files: read as the node reads them, written from the parameter table.

    python -m fusion_ros.parameters.files

writes `config/fuse.yaml` and `docs/reference/parameters.md`; a test fails when the files in the
tree differ from that.
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
from fusion_ros.parameters.specification import ParameterError, ParameterSpec, Value
from fusion_ros.parameters.table import SPECS
from fusion_ros.streams.outside_text import printable

REPOSITORY = Path(__file__).resolve().parents[2]
_DEEPEST_NAMESPACE = 16
_FOR_US = re.compile(r"(/\w+|/\*+)*/(fuse_node|\*{1,2})")


def read_parameters(file: Path | None, assignments: Sequence[str] = ()) -> dict[str, Any]:
    """What a parameter file and NAME=VALUE texts say; the texts win. Values are not yet checked.

    Args:
        file: as ROS 2 takes it. Of several sections those that are for every node (`/**`) or for
            one named `fuse_node` count; a single one counts whatever its name.
        assignments: values as YAML writes them, for instance "tone_mode=percentile".

    Raises:
        ParameterError: not such a file, one that cannot be read, or not such a text.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values.update(_of_the_fuse_node(file))
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"parameter {printable(repr(text))}: allowed is NAME=VALUE")
        complaint = f"parameter {printable(repr(text))}: its value is no YAML"
        values[name.strip()] = _from_yaml(value, complaint)
    return values


def _of_the_fuse_node(file: Path) -> dict[str, Any]:
    """What the file gives the fuse node, but for what belongs to ROS itself."""
    shown = printable(file, 300)
    try:
        written = read_bytes(file)
    except UnreadableFileError as error:
        raise ParameterError(f"parameter file {error}") from error
    sections = _sections(_from_yaml(written, f"parameter file {shown} is no YAML"))
    meant = {name: given for name, given in sections.items() if _FOR_US.fullmatch(name)}
    if not meant and len(sections) == 1:
        meant = sections
    if not meant:
        names = printable(", ".join(sections)) or "none"
        raise ParameterError(
            f"parameter file {shown} holds no section with ros__parameters for fuse_node "
            f"(sections: {names}); allowed is one named /** or fuse_node, as in config/fuse.yaml"
        )
    values: dict[str, Any] = {}
    for name in sorted(meant, key=lambda name: "*" not in name):  # as ROS: the node's own wins
        values |= meant[name]
    return {k: v for k, v in values.items() if k != "use_sim_time" and k != "qos_overrides"}


def _sections(loaded: Any, inside: str = "", depth: int = 0) -> dict[str, dict[str, Any]]:
    """What stands under `ros__parameters`, by the full name above it; namespaces may be nested."""
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


def _from_yaml(text: bytes | str, complaint: str) -> Any:
    try:
        return parse_yaml(text)
    except MalformedFileError as error:
        raise ParameterError(f"{complaint}: {error}") from error


def as_yaml() -> str:
    """A parameter file with every default, commented."""
    lines = [
        "# Parameters of the fuse node, each at its default. Written from the table in",
        "# fusion_ros/parameters/table.py by `python -m fusion_ros.parameters.files`.",
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
        "Written from the table in `fusion_ros/parameters/table.py` by",
        "`python -m fusion_ros.parameters.files`; do not edit.",
        "",
        "*Live* parameters may be changed while the node runs (`ros2 param set`). The others are",
        "read by `configure`; setting one on a configured node is refused with that reason.",
        "A change is checked together with all other values. Two parameters that depend on each",
        "other, such as `tone_fixed_low` and `tone_fixed_high`, are set one after the other, or in",
        "one call of the service `set_parameters_atomically`.",
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
        (REPOSITORY / "docs" / "reference" / "parameters.md", as_markdown()),
    ):
        path.parent.mkdir(exist_ok=True)
        write_text(path, text)
        print(f"wrote {path.relative_to(REPOSITORY)}")


def _scalar(value: Value) -> str:
    # JSON's scalars are YAML's; a float keeps its point, without which ROS reads an integer.
    return json.dumps(value)


def _mark(spec: ParameterSpec) -> str:
    return "[live] " if spec.live else ""


if __name__ == "__main__":
    main()
