# SPDX-License-Identifier: Apache-2.0
"""`~/reload` over real DDS: another network between two frames, or the old one kept."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from rig import AveragingEngine, Rig

from fusion_ros.engines.engine import EngineDescription, EngineError
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline

Trigger = pytest.importorskip("std_srvs.srv", reason="std_srvs is not installed").Trigger
pytestmark = pytest.mark.ros


class ThermalEngine(AveragingEngine):
    """Other weights: shows the thermal picture alone."""

    def infer(self, visible: np.ndarray, thermal: np.ndarray, **_: object) -> np.ndarray:
        return thermal.copy()

    def describe(self) -> EngineDescription:
        return EngineDescription("averaging", "cpu", "uint8", "custom", "1" * 64, {})


class Reloading:
    """A rig whose pipeline maker answers as the test says, and a client of `~/reload`."""

    def __init__(self, ros) -> None:
        self.rig = Rig(ros)
        self.ros = ros
        self.made: list[AveragingEngine] = []
        self.make = ThermalEngine
        self.rig.node._pipeline_maker = self._make
        self.client = self.rig.listener.create_client(Trigger, "fuse_node/reload")
        ros.spin_until(self.client.service_is_ready, "the service is there")

    def _make(self, values, tell) -> FusionPipeline:
        self.made.append(self.make())
        return FusionPipeline(self.made[-1])

    def hold(self) -> threading.Event:
        """Ask for a reload that goes on loading until the event is set."""
        loading, go_on = threading.Event(), threading.Event()

        def slow() -> AveragingEngine:
            loading.set()
            go_on.wait(20)
            return ThermalEngine()

        self.make = slow
        self.held = self.ask()
        self.ros.spin_until(loading.is_set, "the new weights are being loaded")
        return go_on

    def ask(self):
        return self.client.call_async(Trigger.Request())

    def answer(self, asked=None):
        asked = asked or self.ask()
        self.ros.spin_until(asked.done, "reload answered")
        return asked.result()

    def fused_level(self, stamp_ms: float) -> int:
        count = len(self.rig.fused)
        self.rig.send_pair(stamp_ms)
        return self.rig.wait_for_fused(count + 1)[-1].data[0]


def test_the_next_pair_is_fused_by_the_new_weights_and_the_old_engine_is_closed(ros):
    reloading = Reloading(ros)
    assert reloading.fused_level(1000) == 150
    answer = reloading.answer()
    assert answer.success
    assert "111111111111" in answer.message
    assert reloading.fused_level(1100) == 200
    assert reloading.rig.engine.closed
    assert not reloading.made[0].closed
    counts = reloading.rig.wait_for_settled(visible=2, thermal=2)
    assert counts["visible"]["fused"] == 2


def test_frames_are_fused_by_the_old_weights_while_new_ones_load(ros):
    reloading = Reloading(ros)
    go_on = reloading.hold()
    assert [reloading.fused_level(stamp) for stamp in (1000, 1100, 1200)] == [150, 150, 150]
    assert not reloading.held.done()
    go_on.set()
    assert reloading.answer(reloading.held).success
    assert reloading.fused_level(1300) == 200


def test_bad_weights_are_refused_with_the_reason(ros):
    reloading = Reloading(ros)

    def fail() -> AveragingEngine:
        raise EngineError("weights 'w.safetensors' are cut short")

    reloading.make = fail
    answer = reloading.answer()
    assert not answer.success
    assert "w.safetensors" in answer.message
    assert reloading.fused_level(1000) == 150
    reloading.make = ThermalEngine
    assert reloading.answer().success
    assert reloading.fused_level(1100) == 200


def test_weights_that_are_rewritten_in_place_are_loaded_whole_or_refused(ros, tmp_path):
    """As by `cp` onto the file: it is cut short and grows again while reloads read it."""
    good = shipped_weights("compact").read_bytes()
    weights = tmp_path / "own.safetensors"
    weights.write_bytes(good)
    sha256 = load_weights(weights).metadata.sha256
    reloading, end = Reloading(ros), threading.Event()

    def load() -> AveragingEngine:
        assert load_weights(weights).metadata.sha256 == sha256
        return ThermalEngine()

    def rewrite() -> None:
        while not end.is_set():
            with weights.open("r+b") as file:
                file.truncate(0)
                for at in range(0, len(good), 4096):
                    file.write(good[at : at + 4096])
                    file.flush()

    reloading.make = load
    writing = threading.Thread(target=rewrite)
    writing.start()
    try:
        answers = [reloading.answer() for _ in range(30)]
    finally:
        end.set()
        writing.join()
    refused = [answer.message for answer in answers if not answer.success]
    assert refused
    assert all("own.safetensors" in message for message in refused)
    assert reloading.answer().success
    assert reloading.fused_level(1000) == 200


def test_a_second_reload_is_refused_while_one_is_running(ros):
    reloading = Reloading(ros)
    go_on = reloading.hold()
    second = reloading.answer()
    assert not second.success
    go_on.set()
    assert reloading.answer(reloading.held).success
    assert len(reloading.made) == 1


def test_a_reload_that_ends_after_cleanup_closes_its_pipeline(ros):
    reloading = Reloading(ros)
    go_on = reloading.hold()
    reloading.rig.node.trigger_deactivate()
    threading.Timer(0.0, go_on.set).start()
    reloading.rig.node.trigger_cleanup()  # waits for it
    answer = reloading.answer(reloading.held)
    assert not answer.success
    assert "cleaned up" in answer.message
    assert reloading.made[0].closed


def test_two_reloads_without_a_pair_between_close_both_old_pipelines(ros):
    reloading = Reloading(ros)
    assert reloading.answer().success
    assert reloading.answer().success
    assert reloading.fused_level(1000) == 200
    assert reloading.rig.engine.closed
    assert [engine.closed for engine in reloading.made] == [True, False]


def test_reloading_a_node_that_is_not_configured_is_refused(ros):
    reloading = Reloading(ros)
    reloading.rig.node.trigger_deactivate()
    reloading.rig.node.trigger_cleanup()
    answer = reloading.answer()
    assert not answer.success
    assert "configure" in answer.message
    assert not reloading.made
