# SPDX-License-Identifier: Apache-2.0
"""Configs, code and commands of the pages about training are accepted as printed."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from training.config_file import load_config

REPOSITORY = Path(__file__).resolve().parents[2]
TUTORIALS = REPOSITORY / "docs" / "tutorials"
PAGES = [REPOSITORY / "training" / "README.md", *sorted(TUTORIALS.glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def module_commands() -> list[tuple[str, str]]:
    """Return module and arguments of each ``python -m training.NAME`` of the pages."""
    text = "\n".join(block for page in PAGES for block in blocks(page, "console"))
    return re.findall(r"^\$ python -m (training\.\w+) (.*)$", text, re.MULTILINE)


def test_the_config_of_the_first_tutorial_is_valid(tmp_path):
    (tmp_path / "training").symlink_to(REPOSITORY / "training")
    (tmp_path / "my").mkdir()
    path = tmp_path / "my" / "fit.yaml"
    (text,) = blocks(TUTORIALS / "train-on-your-pairs.md", "yaml")
    path.write_text(text)
    config = load_config(path)
    assert (config.train[0].root, config.validation[0].root) == ("my/pairs", "my/held_back")
    assert Path(REPOSITORY, config.initial_weights).is_file()


def test_the_network_and_the_loss_term_of_the_second_tutorial_are_valid(tmp_path):
    page = TUTORIALS / "own-network.md"
    for language, name in (("python", "my_network.py"), ("yaml", "my_network.yaml")):
        (text,) = blocks(page, language)
        (tmp_path / name).write_text(text)
    module = f"modules=['{tmp_path / 'my_network.py'}']"
    config = load_config(tmp_path / "my_network.yaml", [module])
    assert config.shape.layout == "three_layers"
    assert config.loss["near_white"] > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_a_page_compiles(page):
    for code in blocks(page, "python"):
        compile(code, page.name, "exec")


@pytest.mark.parametrize(("module", "arguments"), module_commands())
def test_a_command_has_the_options_that_a_page_shows(module, arguments, capsys):
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(module).main(["--help"])
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    shown = set(re.findall(r"--[\w-]+", arguments))
    assert shown
    assert shown <= known
