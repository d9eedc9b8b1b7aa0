# SPDX-License-Identifier: Apache-2.0
"""The notebooks of the documentation run, and their stored outputs are those of this version."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("PIL")
NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs").rglob("*.ipynb"))


def run_cell(source: str, names: dict[str, Any]) -> tuple[str, Any]:
    """Return what a cell prints and the value of its last expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
    return printed.getvalue(), value


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_its_stored_outputs(path: Path) -> None:
    assert path.stat().st_size < 100_000
    names: dict[str, Any] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        printed, value = run_cell("".join(cell["source"]), names)
        stored = cell["outputs"]
        texts = ["".join(o["text"]) for o in stored if o["output_type"] == "stream"]
        images = [o["data"]["image/jpeg"] for o in stored if o["output_type"] != "stream"]
        assert texts == ([printed] if printed else [])
        assert len(images) == (value is not None)
        for image in images:
            data = np.frombuffer(base64.b64decode(image), np.uint8)
            shown = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
            assert np.abs(shown - np.asarray(value)).mean() < 4  # the loss of JPEG
