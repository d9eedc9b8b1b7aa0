# SPDX-License-Identifier: Apache-2.0
"""The two threads behind the executor: one fuses, one publishes. Fusing has a deadline.

A job is settled exactly once, by the holder of its claim. That is the thread that processes it, or
the executor's thread after the deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fusion_ros.engines.engine import EngineError
from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.nodes.fuse.jobs import Output, Publication, Work, lone_output, size_key
from fusion_ros.nodes.fuse.pipeline_slot import PipelineSlot
from fusion_ros.nodes.fuse.publishing_lane import PublishingLane
from fusion_ros.nodes.fuse.reporting.counters import Counters
from fusion_ros.nodes.fuse.worker import NewestWorker
from fusion_ros.registration.alignment import Alignment, AlignmentMonitor
from fusion_ros.streams.content import EffectWatch, Fault
from fusion_ros.streams.ledger import Fate, Stream
from fusion_ros.streams.pair_flow import FramePair, LoneFrame
from fusion_ros.streams.stamps import NS_PER_MS

if TYPE_CHECKING:
    from fusion_ros.parameters import FuseParameters
    from fusion_ros.pipeline import FusionPipeline

FollowUp = Callable[["FramePair | LoneFrame", "Output", "FusionPipeline"], object]

FIRST_CALL_DEADLINE_NS = 60_000_000_000
"""Deadline of the first frame of a size, for which engines compile."""
HAND_OVER_S = 0.0006
"""How long `submit` leaves Python's interpreter lock to an idle worker that takes the job. The
executor's next round and the examination of frames would double the time of its tone stage."""
STOP_S = 2.0
"""How long `stop` waits for the job in work."""
PUBLISH_FIRST_S = 0.005
"""How long the tone curve's update waits for the publishing of its image."""
MOST_SIZES = 256
"""Largest number of frame sizes known as compiled; bounds memory."""
LATE = "engine_deadline"
"""Reason code of pairs that an engine did not fuse in time."""


class _Progress:
    """State of one worker's thread."""

    def __init__(self) -> None:
        self.now: tuple[Work, int, int] | None = None
        """The running work, its start and its deadline in nanoseconds; None between jobs."""


class FusionLane:
    """Fuses the newest job in one thread and publishes the newest result in another.

    Args:
        values: the node's parameters; may be replaced.
        publish: publishes an output, in the publishing thread; returns milliseconds by stage.
        topic: of that output, for reports.
        can_publish: whether the middleware still runs; a signal ends it before `stop` is called.
        replaced: receives the pipeline with the engine that replaces a hung one.
        follow_up: called in the worker's thread with each job, its output and its pipeline, after
            the output was passed on for publishing.
    """

    def __init__(
        self,
        pipeline: FusionPipeline,
        values: FuseParameters,
        counters: Counters,
        publish: Callable[[Output], dict[str, float]],
        *,
        topic: str = "fused/image_raw",
        can_publish: Callable[[], bool] = lambda: True,
        replaced: Callable[[FusionPipeline], object] = lambda pipeline: None,
        follow_up: FollowUp = lambda job, output, pipeline: None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.pipeline = PipelineSlot(pipeline, counters.warn)
        self.values = values
        self._counters = counters
        self._publish = publish
        self._can_publish = can_publish
        self._replaced = replaced
        self._follow_up = follow_up
        self._clock_ns = clock_ns
        self._alignment = AlignmentMonitor(values.alignment_period_s)
        self._effect = EffectWatch()
        self._registration = pipeline.registration
        self._known_sizes: set[tuple[int, tuple[int, ...], tuple[int, ...]]] = set()
        self._hung: tuple[NewestWorker[Work], int] | None = None
        self._progress, self._worker = self._new_worker()
        self.publishing: PublishingLane[Publication] = PublishingLane(
            topic,
            self._send,
            counters.warn,
            can_publish=can_publish,
            dropped=self._drop,
        )

    @property
    def alignment(self) -> Alignment | None:
        """The last evaluation of the alignment, if any."""
        return self._alignment.last

    @property
    def effect_fault(self) -> tuple[Fault, str] | None:
        """The fault that the newest fused frames show, if any, and its text."""
        fault = self._effect.fault
        return None if fault is None else (fault, self._effect.text)

    @property
    def hung_s(self) -> float:
        """Seconds for which a hung engine without replacement has not returned; 0 if none."""
        return 0.0 if self._hung is None else (self._clock_ns() - self._hung[1]) / 1e9

    @property
    def is_busy(self) -> bool:
        """Whether a thread still uses the pipeline, also one left behind by `stop`."""
        return self._worker.is_alive or (self._hung is not None and self._hung[0].is_alive)

    def start(self) -> None:
        """Begin to fuse."""
        self.publishing.start()
        self._worker.start()

    def submit(self, job: FramePair | LoneFrame) -> None:
        """Fuse this job next; it supersedes a waiting one."""
        self.check()
        if self._hung is None:
            if self._worker.submit(Work(job)):
                time.sleep(HAND_OVER_S)
        else:
            self._reject(job, LATE, self._late_text(self._hung[1]))

    def stop(self) -> bool:
        """Finish running work within a time limit. False where a thread is left behind."""
        ended = self._worker.stop(STOP_S)
        if not ended:
            self._give_up_job()
        published = self.publishing.stop()
        if ended and self._hung is None:
            self.pipeline.for_next_job()
        return ended and published and self._hung is None

    def check(self) -> bool:
        """Compare the running job with its deadline; to be called a few times each second.

        After the deadline the pair is rejected and the result of the thread is discarded. The
        fallback engine continues where there is one. Otherwise pairs are rejected until the call
        returns or the pipeline is replaced.

        Returns:
            Whether a deadline was missed since the last call.
        """
        if self._hung is not None:
            self._check_hung()
            return False
        now = self._progress.now
        if now is None or self._clock_ns() - now[1] <= self._limit_ns(now[2]):
            return False
        pipeline, begun_ns = self.pipeline.current, now[1]
        self._give_up_job()
        self._worker.stop(0.0)
        other = pipeline.past_hung_engine()
        if other is None:
            self._hung = (self._worker, begun_ns)
            return True
        self.pipeline.replace(other, done_with_old=lambda: None)
        self._replaced(other)
        self._resume()
        return True

    # --- in the executor's thread -----------------------------------------------------------------

    def _limit_ns(self, deadline_ns: int) -> int:
        """Return the deadline of the running job, also while its engine is being replaced."""
        changing = getattr(self.pipeline.current.engine, "is_changing", False)
        return max(deadline_ns, FIRST_CALL_DEADLINE_NS) if changing else deadline_ns

    def _new_worker(self) -> tuple[_Progress, NewestWorker[Work]]:
        progress = _Progress()
        worker: NewestWorker[Work] = NewestWorker(
            lambda work: self._work(work, progress), self._supersede, name="fusion"
        )
        return progress, worker

    def _resume(self) -> None:
        self._hung = None
        self._progress, self._worker = self._new_worker()
        self._worker.start()

    def _check_hung(self) -> None:
        """Resume where the call returned, or where `~/reload` made another pipeline."""
        assert self._hung is not None
        worker, begun_ns = self._hung
        if worker.is_alive and not self.pipeline.has_next:
            return
        if worker.is_alive:
            self.pipeline.leave_old_open()
        else:
            seconds = (self._clock_ns() - begun_ns) / 1e9
            self._counters.warn(f"the engine returned after {seconds:.1f} s; fusing again")
        self._resume()

    def _give_up_job(self) -> None:
        now = self._progress.now
        if now is not None and now[0].claim.take():
            self._reject(now[0].job, LATE, self._late_text(now[1]))

    def _late_text(self, begun_ns: int) -> str:
        engine = self.pipeline.current.engine.describe()
        age_ms = (self._clock_ns() - begun_ns) / NS_PER_MS
        return (
            f"engine {engine.name} on {engine.device} has not returned for {age_ms:.0f} ms "
            "(parameter engine_deadline_ms); if it does not recover, call ~/reload or restart the "
            "node"
        )

    def _deadline_ns(self, *, known: bool) -> int:
        deadline_ns = round(self.values.engine_deadline_ms * NS_PER_MS)
        return deadline_ns if known else max(deadline_ns, FIRST_CALL_DEADLINE_NS)

    # --- in the worker's thread -------------------------------------------------------------------

    def _supersede(self, work: Work) -> None:
        if work.claim.take():
            self._settle(work.job, Fate.SUPERSEDED)

    def _settle(self, job: FramePair | LoneFrame, fate: Fate, reason: str = "") -> None:
        if isinstance(job, LoneFrame):
            self._counters.ledger.settle(job.stream, fate, reason)
        else:
            self._counters.ledger.settle_pair(fate, reason, is_held=job.is_held)

    def _reject(self, job: FramePair | LoneFrame, reason: str, message: str) -> None:
        self._settle(job, Fate.REJECTED, reason)
        streams, subject = tuple(Stream), "a pair"
        if isinstance(job, LoneFrame):
            streams, subject = (job.stream,), f"a {job.stream.value} frame"
        elif job.is_held:
            streams = (Stream.VISIBLE,)
        self._counters.rejections.add(streams, subject, reason, message)

    def _work(self, work: Work, progress: _Progress) -> None:
        """Run one job. A failure affects only this job."""
        try:
            pipeline = self.pipeline.for_next_job()
            size = size_key(pipeline, work.job)
            known = size is None or size in self._known_sizes
            progress.now = (work, self._clock_ns(), self._deadline_ns(known=known))
            if pipeline.registration is not self._registration:
                self._registration = pipeline.registration
                self._alignment.reset()
                self._effect.restart()
            if isinstance(work.job, LoneFrame):
                self._pass_on(work, work.job, pipeline)
            else:
                self._fuse(work, work.job, pipeline)
            if size is not None and not known:
                if len(self._known_sizes) >= MOST_SIZES:
                    self._known_sizes.clear()
                self._known_sizes.add(size)
        except Exception as error:
            self._failed(work, error)
        finally:
            progress.now = None

    def _failed(self, work: Work, error: Exception) -> None:
        if not work.claim.take():
            return
        if isinstance(error, EngineError):
            self._reject(work.job, "engine_error", str(error))
        elif isinstance(error, ValueError | EncodingError):
            self._reject(work.job, "unusable_pair", str(error))
        elif not self._can_publish():  # the shutdown came during this job
            self._settle(work.job, Fate.SUPERSEDED)
        else:
            self._reject(work.job, "internal_error", f"{type(error).__name__}: {error}")

    def _fuse(self, work: Work, pair: FramePair, pipeline: FusionPipeline) -> None:
        visible, thermal = pair.visible, pair.thermal
        begun_ns = self._clock_ns()
        fused = pipeline.fuse(
            visible.pixels.pixels,
            thermal.pixels.pixels,
            order=visible.pixels.order,
            thermal_order=thermal.pixels.order,
            stamp_ns=pair.thermal_stamp_ns,
            learn_later=True,
        )
        if not work.claim.take():
            return  # after its deadline: another pipeline is in use
        sources = (visible.pixels.pixels, fused.thermal)
        output = Output(fused.image, fused.order, visible.stamp_ns, visible.frame_id, *sources)
        # Further work would compete with the publishing thread for the interpreter's lock.
        # Failures from here on do not affect the pair.
        publication = Publication(output, pair, fused, begun_ns)
        self.publishing.submit(publication, wait_s=PUBLISH_FIRST_S)
        self._call_follow_up(publication, pipeline)
        try:
            pipeline.learn()
        except Exception as error:
            text = f"the tone curve was not updated: {type(error).__name__}: {error}"
            self._counters.warn_repeated("learn", text)
        try:
            now_ns = self._clock_ns()
            if not pair.is_held:  # motion since then would look like a shift
                self._alignment(*sources, now_s=now_ns / 1e9, order=visible.pixels.order)
            if self._effect.is_due(now_ns):
                celsius = pipeline.tone.median_celsius(thermal.pixels.pixels)
                self._effect.compare(visible.pixels.pixels, fused, now_ns, celsius)
        except Exception as error:
            text = f"alignment is no longer evaluated: {type(error).__name__}: {error}"
            self._counters.warn(text)
            self._alignment = AlignmentMonitor(0)

    def _pass_on(self, work: Work, job: LoneFrame, pipeline: FusionPipeline) -> None:
        publication = Publication(lone_output(job, pipeline), job)
        if work.claim.take():
            self.publishing.submit(publication)
            self._call_follow_up(publication, pipeline)

    def _call_follow_up(self, publication: Publication, pipeline: FusionPipeline) -> None:
        try:
            self._follow_up(publication.job, publication.output, pipeline)
        except Exception as error:
            if self._can_publish():
                text = f"after publishing: {type(error).__name__}: {error}"
                self._counters.warn_repeated("follow_up", text)

    # --- in the publishing thread -----------------------------------------------------------------

    def _send(self, publication: Publication) -> None:
        try:
            timings_ms = self._publish(publication.output)
        except Exception as error:
            if not self._can_publish() or not publication.claim.take():
                raise
            self._reject(publication.job, "internal_error", f"{type(error).__name__}: {error}")
            return
        published_ns = self._clock_ns()
        if not publication.claim.take():
            return  # settled by a stop
        job = publication.job
        if isinstance(job, LoneFrame):
            self._settle(job, Fate.UNPAIRED)
            self._counters.telemetry.passed_alone(job.stream)
            return
        assert publication.fused is not None
        arrived_ns = max(job.visible.arrived_ns, job.thermal.arrived_ns)
        self._settle(job, Fate.FUSED)
        self._counters.telemetry.fused(
            stamp_ns=job.visible_stamp_ns,
            arrived_ns=arrived_ns,
            skew_ms=job.skew_ns / NS_PER_MS,
            is_held=job.is_held,
            latency_ms=(published_ns - arrived_ns) / NS_PER_MS,
            stages_ms={
                "wait": (publication.begun_ns - arrived_ns) / NS_PER_MS,
                **publication.fused.timings_ms,
                **timings_ms,
            },
        )

    def _drop(self, publication: Publication) -> None:
        if publication.claim.take():
            self._settle(publication.job, Fate.SUPERSEDED)
