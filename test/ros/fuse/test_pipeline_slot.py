# SPDX-License-Identifier: Apache-2.0
"""One pipeline at a time, changed between two jobs."""

from __future__ import annotations

import pytest

from fusion_ros.nodes.fuse.pipeline_slot import PipelineSlot


class RecordingPipeline:
    """A stand-in for a pipeline: counts its resets, holds a registration."""

    def __init__(self, registration: object = None) -> None:
        self.resets = 0
        self.registration = registration

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def old() -> RecordingPipeline:
    return RecordingPipeline()


def test_a_job_keeps_its_pipeline_and_the_next_one_gets_the_new(old):
    slot, new, closed = PipelineSlot(old, pytest.fail), RecordingPipeline(), []
    assert slot.for_next_job() is old
    slot.replace(new, done_with_old=lambda: closed.append("old"))
    assert closed == []  # the job in work still uses it
    assert slot.for_next_job() is new
    assert closed == ["old"]
    assert slot.for_next_job() is new
    assert closed == ["old"]


def test_of_two_replacements_the_last_is_used_and_both_old_ones_are_closed(old):
    slot, closed = PipelineSlot(old, pytest.fail), []
    slot.replace(RecordingPipeline(), done_with_old=lambda: closed.append("old"))
    last = RecordingPipeline()
    slot.replace(last, done_with_old=lambda: closed.append("never used"))
    assert slot.for_next_job() is last
    assert closed == ["old", "never used"]


def test_a_registration_applies_to_the_present_and_the_next_pipeline(old):
    slot, new = PipelineSlot(old, pytest.fail), RecordingPipeline()
    slot.replace(new, done_with_old=lambda: None)
    registration = object()
    slot.register(registration)
    assert old.registration is new.registration is registration


def test_a_new_time_line_resets_the_pipeline_once(old):
    slot = PipelineSlot(old, pytest.fail)
    slot.reset_before_next_job()
    assert old.resets == 0
    slot.for_next_job()
    slot.for_next_job()
    assert old.resets == 1
