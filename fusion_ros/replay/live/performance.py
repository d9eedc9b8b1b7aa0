# SPDX-License-Identifier: Apache-2.0
"""The whole of a live replay: warm-up, the recording once at the asked rate, then the search."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import fusion_ros
from fusion_ros.files.tables import new_table
from fusion_ros.files.writing import write_json
from fusion_ros.parameters import FuseParameters
from fusion_ros.recordings.recording import RecordedFrame, Recording, RecordingError
from fusion_ros.replay.live.one_pass import FusedPicture, OnePass, PassFigures, findings_of
from fusion_ros.replay.live.rate_search import highest_rate
from fusion_ros.replay.live.reading import Messages, ReadAhead, reading_findings
from fusion_ros.replay.live.time_line import (
    PlayedFrame,
    TimeLine,
    least_delay_ns,
    over_and_over,
    rate_hz,
)
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.outside_text import say

FORMAT = 1
_CLIP_BYTES, _CLIP_FRAMES = 256 * 2**20, 600
_WARM_UP_S = 1.0


class Player(Protocol):
    """Sends frames in time and counts what comes back: `fusion_ros.nodes.bag_player.BagPlayer`."""

    def wait_for_node(self) -> dict[str, str]:
        """Until the fuse node listens. Returns what it runs on."""

    def play(
        self,
        frames: Iterable[PlayedFrame],
        time_line: Callable[[int], TimeLine],
        visible_hz: float,
        progress: Callable[[int], object] = lambda frames: None,
    ) -> tuple[OnePass, PassFigures]:
        """Send frames when they are due, wait until the node has settled, and sum up.

        Args:
            frames: in recorded order.
            time_line: makes one from the wall-clock time of the first frame.
            visible_hz: rate of the visible stream as recorded.
            progress: told with each frame how many were sent.
        """


class Performance:
    """One live replay of one recording.

    Args:
        player: see there.
        recording: is read once, and not closed.
        values: the fuse node's parameters.
        serialise: see `Messages`.
        rate: how many times as fast as recorded.
        search_s: seconds that each rate of the search is played; 0 does not search.
        most_frames: play so many frames only; 0 plays all.
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
        self.pictures: list[FusedPicture] = []
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
        """Play; `result` is filled pass by pass.

        Raises:
            RecordingError: there is not a frame of one camera in it.
        """
        frames = self._messages.of(itertools.islice(self._recording.frames(), self._most_frames))
        self._fill_clip(frames)
        _say("waiting for the fuse node")
        engine = self._player.wait_for_node()
        self.result["engine"] = engine
        _say(f"the fuse node is there: {engine['preset']} on {engine['engine']}")
        self._play(over_and_over(self._clip, _WARM_UP_S), 1.0)
        _say(f"playing {self._recording.identity.name} at {self._rate:g} times its rate")
        with ReadAhead(frames) as rest:  # the clip is what was read before
            books, figures = self._play(
                itertools.chain(self._clip, rest), self._rate, progress=_Progress(self._planned())
            )
        self.pictures = books.pictures
        self.result |= figures.as_dict()
        self.result["damaged_frames_not_sent"] = self._messages.damaged
        damaged = self._messages.damaged
        self.result["findings"] = [
            *reading_findings(self._recording.damage, damaged),
            *findings_of(figures),
        ]
        _tell(figures)
        if self._search_s > 0:
            highest = highest_rate(self._try, figures)
            hz = highest.rate * self._visible_hz
            self.result["highest"] = {**asdict(highest), "hz": hz}
        self.result["complete"] = True

    def _fill_clip(self, frames: Iterator[PlayedFrame]) -> None:
        """The recording's beginning, kept in memory for the passes that are played again."""
        size = 0
        for frame in frames:
            self._clip.append(frame)
            size += len(frame.cdr)
            if size > _CLIP_BYTES or len(self._clip) >= _CLIP_FRAMES:
                break
        for stream in Stream:
            if not any(frame.stream is stream for frame in self._clip):
                raise RecordingError(f"there is no {stream.value} frame to play")
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

    def _planned(self) -> int:
        recorded = sum(self._recording.identity.messages(stream) or 0 for stream in Stream)
        return min(recorded, self._most_frames or recorded)

    def _try(self, rate: float) -> PassFigures:
        _, figures = self._play(over_and_over(self._clip, self._search_s * rate), rate)
        self.result["tried"].append(figures.as_dict())
        _tell(figures)
        return figures


def write(out: Path, performance: Performance) -> None:
    """`live.json`, and `live_frames.csv` of the pass over the whole recording."""
    write_json(out / "live.json", performance.result)
    with new_table(out / "live_frames.csv") as table:
        table.write(["at_s", "age_ms", "way_ms"])
        for p in performance.pictures:
            table.write([f"{p.at_s:.4f}", f"{p.age_ms:.3f}", f"{p.way_ms:.3f}"])


class _Progress:
    """A line every five seconds, with the time that is left."""

    def __init__(self, frames: int) -> None:
        self._frames = max(1, frames)
        self._began = time.monotonic()
        self._next_s = 5.0

    def __call__(self, sent: int) -> None:
        seconds = time.monotonic() - self._began
        if seconds >= self._next_s:
            left_s = seconds * (self._frames / sent - 1)
            _say(f"{sent / self._frames:.0%} played, {left_s:.0f} s left")
            self._next_s += 5.0


def _tell(figures: PassFigures) -> None:
    age = figures.age_ms["p50"]
    about = f", age p50 {age:.1f} ms" if age is not None else ""
    _say(
        f"{figures.asked_hz:7.1f} Hz ({figures.rate:.2f} x): {figures.fused} of "
        f"{figures.pairs_possible} pairs fused, {figures.loss:.1%} lost{about}"
    )


def _say(text: str) -> None:
    say(f"live: {text}")
