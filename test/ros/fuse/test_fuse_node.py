# SPDX-License-Identifier: Apache-2.0
"""The fuse node over real DDS: outputs, counts and life cycle."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.serialization import serialize_message
from rig import Rig, header, pixels
from sensor_msgs.msg import CameraInfo, Image

from fusion_ros.calibration.files import CalibrationFileError
from fusion_ros.engines.engine import EngineError
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.fuse.fuse_node import FuseNode, autostart_and_spin
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.nodes.runtime.subscription import FollowingSubscription
from fusion_ros.streams.ledger import Stream

pytestmark = pytest.mark.ros


# --- the fused image ------------------------------------------------------------------------------


def test_a_pair_is_published_as_one_image_with_the_visible_stamp_and_frame_id(ros):
    rig = Rig(ros)
    rig.send_pair(1000, skew_ms=0)
    (image,) = rig.wait_for_fused(1)
    assert image.header == header(1000, "visible_optical")
    assert (image.encoding, image.width, image.height, image.step) == ("rgb8", 64, 48, 192)
    # Grey 100 and thermal 200 average to luma 150; a grey picture stays grey.
    assert (pixels(image) == 150).all()


def test_a_skewed_pair_within_the_tolerance_keeps_the_visible_stamp(ros):
    rig = Rig(ros, {"pairing_tolerance_ms": 15.0})
    rig.send_pair(1000, skew_ms=15)
    rig.send_pair(1100, skew_ms=15)
    rig.wait_for_fused(1)  # a nearer thermal frame could have come until the next one came
    rig.send_pair(1200, skew_ms=15)
    images = rig.wait_for_fused(2)
    assert [image.header for image in images[:2]] == [
        header(1000, "visible_optical"),
        header(1100, "visible_optical"),
    ]


def test_an_image_that_waits_is_taken_with_the_other_camera_s(ros, monkeypatch):
    rig = Rig(ros)
    grey = np.full((48, 64), 200, np.uint8)
    thermal = encode_image(grey, ChannelOrder.GREY, "mono8", header(1000, "thermal_optical"))
    waiting = [serialize_message(thermal)]
    monkeypatch.setattr(
        FollowingSubscription, "take_waiting", lambda self: waiting.pop() if waiting else None
    )
    rig.send_visible(1000)
    rig.wait_for_fused(1)
    assert waiting == []


@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [200, 150, 100]), ("bgr8", [100, 150, 200]), ("mono8", None)],
)
def test_the_output_has_the_encoding_of_the_parameter(ros, encoding, channels):
    rig = Rig(ros, {"output_encoding": encoding})
    colour = np.full((48, 64, 3), (200, 150, 100), np.uint8)
    # BT.601 luma of that colour is 159.25: with a thermal frame of 159 the mean leaves it alone.
    rig.send_visible(1000, colour)
    rig.send_thermal(1000, np.full((48, 64), 159, np.uint8))
    (image,) = rig.wait_for_fused(1)
    assert image.encoding == encoding
    expected = [159] if channels is None else channels
    assert np.abs(pixels(image).astype(int) - expected).max() <= 1


def test_a_16_bit_thermal_frame_of_another_size_is_stretched_and_resized(ros):
    rig = Rig(ros, {"output_encoding": "mono8"})
    counts = np.full((24, 32), 30000, np.uint16)
    counts[:, 16:] = 31000
    rig.send_visible(1000, np.full((48, 64), 100, np.uint8))
    rig.send_thermal(1000, counts)
    (image,) = rig.wait_for_fused(1)
    fused = pixels(image)[:, :, 0]
    # Each half is even but for the blurred seam in the middle, and the hot one clearly brighter.
    assert (fused[:, :24] == fused[0, 0]).all()
    assert (fused[:, 40:] == fused[0, 63]).all()
    assert int(fused[0, 63]) - int(fused[0, 0]) >= 60


def test_the_visible_camera_info_is_published_with_the_fused_stamp(ros):
    rig = Rig(ros)
    k = [float(n) for n in range(9)]
    rig.info.publish(
        CameraInfo(header=header(500, "visible_optical"), width=64, height=48, k=k, d=[0.1] * 5)
    )
    rig.ros.spin_until(rig.knows_camera, "camera_info arrived")
    rig.send_pair(1000)
    rig.ros.spin_until(lambda: len(rig.infos) == 1, "camera_info came")
    (info,) = rig.infos
    assert info.header == header(1000, "visible_optical")
    assert (info.width, info.height, list(info.k), list(info.d)) == (64, 48, k, [0.1] * 5)


# --- quality of service ---------------------------------------------------------------------------


def test_reliability_can_be_fixed_by_parameter(ros):
    rig = Rig(ros, {"visible_reliability": "best_effort", "thermal_reliability": "reliable"})
    for _ in range(2):  # two reports: the node looked at its publishers again
        before = len(rig.diagnostics)
        rig.ros.spin_until(lambda n=before: len(rig.diagnostics) > n, "a report came")
    assert rig.reliabilities() == {"visible": "best_effort", "thermal": "reliable"}


# --- accounting -----------------------------------------------------------------------------------


def test_every_frame_ends_in_one_count(ros):
    rig = Rig(ros)
    for stamp_ms in range(1000, 1500, 100):
        rig.send_pair(stamp_ms)
        rig.wait_for_fused((stamp_ms - 1000) // 100 + 1)
    rig.send_visible(1400)  # a stamp seen before
    rig.send_thermal(1350)  # older than what was given out
    rig.send_thermal(1500, np.zeros((48, 64), np.float32))
    bad = Image(header=header(1500, "x"), encoding="rgb8", width=64, height=48, step=192)
    rig.visible.publish(bad)  # no data at all
    rig.send_visible(1500)
    counts = rig.wait_for_settled(visible=8, thermal=7)
    assert counts["visible"]["fused"] == counts["thermal"]["fused"] == 6
    assert counts["visible"]["duplicate"] == 1
    assert counts["visible"]["rejected_by_reason"] == {"truncated": 1}
    assert counts["thermal"]["late"] == 1


def test_a_failing_engine_affects_only_its_pair(ros):
    rig = Rig(ros)
    rig.engine.fail_with = EngineError("the device is gone")
    rig.send_pair(1000)
    counts = rig.wait_for_settled(visible=1, thermal=1)
    assert counts["visible"]["rejected_by_reason"] == {"engine_error": 1}
    assert counts["thermal"]["rejected_by_reason"] == {"engine_error": 1}
    rig.engine.fail_with = None
    rig.send_pair(1100)
    assert len(rig.wait_for_fused(1)) == 1


def test_a_slow_engine_fuses_the_newest_pair_and_counts_the_superseded(ros):
    rig = Rig(ros)
    entered, leave = threading.Semaphore(0), threading.Semaphore(0)

    def gate() -> None:
        entered.release()
        leave.acquire()

    rig.engine.gate = gate
    rig.send_pair(1000)
    rig.ros.spin_until(lambda: entered.acquire(blocking=False), "the engine works on pair 1")
    for stamp_ms in (1100, 1200, 1300, 1400):
        rig.send_pair(stamp_ms)
    rig.ros.spin_until(lambda: rig.counts()["visible"]["superseded"] == 3, "three gave way")
    leave.release()
    leave.release()
    images = rig.wait_for_fused(2)
    assert [image.header for image in images] == [
        header(1000, "visible_optical"),
        header(1400, "visible_optical"),
    ]
    counts = rig.wait_for_settled(visible=5, thermal=5)
    assert (counts["thermal"]["fused"], counts["thermal"]["superseded"]) == (2, 3)


# --- life -----------------------------------------------------------------------------------------


def test_the_node_can_be_deactivated_cleaned_up_and_started_again(ros):
    rig = Rig(ros)
    rig.send_pair(1000)
    rig.wait_for_fused(1)
    for round_number in (2, 3):
        assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert rig.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        assert rig.engine.closed
        rig.activate()
        rig.send_pair(1000)
        rig.wait_for_fused(round_number)


def test_frames_that_wait_at_deactivation_are_settled(ros):
    rig = Rig(ros)
    rig.send_visible(1000)
    rig.ros.spin_until(lambda: rig.counts()["visible"]["received"] == 1, "it came")
    rig.node.trigger_deactivate()
    assert rig.counts()["visible"]["unpaired"] == 1
    assert rig.counts()["visible"]["pending"] == 0


@pytest.mark.parametrize("thermal", ["/cam/image_raw", "/cam/image_raw/compressed"])
def test_one_topic_for_both_cameras_refuses_to_configure(ros, capfd, thermal):
    remapped = ["visible/image_raw:=/cam/image_raw", f"thermal/image_raw:={thermal}"]
    arguments = ["--ros-args", *(word for name in remapped for word in ("-r", name))]
    made = []
    node = ros.add(
        FuseNode(
            pipeline_maker=lambda *values: made.append(values),
            context=ros.context,
            cli_args=arguments,
        )
    )
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert made == []
    assert "/cam/image_raw" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "told", "code"),
    [
        (EngineError("device is 'cuda', but there is none"), "device is 'cuda'", 1),
        (ModuleNotFoundError("No module named 'torch'"), "No module named 'torch'", 1),
        (TypeError("a fault of ours"), "Traceback", 1),
        (CalibrationFileError("rig.yaml: no entry visible"), "rig.yaml", 2),
    ],
)
def test_a_failed_configure_logs_the_reason_and_sets_the_exit_code(ros, capfd, error, told, code):
    def fail(values, tell):
        raise error

    node = ros.add(FuseNode(pipeline_maker=fail, context=ros.context))
    assert autostart_and_spin(node, ros.executor) == code
    assert node.count_publishers("fused/image_raw") == 0
    written = capfd.readouterr().err
    assert "cannot configure: " in written
    assert str(error) in written
    assert told in written


def test_a_node_that_cannot_write_its_trace_refuses_to_configure_and_closes_the_engine(
    ros, tmp_path
):
    rig = Rig(ros, {"trace_file": str(tmp_path / "missing" / "trace.csv")}, activate=False)
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert rig.engine.closed


def test_totals_continue_over_deactivation_and_activation(ros):
    rig = Rig(ros)
    for count, stamp_ms in enumerate((10_000, 10_300, 10_600, 10_000), start=1):
        rig.send_pair(stamp_ms)  # the same pictures over and over, and a jump of the stamps
        rig.wait_for_fused(count)
    rig.node.trigger_deactivate()
    rig.node.trigger_activate()
    rig.wait_for_discovery()
    rig.send_pair(11_000)
    rig.wait_for_fused(5)
    assert rig.counts()["visible"]["fused"] == 5
    assert rig.counters.telemetry.snapshot().clock_jumps == 1
    assert rig.counters.watches[Stream.THERMAL].repeated == 3
