# SPDX-License-Identifier: Apache-2.0
"""What is measured of each fused pair: the cheap figures of all, quality and pictures of some."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from fusion_ros.imaging.colour import luma
from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.pipeline import FusedFrame
from fusion_ros.registration.alignment import AlignmentMonitor
from fusion_ros.replay.gallery import Moment, keep_moment
from fusion_ros.replay.log import PairEntry, ReplayLog
from fusion_ros.replay.quality import QualityBench

_MOST_JUMP_PICTURES = 6
_PICTURES_KEPT = 120
_JUMP = "gain jump"

Pictures = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Visible, thermal (as the network saw it) and fused picture, `uint8`, RGB or grey."""


class PairMeter:
    """Measures pairs in their order. Holds one pair's grey pictures, and the moments that it kept.

    Args:
        every: quality, alignment and a picture of every n-th pair.
        bench: measures quality; to be finished and closed by who made it.
        log: books what it takes.
    """

    def __init__(self, every: int, bench: QualityBench, log: ReplayLog) -> None:
        self.moments: list[Moment] = []
        self._every = every
        self._bench = bench
        self._log = log
        self._alignment = AlignmentMonitor()
        self._digest = hashlib.sha256()
        self._before: Pictures | None = None

    @property
    def fused_sha256(self) -> str:
        """Over all fused pictures so far."""
        return self._digest.hexdigest()

    def measure(
        self, entry: PairEntry, visible: PixelFrame, fused: FusedFrame, *, jumped: bool
    ) -> Pictures | None:
        """Fill in what the pictures tell; `quality` is filled when the bench has finished.

        Args:
            entry: of this pair, with its times.
            visible, fused: the pictures.
            jumped: whether a camera changed its gain with this frame: then a picture is kept.

        Returns:
            The pictures, where they were needed here.
        """
        with self._log.timed("measure"):
            greys = self._cheap(entry, visible, fused)
        measured = entry.index % self._every == 0
        jumped = jumped and sum(m.why == _JUMP for m in self.moments) < _MOST_JUMP_PICTURES
        if measured:
            with self._log.timed("quality"):
                self._bench.submit(entry.quality, *greys)
                entry.alignment = self._alignment.look(*greys[:2])
        if not (jumped or (measured and len(self.moments) < _PICTURES_KEPT)):
            return None
        pictures = pictures_of(visible, fused)
        self.moments.append(keep_moment(entry.index, *pictures, why=_JUMP if jumped else ""))
        return pictures

    def _cheap(self, entry: PairEntry, visible: PixelFrame, fused: FusedFrame) -> Pictures:
        """Brightness, sharpness, change and hash; returns the luma of the three pictures."""
        greys = (
            _grey(visible.pixels, visible.order),
            fused.thermal,
            _grey(fused.image, fused.order),
        )
        before, self._before = self._before, greys
        if before is not None and before[0].shape == greys[0].shape:
            moved = [cv2.absdiff(now, then) for now, then in zip(greys, before, strict=True)]
            entry.changes = tuple(float(cv2.mean(change)[0]) for change in moved)
            beyond = cv2.subtract(moved[2], cv2.max(moved[0], moved[1]))
            entry.excess_flicker = float(cv2.mean(beyond)[0])
        entry.fused_sha256 = hashlib.sha256(np.ascontiguousarray(fused.image)).hexdigest()
        self._digest.update(entry.fused_sha256.encode())
        entry.means = tuple(float(cv2.mean(grey)[0]) for grey in greys)
        entry.slopes = tuple(_slope(grey) for grey in greys)
        return greys


def pictures_of(visible: PixelFrame, fused: FusedFrame) -> Pictures:
    """See `Pictures`."""
    return visible.as_rgb(), fused.thermal, PixelFrame(fused.image, fused.order).as_rgb()


def _grey(picture: np.ndarray, order: ChannelOrder) -> np.ndarray:
    return luma(picture, order=order) if picture.ndim == 3 else picture


def _slope(grey: np.ndarray) -> float:
    """Mean absolute difference to the neighbours, of both directions, in grey levels."""
    across = cv2.mean(cv2.absdiff(grey[:, 1:], grey[:, :-1]))[0]
    down = cv2.mean(cv2.absdiff(grey[1:], grey[:-1]))[0]
    return 0.5 * float(across + down)
