# SPDX-License-Identifier: Apache-2.0
"""Classification of image topics by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from os.path import commonprefix

# The strongest word first. Only whole words count ("ir", not "first").
THERMAL_WORDS = (
    "thermal", "infrared", "lwir", "flir", "boson", "lepton", "tau", "seek", "optris", "hikmicro",
    "thermo", "ir", "temperature",
)  # fmt: skip
VISIBLE_WORDS = (
    "visible", "vis", "rgb", "color", "colour", "eo", "left", "mono", "camera", "cam", "image",
)  # fmt: skip
OTHER_WORDS = (
    "depth", "fused", "fusion", "mask", "disparity", "debug", "overlay", "compresseddepth",
    "detections", "annotated", "segmentation",
)  # fmt: skip
"""Words of image topics that are not published by a camera."""
VIEW_WORDS = (
    "view", "preview", "palette", "colormap", "colorized", "colourised", "colorised", "display",
    "pseudocolor", "falsecolor", "jet", "rainbow", "ironbow", "visualization",
)  # fmt: skip
"""Words of topics with a rendering for people."""


def words_of(topic: str) -> list[str]:
    """Return the words of a topic's name in lower case."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", topic)
    return [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]


def score(topic: str, words: Sequence[str]) -> int:
    """Return 0 without a match, and a higher number for a stronger word."""
    found = [len(words) - words.index(word) for word in words_of(topic) if word in words]
    return max(found, default=0)


def is_other(topic: str) -> bool:
    """Whether the name is not that of a camera's topic."""
    return any(word in OTHER_WORDS for word in words_of(topic))


def is_view(topic: str) -> bool:
    """Whether the name is that of a rendering for people."""
    return any(word in VIEW_WORDS for word in words_of(topic))


def thermal_beside(topic: str, topics: Iterable[str]) -> list[str]:
    """Return the image topics beside `topic` that may hold thermal data, likeliest first."""
    base = topic.removesuffix("/compressed")
    others = {
        t
        for t in topics
        if score(t, THERMAL_WORDS)
        and not is_other(t)
        and not is_view(t)
        and t.removesuffix("/compressed") != base
    }

    def rank(t: str) -> tuple[int, int, str]:
        shared = len(commonprefix([t, topic]))  # noqa: RUF071 -- of characters
        return -shared, -score(t, THERMAL_WORDS), t

    return sorted(others, key=rank)
