# SPDX-License-Identifier: Apache-2.0
"""A replay of one recording as plain values, for this process and others."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion_ros import pipeline_factory
from fusion_ros.files.folders import discard, stage
from fusion_ros.outside_text import error_line
from fusion_ros.parameters import FuseParameters
from fusion_ros.recordings.matching import DEFAULT_MATCHING, Matching
from fusion_ros.replay.rig import set_options
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.streams.ledger import Stream

if TYPE_CHECKING:
    from fusion_ros.recordings.recording import Recording

RESULTS = (
    "summary.json", "frames.csv", "pairs.csv", "times.csv", "report.html", "detections.csv",
    "comparison.json", "fused.mp4", "fused_bag",
)  # fmt: skip
"""All files that a replay can write into its folder."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A recording to replay, with options and output folder.

    Attributes:
        recording, partner, visible_topic, thermal_topic, rate_hz, matching: see `open_recording`. A
            list of pairs stands in both `recording` and `matching`.
        out: output folder; created if missing.
        parameters: parameters of the fuse node; others have their defaults.
        settings: see `ReplaySettings`.
        fused_bag, fused_video: whether to write the fused images in these forms.
        rerun: file to write for the Rerun viewer, or None.
        report: whether to keep images and rows for the report.
        detector: arguments of `detection.DetectorSink`, or None.
        show_progress: whether to show a progress bar if stderr is a terminal.
    """

    recording: str
    out: str
    partner: str | None = None
    visible_topic: str | None = None
    thermal_topic: str | None = None
    rate_hz: float | None = None
    matching: Matching = DEFAULT_MATCHING
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: ReplaySettings = dataclasses.field(default_factory=ReplaySettings)
    fused_bag: bool = False
    fused_video: bool = False
    rerun: str | None = None
    report: bool = True
    detector: dict[str, Any] | None = None
    show_progress: bool = True

    @property
    def source(self) -> str:
        """Arguments of `fusion-ros replay` that name the recording, quoted for a shell."""
        options = {
            "--thermal": self.partner,
            "--visible-topic": self.visible_topic,
            "--thermal-topic": self.thermal_topic,
            "--frame-rate": self.rate_hz,
        }
        matching = self.matching
        words = ["--pairs"] if matching.pairs else []
        words += [self.recording, *(["--by-order"] if matching.by_order else [])]
        words += ["--pattern", *matching.pattern] if matching.pattern else []
        words += [str(w) for item in options.items() if item[1] is not None for w in item]
        return shlex.join(words)

    @property
    def options(self) -> str:
        """Options that set the parameters of this run which differ from their defaults."""
        defaults = vars(FuseParameters())
        return set_options({k: v for k, v in self.parameters.items() if v != defaults.get(k)})


@dataclasses.dataclass(frozen=True)
class JobResult:
    """Summary and report material of a replay, or its error.

    `stopped` is True after Ctrl-C; the result covers the messages until then. `staged` is the
    folder in `job.out` with the prepared files; see `fusion_ros.files.folders`.
    """

    job: Job
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: str = ""
    material: Any = None
    stopped: bool = False
    staged: str = ""


def run_job(job: Job, is_stopped: Callable[[], bool] = lambda: False) -> JobResult:
    """Replay one recording and prepare its files. Errors are returned in the result.

    `is_stopped` is called for every message; True stops the replay as Ctrl-C does.
    """
    from fusion_ros.recordings.opening import open_recording

    try:
        recording = open_recording(
            None if job.matching.pairs else Path(job.recording),
            partner=Path(job.partner) if job.partner else None,
            visible_topic=job.visible_topic,
            thermal_topic=job.thermal_topic,
            rate_hz=job.rate_hz,
            matching=dataclasses.replace(
                job.matching, tolerance_ms=job.settings.tolerance_ns / 1e6
            ),
        )
        with contextlib.closing(recording):
            staging = stage(Path(job.out))
            try:
                return _replayed(job, recording, staging, is_stopped)
            except BaseException:
                discard(staging)
                raise
    except Exception as error:
        # A bad recording must not stop the others. Readers, OpenCV and onnxruntime raise errors of
        # many types, and memory may be short.
        return JobResult(job, error=error_line(error))


def _replayed(
    job: Job, recording: Recording, out: Path, is_stopped: Callable[[], bool]
) -> JobResult:
    from fusion_ros.recordings.image_recordings import ImageRecording
    from fusion_ros.replay.findings import Evidence, find_faults
    from fusion_ros.replay.report import Material
    from fusion_ros.replay.run import Replay
    from fusion_ros.replay.summary import summarise, write_all

    names = recording.visible_names if isinstance(recording, ImageRecording) else None
    parameters = FuseParameters.from_values(job.parameters)
    total = sum(map(recording.identity.messages, Stream))
    with contextlib.closing(pipeline_factory.make_pipeline(parameters)) as pipeline:
        with contextlib.ExitStack() as files:
            sinks, detector, rerun = _sinks(job, out, names, files)
            with _progress(job, total, is_stopped) as step:
                result = Replay(recording, pipeline, job.settings, sinks).run(step)
            if rerun is not None:
                rerun.write_fates(result.log.frames)
        evidence = Evidence(recording.identity, recording.damage, result, job.settings)
        findings = find_faults(evidence)
        detected = detector.summary() if detector is not None else None
        summary = summarise(evidence, findings, pipeline.engine.describe(), detected)
    if detector is not None:
        detector.write(out / "detections.csv")
    write_all(out, summary, evidence)
    misses = detector.worst_misses if detector is not None else []
    material = Material(summary, evidence, misses) if job.report else None
    return JobResult(job, summary, "", material, result.stopped, str(out))


def _sinks(
    job: Job, out: Path, frame_names: Sequence[str] | None, files: contextlib.ExitStack
) -> tuple[list[Any], Any, Any]:
    """Return all sinks, that of the detector and that of Rerun; `files` closes their files."""
    from fusion_ros.files.images import VideoWriter
    from fusion_ros.recordings.bags.writer import BagWriter
    from fusion_ros.replay.file_sinks import VIDEO_RATE_HZ, BagSink, VideoSink

    sinks: list[Any] = []
    detector = rerun = None
    if job.fused_bag:
        sinks.append(BagSink(files.enter_context(BagWriter(out / "fused_bag"))))
    if job.fused_video:
        video = VideoWriter(out / "fused.mp4", VIDEO_RATE_HZ)
        files.push(lambda kind, *_: video.finish() if kind is None else video.close())
        sinks.append(VideoSink(video))
    if job.detector is not None:
        from fusion_ros.replay.detection import DetectorSink

        detector = DetectorSink(**job.detector, frame_names=frame_names)
        sinks.append(detector)
    if job.rerun is not None:
        from fusion_ros.replay.rerun_sink import RerunSink

        spots = FuseParameters.from_values(job.parameters).spot_options()
        rerun = files.enter_context(RerunSink(Path(job.rerun), detector, spots))
        sinks.append(rerun)
    return sinks, detector, rerun


@contextlib.contextmanager
def _progress(
    job: Job, total: int, is_stopped: Callable[[], bool]
) -> Iterator[Callable[[int], object]]:
    """Yield a progress callback, which raises KeyboardInterrupt when the job is stopped."""
    from tqdm import tqdm

    show = job.show_progress and sys.stderr.isatty()
    with tqdm(total=total, unit="msg", disable=not show, desc=Path(job.recording).name) as bar:

        def step(done: int) -> None:
            if is_stopped():
                raise KeyboardInterrupt
            bar.update(done - bar.n)

        yield step
