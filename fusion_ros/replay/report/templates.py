# SPDX-License-Identifier: Apache-2.0
"""Fills the templates in `pages/`; what comes out needs no other file and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusion_ros.files.writing import write_text

PAGES = Path(__file__).parent / "pages"


def write_html(path: Path, template: str, values: dict[str, Any]) -> Path:
    """Write a template of `pages/` with these values, and `css` beside them.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    css = Markup((PAGES / "style.css").read_text(encoding="utf-8"))
    page = environment.get_template(template).render(**values, css=css)
    write_text(path, page)
    return path
