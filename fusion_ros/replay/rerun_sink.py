# SPDX-License-Identifier: Apache-2.0
"""Sink that writes a recording for the Rerun viewer; needs rerun-sdk (extra `rerun`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.files.writing import new_file_path
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.replay.detection import DetectorSink
from fusion_ros.replay.gallery import PANELS, encode_jpeg
from fusion_ros.replay.log import FrameEntry, PairEntry
from fusion_ros.replay.run import FusedSink
from fusion_ros.streams.ledger import Fate
from fusion_ros.streams.pair_flow import FramePair, LoneFrame
from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.spots import Spot, Spots

_TIMELINE = "stamp"


class RerunSink(FusedSink):
    """Sink that writes images, boxes, spots, skews and fates of frames on a timeline of stamps.

    It is a context manager; the file appears when the body ends without an error.

    Args:
        path: the .rrd file.
        detector: a sink before this one, whose boxes are shown; or None.
        spots: which hot spots are shown on the fused image; none if its mode is "off".

    Raises:
        RuntimeError: rerun-sdk is not installed.
    """

    def __init__(self, path: Path, detector: DetectorSink | None, spots: SpotOptions) -> None:
        try:
            import rerun
        except ImportError as error:
            text = "--rerun needs the package rerun-sdk: pip install rerun-sdk"
            raise RuntimeError(text) from error
        self._rerun: Any = rerun
        self._path = path
        self._detector = detector
        self._spot_options = spots
        self._spots: Spots | None = None
        self._value = "{:.0f}"
        self._stream: Any = rerun.RecordingStream("fusion_ros")
        self._file = contextlib.ExitStack()

    def __enter__(self) -> RerunSink:
        from rerun import blueprint as view

        images = [view.Spatial2DView(origin=name, name=name) for name in PANELS]
        plots = [
            view.TimeSeriesView(origin="skew_ms", name="skew, ms"),
            view.TextLogView(origin="fates", name="fates"),
        ]
        layout = view.Vertical(view.Horizontal(*images), view.Horizontal(*plots))
        unfinished = self._file.enter_context(new_file_path(self._path))
        self._stream.save(unfinished, default_blueprint=view.Blueprint(layout))
        return self

    def __exit__(self, *error: Any) -> bool | None:
        self._stream.disconnect()
        return self._file.__exit__(*error)

    def prepare(self, pair: FramePair, pipeline: FusionPipeline) -> None:
        """See `FusedSink`."""
        self._spots = None
        if self._spot_options.mode != "off":
            thermal, shape = pair.thermal.pixels, pair.visible.pixels.pixels.shape[:2]
            self._spots = pipeline.spots(
                thermal.pixels, shape, self._spot_options, thermal_order=thermal.order
            )
            self._value = "{:.0f}" if pipeline.tone.options.celsius_unit() is None else "{:.1f} C"

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        self._set_time(entry.visible_stamp_ns)
        for name, image in zip(PANELS, (visible, thermal, fused), strict=True):
            self._log_image(name, image)
            if self._detector is not None:
                found = self._detector.shown_last(name)
                labels = [f"{d.label} {d.score:.2f}" for d in found]
                self._log_boxes(f"{name}/boxes", [d.box for d in found], labels)
        if self._spot_options.mode != "off":
            self._log_spots(self._spots)
        self._stream.log("skew_ms", self._rerun.Scalars(entry.skew_ms))

    def take_alone(self, lone: LoneFrame, image: np.ndarray) -> None:
        """See `FusedSink`."""
        self._set_time(lone.frame.stamp_ns)
        self._log_image("fused", image)

    def write_fates(self, frames: Iterable[FrameEntry]) -> None:
        """Write the fate of each frame; a frame without a stamp is placed at its arrival."""
        for frame in frames:
            self._set_time(frame.stamp_ns or frame.arrived_ns)
            fate = frame.fate.value if frame.fate else "pending"
            text = f"{frame.index}: {fate} {frame.reason}".rstrip()
            level = "INFO" if frame.fate in (Fate.FUSED, Fate.HELD) else "WARN"
            self._stream.log(f"fates/{frame.stream.value}", self._rerun.TextLog(text, level=level))

    def _log_spots(self, spots: Spots | None) -> None:
        """Write the hottest and the coldest place and the regions; none remove earlier ones."""
        places: list[Spot] = [spots.hottest, spots.coldest] if spots else []
        regions = list(spots.regions) if spots else []
        # Pixel 0 is from 0 to 1 in Rerun.
        points = np.array([(s.x + 0.5, s.y + 0.5) for s in places], np.float32).reshape(-1, 2)
        boxes = [(s.left, s.top, s.left + s.width, s.top + s.height) for s in regions]
        texts, names = ([self._value.format(s.value) for s in of] for of in (places, regions))
        self._stream.log("fused/places", self._rerun.Points2D(points, radii=4, labels=texts))
        self._log_boxes("fused/regions", boxes, names)

    def _log_boxes(self, name: str, boxes: Sequence[Sequence[float]], labels: list[str]) -> None:
        rr = self._rerun
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        kind = rr.Box2DFormat.XYXY
        self._stream.log(name, rr.Boxes2D(array=corners, array_format=kind, labels=labels))

    def _set_time(self, stamp_ns: int) -> None:
        self._stream.set_time(_TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))

    def _log_image(self, name: str, image: np.ndarray) -> None:
        data = self._rerun.EncodedImage(contents=encode_jpeg(image), media_type="image/jpeg")
        self._stream.log(name, data)
