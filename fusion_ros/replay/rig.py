# SPDX-License-Identifier: Apache-2.0
"""Verdict on a rig from the summary of a replay: one answer for each of five questions.

An answer is the worst of its figures, each with a scale, and of its findings. The verdict is the
worst answer. A question that was not measured leaves at most "usable", except that about detectors.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from fusion_ros.replay.findings.codes import BY_QUESTION
from fusion_ros.replay.gate import look_up

WORDS = ("good", "usable", "not usable", "not measured")
GOOD, USABLE, NOT_USABLE, NOT_MEASURED = WORDS
_BY_SEVERITY = {"error": NOT_USABLE, "warning": USABLE, "info": GOOD}


@dataclasses.dataclass(frozen=True)
class Scale:
    """A figure of the summary with its limits.

    Attributes:
        name: as shown.
        path: place in the summary.
        good, usable: limits; more is better if `good` is the larger one.
        unit: as shown; "%" shows a share in percent.
        average: place of the same figure for the average of both images, or "".
    """

    name: str
    path: str
    good: float
    usable: float
    unit: str = ""
    average: str = ""

    def word(self, value: float | None) -> str:
        """Return the word for a value."""
        if value is None:
            return NOT_MEASURED
        sign = 1 if self.good > self.usable else -1
        if sign * value >= sign * self.good:
            return GOOD
        return USABLE if sign * value >= sign * self.usable else NOT_USABLE

    def text(self, value: float | None) -> str:
        """Return a value with its unit; a dash for None."""
        if value is None:
            return "–"
        if self.unit == "%":
            return f"{100 * value:.3g} %"
        return f"{value:.3g} {self.unit}".rstrip()

    def figure(self, summary: Mapping[str, Any]) -> Figure:
        """Read the figure from a summary."""
        value = look_up(summary, self.path)
        than = "at least" if self.good > self.usable else "at most"
        limits = f"good: {than} {self.text(self.good)}; usable: {self.text(self.usable)}"
        average = look_up(summary, self.average) if self.average else None
        if average is not None:
            limits += f"; average image: {self.text(average)}"
        return Figure(self.name, self.text(value), limits, self.word(value))


class Figure(NamedTuple):
    """A figure as text, with its scale and its word."""

    name: str
    value: str
    scale: str
    word: str


HEADLINE = Scale("fusion score", "quality.score.fused", 0.6, 0.4, "", "quality.score.average")
"""Qw times the alignment: Qw alone does not fall when the images do not lie on each other."""
SCALES = {
    "recording": (),
    "time": (
        Scale("frames of the slower camera fused", "fused_share", 0.97, 0.8, "%"),
        # Two free-running cameras of 30 Hz reach half a period.
        Scale("skew, 95 % are below", "sync.skew_ms.p95", 17.0, 50.0, "ms"),
    ),
    "geometry": (
        Scale("alignment of edges", "alignment.score.p50", 0.9, 0.6),
        Scale("shift", "alignment.shift_share", 0.01, 0.03, "%"),
    ),
    "exposure": (
        Scale("flicker index", "temporal.flicker_index", 1.1, 1.5, "",
              "temporal.average_flicker_index"),
        Scale("gain jumps of thermal", "temporal.gain_jumps_per_minute", 2.0, 20.0, "per min"),
        Scale("visible frames black or white", "temporal.badly_exposed_share", 0.02, 0.3, "%"),
    ),
    "detectors": (
        Scale("AP50, fused minus the better camera", "detection.ap50_gain", -0.02, -0.1),
    ),
}  # fmt: skip
TEXTS = {
    "recording": "Was everything read, and is each input of the expected kind?",
    "time": "Do both cameras show the same moment?",
    "geometry": "Do both images lie on each other?",
    "exposure": "Are brightness and gain steady?",
    "detectors": "Does a detector find more in the fused image?",
}
_NEXT = {
    "recording": "fusion-ros replay RECORDING --fused-video --out OUT",
    "time": "fusion-ros replay RECORDING --live --out OUT",
    "geometry": "fusion-ros calibrate --from-pairs RECORDING --out rig.yaml",
    "exposure": "fusion-ros replay RECORDING --set tone_mode=percentile --out OUT",
    "detectors": "fusion-ros replay RECORDING --detector MODEL.onnx --labels LABELS.json --out OUT",
}
"""Commands where no finding names one."""
_CALIBRATED = {"registration_mode": "homography", "registration_calibration_file": "rig.yaml"}
_UNCLEAR = (
    "No shift makes the edges agree: the images share too few, or differ by rotation or scale. "
    "Compare them below."
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """Answer to one question.

    Attributes:
        name, text: the question.
        word: one of `WORDS`.
        figures: with their scales.
        titles: titles of the findings behind a word other than "good".
        command: the next command; see `command_for`.
        parameters: YAML block for the fuse node's parameter file, or "".
    """

    name: str
    text: str
    word: str
    figures: tuple[Figure, ...]
    titles: tuple[str, ...]
    command: str
    parameters: str


def answers(summary: Mapping[str, Any]) -> list[Answer]:
    """Return the answers from a summary with its findings, worst findings first."""
    return [_answer(name, summary) for name in BY_QUESTION]


def verdict_of(found: list[Answer]) -> str:
    """Return the worst word; see the module for answers that were not measured."""
    unmeasured = {a.name for a in found if a.word == NOT_MEASURED} - {"detectors"}
    words = [a.word for a in found if a.word != NOT_MEASURED]
    return max([*words, *([USABLE] if unmeasured else [])], key=WORDS.index)


def _answer(name: str, summary: Mapping[str, Any]) -> Answer:
    own = [f for f in summary["findings"] if f["code"] in BY_QUESTION[name]]
    serious = [f for f in own if f["severity"] != "info"]
    figures = tuple(scale.figure(summary) for scale in SCALES[name])
    words = [f.word for f in figures if f.word != NOT_MEASURED]
    words += [_BY_SEVERITY[f["severity"]] for f in own]
    word = max(words, key=WORDS.index, default=NOT_MEASURED if figures else GOOD)
    parameters: dict[str, Any] = {}
    for finding in reversed(serious):
        parameters |= finding["parameters"]
    command = next((f["command"] for f in serious if f["command"]), "")
    if not command and parameters:
        command = f"fusion-ros replay RECORDING {set_options(parameters)} --out OUT"
    titles = [f["title"] for f in serious]
    if name == "geometry" and word != GOOD:
        parameters = _CALIBRATED
        if not serious and look_up(summary, "alignment.shift_share") is None:
            titles.append(_UNCLEAR)
    block = yaml.safe_dump({"/**": {"ros__parameters": parameters}}, sort_keys=False)
    command = command or _NEXT[name]
    text = block if parameters else ""
    return Answer(name, TEXTS[name], word, figures, tuple(titles), command, text)


def set_options(parameters: Mapping[str, Any]) -> str:
    """Return the `--set` options for parameters of the fuse node, quoted for a shell."""
    return " ".join(f"--set {shlex.quote(f'{name}={v}')}" for name, v in parameters.items())


def command_for(command: str, source: str, out: str, options: str = "") -> str:
    """Fill in the words `RECORDING` and `OUT` of a command.

    Args:
        command: the command.
        source: arguments that name the recording, quoted for a shell.
        out: folder of this run; the next one is compared with it.
        options: further options of this run for the next replay, quoted for a shell.
    """
    if " replay " in command:
        source = f"{source} {options}".rstrip()
        if "--live" not in command:
            command += f" --compare {shlex.quote(out)}"
    words = {"RECORDING": source, "OUT": shlex.quote(f"{out.rstrip('/')}-next")}
    return " ".join(words.get(word, word) for word in command.split(" "))
