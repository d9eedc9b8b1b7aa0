# SPDX-License-Identifier: Apache-2.0
"""Measurement of fused pairs: cheap figures of all pairs, quality and images of some."""

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

_MOST_JUMP_IMAGES = 6
_IMAGES_KEPT = 120
_JUMP = "gain jump"

Images = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Visible, thermal (network input) and fused image; `uint8`, RGB or grey."""
_Greys = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Luma of the same, and the average of visible and thermal."""


class PairMeter:
    """Measures pairs in order. Holds the grey images of one pair and the kept moments.

    Quality, alignment and images are those of every n-th pair. The owner of `bench` finishes and
    closes it.
    """

    def __init__(self, every: int, bench: QualityBench, log: ReplayLog) -> None:
        self.moments: list[Moment] = []
        self._every = every
        self._bench = bench
        self._log = log
        self._alignment = AlignmentMonitor()
        self._digest = hashlib.sha256()
        self._before: _Greys | None = None

    @property
    def fused_sha256(self) -> str:
        """Digest over all fused images so far."""
        return self._digest.hexdigest()

    def measure(
        self, entry: PairEntry, visible: PixelFrame, fused: FusedFrame, *, jumped: bool
    ) -> Images | None:
        """Set the measured attributes of an entry; `quality` is set when the bench has finished.

        `jumped`: a camera changed its gain with this frame, so that its image is kept. Returns the
        images if they were converted here.
        """
        with self._log.timed("measure"):
            greys = self._cheap(entry, visible, fused)
        measured = entry.index % self._every == 0
        jumped = jumped and sum(m.why == _JUMP for m in self.moments) < _MOST_JUMP_IMAGES
        if measured:
            with self._log.timed("quality"):
                self._bench.submit(entry.quality, *greys[:3])
                if not entry.is_held:  # motion since then would look like a shift
                    entry.alignment = self._alignment.evaluate(*greys[:2])
        if not (jumped or (measured and len(self.moments) < _IMAGES_KEPT)):
            return None
        images = images_of(visible, fused)
        self.moments.append(keep_moment(entry.index, *images, why=_JUMP if jumped else ""))
        return images

    def _cheap(self, entry: PairEntry, visible: PixelFrame, fused: FusedFrame) -> _Greys:
        """Set brightness, sharpness, change and hash."""
        seen = _grey(visible.pixels, visible.order)
        average = cv2.addWeighted(seen, 0.5, fused.thermal, 0.5, 0.0)
        greys = (seen, fused.thermal, _grey(fused.image, fused.order), average)
        before, self._before = self._before, greys
        if before is not None and before[0].shape == greys[0].shape:
            moved = [cv2.absdiff(now, then) for now, then in zip(greys, before, strict=True)]
            entry.changes = tuple(map(_mean, moved))
            beyond = cv2.subtract(moved[2], cv2.max(moved[0], moved[1]))
            entry.excess_flicker = _mean(beyond)
        entry.fused_sha256 = hashlib.sha256(np.ascontiguousarray(fused.image).data).hexdigest()
        self._digest.update(entry.fused_sha256.encode())
        self._log.width = seen.shape[1]
        entry.means = tuple(map(_mean, greys))
        entry.slopes = tuple(map(_slope, greys))
        return greys


def images_of(visible: PixelFrame, fused: FusedFrame) -> Images:
    """Return the images of a pair, see `Images`."""
    return visible.as_rgb(), fused.thermal, PixelFrame(fused.image, fused.order).as_rgb()


def _grey(image: np.ndarray, order: ChannelOrder) -> np.ndarray:
    return luma(image, order=order) if image.ndim == 3 else image


def _mean(grey: np.ndarray) -> float:
    return float(cv2.mean(grey)[0])


def _slope(grey: np.ndarray) -> float:
    """Return the mean absolute difference to the neighbours of both directions in grey levels."""
    across = cv2.absdiff(grey[:, 1:], grey[:, :-1])
    down = cv2.absdiff(grey[1:], grey[:-1])
    return 0.5 * (_mean(across) + _mean(down))
