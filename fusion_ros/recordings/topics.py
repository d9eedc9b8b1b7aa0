# SPDX-License-Identifier: Apache-2.0
"""Choice of the two camera topics of a bag by type, name and first frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fusion_ros.imaging.encodings import PixelFrame
from fusion_ros.imaging.pair_check import shows_colours
from fusion_ros.recordings.recording import RecordingError, TopicFacts
from fusion_ros.streams.topic_names import (
    THERMAL_WORDS,
    VISIBLE_WORDS,
    is_other,
    is_view,
    score,
    words_of,
)

COUNTS, GREY, COLOURS, UNKNOWN = "counts", "grey levels", "colours", ""
"""Content of a thermal topic."""

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")

Look = Callable[[str], str]
"""Returns the content of a topic's first frame: COUNTS, GREY, COLOURS or UNKNOWN."""


def shown_by(frame: PixelFrame) -> str:
    """Return the content of a thermal frame."""
    if shows_colours(frame.pixels):
        return COLOURS
    return GREY if frame.pixels.dtype == np.uint8 else COUNTS


def choose_topics(
    topics: Sequence[TopicFacts],
    visible: str | None = None,
    thermal: str | None = None,
    *,
    look: Look = lambda topic: UNKNOWN,
) -> tuple[str, str, str]:
    """Return the visible topic, the thermal topic, and the reason for the choice.

    A given topic must exist and hold images. The other topic is chosen by its name, or as the only
    image topic that remains. Of several thermal topics, one that shows colours is the last choice.

    Raises:
        RecordingError: the choice is not clear; the message lists the image topics.
    """
    images = [t for t in topics if t.message_type in IMAGE_TYPES and t.messages > 0]
    _check_given(images, visible, thermal, _listed(topics))
    if visible is not None and thermal is not None:
        return visible, thermal, "both topics were given"
    left = [t for t in images if t.name not in (visible, thermal)]
    how = "thermal was given"
    if thermal is None:
        visible, thermal, how = _choose_thermal(left, visible, look, _listed(topics))
    if visible is not None:
        return visible, thermal, how
    cameras = [t for t in left if t.name != thermal and not is_other(t.name)]
    candidates = [t for t in cameras if not score(t.name, THERMAL_WORDS)]
    if not candidates:
        raise RecordingError(
            f"there is no image topic besides {thermal!r} for the visible camera; {_listed(topics)}"
        )
    visible = _best(candidates, VISIBLE_WORDS)
    why = _why(visible, VISIBLE_WORDS)
    how += f"; visible by its name ({why})" if why else "; visible as the remaining topic"
    if len(candidates) > 1:
        others = ", ".join(sorted(t.name for t in candidates if t.name != visible))
        how += f"; not taken: {others}"
    return visible, thermal, how


def _check_given(
    images: Sequence[TopicFacts], visible: str | None, thermal: str | None, listed: str
) -> None:
    if not images:
        raise RecordingError(f"no images can be read from it; {listed}")
    for given, option in ((visible, "--visible-topic"), (thermal, "--thermal-topic")):
        if given is not None and given not in {t.name for t in images}:
            raise RecordingError(
                f"{option} is {given!r}, but no images are recorded under it; {listed}"
            )
    if visible is not None and visible == thermal:
        raise RecordingError(f"--visible-topic and --thermal-topic are both {visible!r}")


def _choose_thermal(
    left: Sequence[TopicFacts], visible: str | None, look: Look, listed: str
) -> tuple[str | None, str, str]:
    """Return the visible topic if it is known, the thermal topic, and the reason."""
    usable = [t for t in left if not is_other(t.name)]
    ranked = [t for t in usable if score(t.name, THERMAL_WORDS)]
    if ranked:
        return visible, *_best_thermal(ranked, look)
    by_name = [t for t in usable if score(t.name, VISIBLE_WORDS)]
    if visible is None and len(usable) == 2 and by_name:
        visible = _best(by_name, VISIBLE_WORDS)
        usable = [t for t in usable if t.name != visible]
    if len(usable) != 1 or visible is None:
        raise RecordingError(
            "no topic has a thermal camera's name; give --thermal-topic (and --visible-topic); "
            f"{listed}"
        )
    return visible, usable[0].name, "thermal as the only other image topic"


def _best_thermal(ranked: Sequence[TopicFacts], look: Look) -> tuple[str, str]:
    several = len(ranked) > 1
    shown = {t.name: look(t.name) if several else UNKNOWN for t in ranked}
    best = min(
        ranked,
        key=lambda t: (
            shown[t.name] == COLOURS or (shown[t.name] == UNKNOWN and is_view(t.name)),
            -score(t.name, THERMAL_WORDS),
            shown[t.name] != COUNTS,
            "Compressed" in t.message_type,
            -t.messages,
            t.name,
        ),
    ).name
    how = f"thermal by its name ({_why(best, THERMAL_WORDS)})"
    if several:
        how += f" and its {shown[best]}" if shown[best] else ""
        others = sorted(
            f"{t.name} ({shown[t.name] or 'not readable'})" for t in ranked if t.name != best
        )
        how += f"; thermal topics not taken: {', '.join(others)}"
    return best, how


def _best(topics: Sequence[TopicFacts], words: Sequence[str]) -> str:
    """Return the best topic by name, then raw before compressed, more messages, and alphabet."""
    return min(
        topics,
        key=lambda t: (-score(t.name, words), "Compressed" in t.message_type, -t.messages, t.name),
    ).name


def _why(topic: str, words: Sequence[str]) -> str:
    found = [word for word in words if word in words_of(topic)]
    return f"{found[0]!r} in {topic}" if found else ""


def _listed(topics: Sequence[TopicFacts]) -> str:
    images = [f"{t.name} ({t.messages})" for t in topics if t.message_type in IMAGE_TYPES]
    if images:
        return f"image topics here: {', '.join(sorted(images))}"
    others = ", ".join(t.name for t in topics)
    return f"topics here: {others}" if others else "there is no message: it is empty or truncated"
