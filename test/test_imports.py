# SPDX-License-Identifier: Apache-2.0
"""Imports between packages point downwards, as docs/explanation/architecture.md shows them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "fusion_ros"
LAYERS = (
    ("outside_text",),
    ("files", "metrics", "synthetic", "options"),
    ("imaging", "model", "thermal"),
    ("engines", "registration", "detection"),
    ("calibration", "pipeline", "streams"),
    ("parameters", "recordings"),
    ("pipeline_factory",),
    ("replay",),
    ("nodes",),
    ("cli",),
    ("__main__",),
)
"""Lowest first. A package imports from lower layers and from itself."""
EVERYWHERE = {"fusion_ros.__version__", "fusion_ros.msg"}
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def owner(module: str) -> str:
    return module.split(".")[1]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def imported(path: Path) -> Iterator[str]:
    """Yield the imports of a module, except those for type checkers only."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = node.module == "fusion_ros"
            yield from (f"fusion_ros.{a.name}" for a in node.names) if named else (node.module,)
        pending += ast.iter_child_nodes(node)


def test_every_package_has_a_layer() -> None:
    assert {owner(name_of(path)) for path in modules()} == set(LEVELS)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    if name_of(path) in EVERYWHERE:
        assert not [name for name in imported(path) if name.startswith("fusion_ros")]
        return
    own = owner(name_of(path))
    for name in imported(path):
        if not name.startswith("fusion_ros.") or name in EVERYWHERE or owner(name) == own:
            continue
        if name.startswith("fusion_ros.msg"):
            assert own == "nodes"
            continue
        assert LEVELS[owner(name)] < LEVELS[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_nodes_import_rclpy(path: Path) -> None:
    if owner(name_of(path)) != "nodes":
        assert "rclpy" not in {name.split(".")[0] for name in imported(path)}
