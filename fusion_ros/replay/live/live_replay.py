# SPDX-License-Identifier: Apache-2.0
"""A live replay: warm-up, the recording once at the requested rate, then the rate search."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

import fusion_ros
from fusion_ros.files.tables import new_table
from fusion_ros.files.writing import write_json
from fusion_ros.outside_text import say
from fusion_ros.parameters import FuseParameters
from fusion_ros.recordings.recording import RecordedFrame, Recording, RecordingError
from fusion_ros.replay.live.messages import Messages, read_ahead, reading_findings
from fusion_ros.replay.live.one_pass import FusedImage, OnePass, PassFigures, findings_of
from fusion_ros.replay.live.rate_search import highest_rate
from fusion_ros.replay.live.time_line import (
    PlayedFrame,
    TimeLine,
    least_delay_ns,
    rate_hz,
    repeated,
)
from fusion_ros.streams.ledger import Stream

FORMAT = 1
_CLIP_BYTES, _CLIP_FRAMES = 256 * 2**20, 600
_WARM_UP_S = 1.0


class Player(Protocol):
    """Sends frames in real time and receives fused images: `fusion_ros.nodes.bag_player`."""

    def wait_for_fuse_node(self) -> dict[str, str]:
        """Wait until the fuse node has subscribed; return its engine, device and weights."""

    def play(
        self,
        frames: Iterable[PlayedFrame],
        time_line: Callable[[int], TimeLine],
        visible_hz: float,
        progress: Callable[[int], object] = lambda frames: None,
    ) -> tuple[OnePass, PassFigures]:
        """Send frames in recorded order, wait until the node has processed them, and evaluate.

        `time_line` makes a time line from the wall-clock time of the first frame, `visible_hz` is
        the recorded rate, and `progress` receives the number of sent frames after each one.
        """


class LiveReplay:
    """One live replay of one recording, which is read once and not closed.

    Args:
        player: sends the frames.
        values: parameters of the fuse node.
        serialise: see `Messages`.
        rate: multiple of the recorded rate.
        search_s: seconds for which each rate of the search is played; 0: no search.
        most_frames: number of frames to play; 0: all.
    """

    def __init__(
        self,
        player: Player,
        recording: Recording,
        values: FuseParameters,
        serialise: Callable[[RecordedFrame], bytes],
        *,
        rate: float,
        search_s: float,
        most_frames: int = 0,
    ) -> None:
        self._player = player
        self._recording = recording
        self._messages = Messages(serialise)
        self._offset_ns = round(values.thermal_offset_ms * 1e6)
        self._rate = rate
        self._search_s = search_s
        self._most_frames = most_frames or None
        self._clip: list[PlayedFrame] = []
        self.images: list[FusedImage] = []
        self.result: dict[str, Any] = {
            "format": FORMAT,
            "version": fusion_ros.__version__,
            "recording": asdict(recording.identity),
            "complete": False,
            "rate": rate,
            "search_s": search_s,
            "parameters": asdict(values),
            "findings": [],
            "tried": [],
        }

    def run(self) -> None:
        """Play all passes; each adds to `result`.

        Raises:
            RecordingError: the recording holds no frame of one of the cameras.
        """
        frames = self._messages.of(itertools.islice(self._recording.frames(), self._most_frames))
        self._fill_clip(frames)
        say("live: waiting for the fuse node")
        engine = self._player.wait_for_fuse_node()
        self.result["engine"] = engine
        say(f"live: the fuse node runs: {engine['preset']} on {engine['engine']}")
        self._play(repeated(self._clip, _WARM_UP_S), 1.0)
        name = self._recording.identity.name
        say(f"live: playing {name} at {self._rate:g} times the recorded rate")
        recorded = sum(map(self._recording.identity.messages, Stream))
        total = min(recorded, self._most_frames or recorded)
        with (
            closing(read_ahead(frames)) as rest,  # the clip was read before
            tqdm(total=total, unit="frame", disable=not sys.stderr.isatty()) as bar,
        ):
            played = itertools.chain(self._clip, rest)
            one_pass, figures = self._play(played, self._rate, lambda n: bar.update(n - bar.n))
        self.images = one_pass.images
        self.result |= figures.as_dict()
        damaged = self.result["damaged_frames_not_sent"] = self._messages.damaged
        found = (reading_findings(self._recording.damage, damaged), findings_of(figures))
        self.result["findings"] = [asdict(finding) for finding in itertools.chain(*found)]
        _say_figures(figures)
        if self._search_s > 0:
            highest = highest_rate(self._try, figures)
            hz = highest.rate * self._visible_hz
            self.result["highest"] = {**asdict(highest), "hz": hz}
        self.result["complete"] = True

    def write(self, out: Path) -> None:
        """Write `live.json`, and `live_frames.csv` of the pass over the whole recording."""
        write_json(out / "live.json", self.result)
        with new_table(out / "live_frames.csv") as table:
            table.write(["at_s", "age_ms", "way_ms"])
            for image in self.images:
                table.write([f"{image.at_s:.4f}", f"{image.age_ms:.3f}", f"{image.way_ms:.3f}"])

    def _fill_clip(self, frames: Iterator[PlayedFrame]) -> None:
        """Keep the start of the recording in memory for the repeated passes."""
        size = 0
        for frame in frames:
            self._clip.append(frame)
            size += len(frame.cdr)
            if size > _CLIP_BYTES or len(self._clip) >= _CLIP_FRAMES:
                break
        for stream in Stream:
            if not any(frame.stream is stream for frame in self._clip):
                raise RecordingError(f"the recording holds no readable {stream.value} frame")
        self._visible_hz = rate_hz(self._clip, Stream.VISIBLE)
        self._delay_ns = least_delay_ns(self._clip, self._offset_ns)

    def _play(
        self,
        frames: Iterable[PlayedFrame],
        rate: float,
        progress: Callable[[int], object] = lambda frames: None,
    ) -> tuple[OnePass, PassFigures]:
        first_ns = self._clip[0].arrived_ns

        def line(begin_ns: int) -> TimeLine:
            return TimeLine(rate, begin_ns, first_ns, self._delay_ns, self._offset_ns)

        return self._player.play(frames, line, self._visible_hz, progress)

    def _try(self, rate: float) -> PassFigures:
        _, figures = self._play(repeated(self._clip, self._search_s * rate), rate)
        self.result["tried"].append(figures.as_dict())
        _say_figures(figures)
        return figures


def _say_figures(figures: PassFigures) -> None:
    age = figures.age_ms["p50"]
    about = f", age p50 {age:.1f} ms" if age is not None else ""
    say(
        f"live: {figures.asked_hz:7.1f} Hz ({figures.rate:.2f} x): {figures.fused} of "
        f"{figures.pairs_possible} pairs fused, {figures.loss:.1%} lost{about}"
    )
