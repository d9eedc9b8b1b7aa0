# SPDX-License-Identifier: Apache-2.0
"""Which two topics are the cameras, told by type and name, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fusion_ros.replay.recording import RecordingError, TopicFacts

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")

# The strongest word first; a word counts where it stands by itself ("ir", not "first").
THERMAL_WORDS = (
    "thermal", "infrared", "lwir", "flir", "boson", "lepton", "tau", "seek", "optris", "hikmicro",
    "thermo", "ir", "temperature",
)  # fmt: skip
VISIBLE_WORDS = (
    "visible", "vis", "rgb", "color", "colour", "eo", "left", "mono", "camera", "cam", "image",
)  # fmt: skip
# Topics of images that are no camera's.
OTHER_WORDS = (
    "depth", "fused", "fusion", "mask", "disparity", "debug", "overlay", "compresseddepth",
    "detections", "annotated", "segmentation",
)  # fmt: skip


def _words(topic: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", topic)
    return [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]


def _score(topic: str, words: Sequence[str]) -> int:
    """0 where no word fits, more the stronger the word."""
    found = [len(words) - words.index(word) for word in _words(topic) if word in words]
    return max(found, default=0)


def choose_topics(
    topics: Sequence[TopicFacts], visible: str | None = None, thermal: str | None = None
) -> tuple[str, str, str]:
    """The visible and the thermal topic, and a sentence that says why these.

    A given name is taken as it is (it must be there, and hold images). The other one is chosen by
    its name; where names do not tell and two image topics are left, by what is left over.

    Raises:
        RecordingError: names the image topics that are there, and how to choose.
    """
    images = [t for t in topics if t.message_type in IMAGE_TYPES and t.messages > 0]
    if not images:
        raise RecordingError(f"no images can be read from it; {_listed(topics)}")
    for given, option in ((visible, "--visible-topic"), (thermal, "--thermal-topic")):
        if given is not None and given not in {t.name for t in images}:
            raise RecordingError(
                f"{option} is {given!r}, but no images are recorded under it; {_listed(topics)}"
            )
    if visible is not None and visible == thermal:
        raise RecordingError(f"--visible-topic and --thermal-topic are both {visible!r}")
    if visible is not None and thermal is not None:
        return visible, thermal, "both topics were given"
    left = [t for t in images if t.name not in (visible, thermal)]
    if thermal is None:
        ranked = [t for t in left if _score(t.name, THERMAL_WORDS) and not _is_other(t.name)]
        if ranked:
            thermal = _best(ranked, THERMAL_WORDS)
            how = f"thermal by its name ({_why(thermal, THERMAL_WORDS)})"
        else:
            rest = [t for t in left if not _is_other(t.name)]
            by_name = [t for t in rest if _score(t.name, VISIBLE_WORDS)]
            if visible is None and len(rest) == 2 and by_name:
                visible = _best(by_name, VISIBLE_WORDS)
                rest = [t for t in rest if t.name != visible]
            if len(rest) != 1 or visible is None:
                raise RecordingError(
                    "no topic's name says that it is thermal; give --thermal-topic (and "
                    f"--visible-topic); {_listed(topics)}"
                )
            thermal, how = rest[0].name, "thermal because it is the only other image topic"
        left = [t for t in left if t.name != thermal]
    else:
        how = "thermal was given"
    if visible is not None:
        return visible, thermal, how
    candidates = [t for t in left if not _is_other(t.name) and not _score(t.name, THERMAL_WORDS)]
    if not candidates:
        raise RecordingError(
            f"besides {thermal!r} no image topic is left for the visible camera; {_listed(topics)}"
        )
    visible = _best(candidates, VISIBLE_WORDS)
    why = _why(visible, VISIBLE_WORDS)
    how += f"; visible by its name ({why})" if why else "; visible because it is left over"
    if len(candidates) > 1:
        others = ", ".join(sorted(t.name for t in candidates if t.name != visible))
        how += f"; not taken: {others}"
    return visible, thermal, how


def _is_other(topic: str) -> bool:
    return any(word in OTHER_WORDS for word in _words(topic))


def _best(topics: Sequence[TopicFacts], words: Sequence[str]) -> str:
    """By name, then raw before compressed, then the one with more messages, then by alphabet."""
    return min(
        topics,
        key=lambda t: (-_score(t.name, words), "Compressed" in t.message_type, -t.messages, t.name),
    ).name


def _why(topic: str, words: Sequence[str]) -> str:
    found = [word for word in words if word in _words(topic)]
    return f"{found[0]!r} in {topic}" if found else ""


def _listed(topics: Sequence[TopicFacts]) -> str:
    images = [f"{t.name} ({t.messages})" for t in topics if t.message_type in IMAGE_TYPES]
    if images:
        return f"image topics here: {', '.join(sorted(images))}"
    others = ", ".join(t.name for t in topics)
    return f"topics here: {others}" if others else "no message at all: it is empty or cut"


def name_fits(topic: str, words: Sequence[str]) -> bool:
    """Whether a topic's name holds one of the words by itself."""
    return _score(topic, words) > 0
