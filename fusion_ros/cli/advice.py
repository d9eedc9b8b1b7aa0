# SPDX-License-Identifier: Apache-2.0
"""Suggestions for unknown options: the nearest option, parameter, or option of another command."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

_SYNONYMS = {"colormap": "palette", "cmap": "palette", "pseudocolor": "falsecolor"}


def advice(name: str, command: str, options: Mapping[str, list[str]]) -> str:
    """Return "; did you mean ...?" for an option (--name) that `command` does not have, or "".

    `options` holds the options of each command.
    """
    own = options[command]
    found = get_close_matches(name, own, 1, 0.7)
    found += [option for option in own if name.strip("-") in option.split("-")]
    if not found and "--params" in own:
        found = [f"--set {near}=..." for near in _parameters(name)[:1]]
    if not found:
        found = [
            f"{near} of fusion-ros {other}"
            for other, names in options.items()
            for near in get_close_matches(name, names, 1, 0.85)
        ]
    return f"; did you mean {found[0]}?" if found else ""


def _parameters(option: str) -> list[str]:
    """Return the names of the parameters that resemble an option, by name, then by meaning."""
    from fusion_ros.parameters import SPECS

    word = _plain(option)
    names = {_plain(spec.name): spec.name for spec in SPECS}
    near = [names[key] for key in get_close_matches(word, names, 3, 0.7)]
    return near + [
        spec.name
        for spec in SPECS
        if word in map(_plain, [*spec.name.split("_"), *spec.meaning.split()])
    ]


def _plain(text: str) -> str:
    letters = "".join(letter for letter in text.lower() if letter.isalnum())
    letters = letters.replace("colour", "color")
    return _SYNONYMS.get(letters, letters)
