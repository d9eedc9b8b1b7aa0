# SPDX-License-Identifier: Apache-2.0
"""The fuse node over real DDS: what it publishes, what it counts, how it lives."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from rig import Rig, header
from sensor_msgs.msg import CameraInfo, Image

from fusion_ros.engines.engine import EngineError
from fusion_ros.nodes.fuse_node import FuseNode
from fusion_ros.parameters import ParameterError

pytestmark = pytest.mark.ros


def pixels(message: Image) -> np.ndarray:
    flat = np.frombuffer(message.data, np.uint8)
    return flat.reshape(message.height, message.width, -1)


# --- the fused image ------------------------------------------------------------------------------


def test_a_pair_comes_out_as_one_image_with_the_visible_stamp_and_frame_id(ros):
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


@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [200, 150, 100]), ("bgr8", [100, 150, 200]), ("mono8", None)],
)
def test_the_output_encoding_is_the_parameter_s(ros, encoding, channels):
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


def test_camera_info_of_the_visible_camera_goes_along_with_the_fused_stamp(ros):
    rig = Rig(ros)
    k = [float(n) for n in range(9)]
    rig.info.publish(
        CameraInfo(header=header(500, "visible_optical"), width=64, height=48, k=k, d=[0.1] * 5)
    )
    rig.ros.spin_until(lambda: rig.node.has_camera_info, "camera_info arrived")
    rig.send_pair(1000)
    rig.ros.spin_until(lambda: len(rig.infos) == 1, "camera_info came")
    (info,) = rig.infos
    assert info.header == header(1000, "visible_optical")
    assert (info.width, info.height, list(info.k), list(info.d)) == (64, 48, k, [0.1] * 5)


# --- quality of service ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (ReliabilityPolicy.RELIABLE, "reliable"),
        (ReliabilityPolicy.BEST_EFFORT, "best_effort"),
    ],
)
def test_reliability_follows_a_publisher_that_starts_after_the_node(ros, offered, expected):
    rig = Rig(ros, reliability=offered)
    rig.ros.spin_until(
        lambda: set(rig.node.input_reliabilities().values()) == {expected},
        f"both inputs are subscribed as {expected}",
    )
    rig.wait_for_discovery()
    rig.send_pair(1000)
    assert len(rig.wait_for_fused(1)) == 1


def test_reliability_can_be_fixed_by_parameter(ros):
    rig = Rig(ros, {"visible_reliability": "best_effort", "thermal_reliability": "reliable"})
    for _ in range(2):  # two reports: the node looked at its publishers again
        before = len(rig.diagnostics)
        rig.ros.spin_until(lambda n=before: len(rig.diagnostics) > n, "a report came")
    reliabilities = {s.value: r for s, r in rig.node.input_reliabilities().items()}
    assert reliabilities == {"visible": "best_effort", "thermal": "reliable"}


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


def test_an_unknown_encoding_is_rejected_by_name_and_the_node_goes_on(ros):
    rig = Rig(ros)
    strange = rig.send_visible(1000)
    strange.encoding = "plaid9"
    strange.header = header(1100, "visible_optical")
    rig.visible.publish(strange)
    rig.send_thermal(1000)
    rig.wait_for_fused(1)
    rig.send_pair(1200)
    rig.wait_for_fused(2)
    assert rig.counts()["visible"]["rejected_by_reason"] == {"unknown_encoding": 1}


def test_swapped_topics_are_told_by_the_16_bit_visible_frame(ros):
    rig = Rig(ros)
    rig.send_visible(1000, np.zeros((48, 64), np.uint8))
    rig.send_thermal(1000)
    rig.wait_for_fused(1)
    from fusion_ros.imaging.encodings import ChannelOrder
    from fusion_ros.nodes.codec import encode_image

    counts16 = np.zeros((48, 64), np.uint16)
    rig.visible.publish(encode_image(counts16, ChannelOrder.GREY, "mono16", header(1100, "x")))
    rig.ros.spin_until(lambda: rig.counts()["visible"]["rejected"] == 1, "it was rejected")
    assert rig.counts()["visible"]["rejected_by_reason"] == {"not_8_bit": 1}


def test_a_failing_engine_costs_its_pair_and_not_the_node(ros):
    rig = Rig(ros)
    rig.engine.fail_with = EngineError("the device is gone")
    rig.send_pair(1000)
    counts = rig.wait_for_settled(visible=1, thermal=1)
    assert counts["visible"]["rejected_by_reason"] == {"engine_error": 1}
    assert counts["thermal"]["rejected_by_reason"] == {"engine_error": 1}
    rig.engine.fail_with = None
    rig.send_pair(1100)
    assert len(rig.wait_for_fused(1)) == 1


def test_a_looped_bag_fuses_its_first_pair_again(ros):
    rig = Rig(ros)
    for count, stamp_ms in enumerate((10_000, 10_300, 10_600), start=1):
        rig.send_pair(stamp_ms)
        rig.wait_for_fused(count)
    rig.send_pair(10_000)
    images = rig.wait_for_fused(4)
    assert images[3].header == header(10_000, "visible_optical")


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


# --- reports --------------------------------------------------------------------------------------


def test_the_status_adds_up_and_names_what_runs(ros):
    pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
    rig = Rig(ros)
    for count, stamp_ms in enumerate(range(1000, 2000, 100), start=1):
        rig.send_pair(stamp_ms)
        rig.wait_for_fused(count)
    rig.ros.spin_until(
        lambda: bool(rig.statuses) and rig.statuses[-1].visible_fused == 10, "a status came"
    )
    status = rig.statuses[-1]
    for stream in ("visible", "thermal"):
        ends = ("fused", "superseded", "unpaired", "late", "duplicate", "rejected", "pending")
        total = sum(getattr(status, f"{stream}_{end}") for end in ends)
        assert getattr(status, f"{stream}_received") == total == 10
    assert (status.mode, status.engine, status.device) == ("fusing", "averaging", "cpu")
    assert status.header.frame_id == "visible_optical"
    assert status.skew_ms_p50 == status.skew_ms_p95 == 0.0
    assert 0 < status.latency_ms_p50 <= status.latency_ms_p95
    assert status.stage_names[0] == "wait"
    assert {"tone", "registration", "infer", "encode", "publish"} <= set(status.stage_names)
    assert len(status.stage_names) == len(status.stage_ms_p50) == len(status.stage_ms_p95)


def test_a_status_comes_with_every_image_when_asked(ros):
    pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
    rig = Rig(ros, {"status_every_frame": True})
    rig.ros.spin_until(
        lambda: rig.listener.count_publishers("fused/status") == 1, "the status topic is there"
    )
    for stamp_ms in range(1000, 1500, 100):
        rig.send_pair(stamp_ms)
        rig.wait_for_fused((stamp_ms - 1000) // 100 + 1)
    rig.ros.spin_until(lambda: len(rig.statuses) >= 5, "five statuses came")


def test_diagnostics_name_the_silent_topic(ros):
    rig = Rig(ros, {"stream_timeout_ms": 1.0})
    rig.ros.spin_until(lambda: bool(rig.diagnostics), "diagnostics came")
    streams = rig.diagnostics[-1].status[0]
    assert streams.level == DiagnosticStatus.ERROR
    assert "/visible/image_raw silent" in streams.message
    assert "/thermal/image_raw silent" in streams.message


def test_diagnostics_warn_when_frames_find_no_partner(ros):
    rig = Rig(ros, {"pairing_tolerance_ms": 5.0})
    for stamp_ms in range(1000, 4000, 100):
        rig.send_pair(stamp_ms, skew_ms=50)
        rig.ros.spin_until(
            lambda n=(stamp_ms - 1000) // 100 + 1: rig.counts()["thermal"]["received"] >= n, "sent"
        )
    rig.ros.spin_until(
        lambda: any(
            d.status[1].level == DiagnosticStatus.WARN
            and "thermal_offset_ms" in d.status[1].message
            for d in rig.diagnostics
        ),
        "the pairing line warns and names the parameter",
    )


# --- life -----------------------------------------------------------------------------------------


def test_it_can_be_deactivated_cleaned_up_and_started_again(ros):
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


def test_frames_that_wait_at_deactivation_are_accounted_for(ros):
    rig = Rig(ros)
    rig.send_visible(1000)
    rig.ros.spin_until(lambda: rig.counts()["visible"]["received"] == 1, "it came")
    rig.node.trigger_deactivate()
    assert rig.counts()["visible"]["unpaired"] == 1
    assert rig.counts()["visible"]["pending"] == 0


def test_a_pipeline_that_cannot_be_made_refuses_to_configure(ros):
    def fail(values, tell):
        raise EngineError("device is 'cuda', but there is none")

    node = ros.add(FuseNode(pipeline_maker=fail, context=ros.context))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert node.count_publishers("fused/image_raw") == 0


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("preset", "huge", "allowed: 'paper' | 'compact'"),
        ("pairing_tolerance_ms", -1.0, "0.0 to 10000.0"),
        ("pairing_tolerance_ms", 20, "float"),
        ("pairing_queue_size", 0, "1 to 256"),
        ("autostart", "yes", "bool"),
    ],
)
def test_a_bad_parameter_at_start_is_named_with_its_range(ros, name, value, told):
    with pytest.raises(ParameterError) as error:
        FuseNode(context=ros.context, parameter_overrides=[Parameter(name, value=value)])
    assert name in str(error.value)
    assert told in str(error.value)


def test_live_parameters_take_effect_on_the_next_pair(ros):
    rig = Rig(ros)
    (result,) = rig.node.set_parameters([Parameter("output_encoding", value="mono8")])
    assert result.successful
    rig.send_pair(1000)
    (image,) = rig.wait_for_fused(1)
    assert image.encoding == "mono8"


def test_other_parameters_are_refused_until_cleanup_says_why(ros):
    rig = Rig(ros)
    (result,) = rig.node.set_parameters([Parameter("pairing_queue_size", value=16)])
    assert not result.successful
    assert "clean up" in result.reason
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    (result,) = rig.node.set_parameters([Parameter("pairing_queue_size", value=16)])
    assert result.successful


def test_of_changes_made_together_all_or_none_hold(ros):
    rig = Rig(ros)
    result = rig.node.set_parameters_atomically(
        [Parameter("output_encoding", value="mono8"), Parameter("stream_timeout_ms", value=-5.0)]
    )
    assert not result.successful
    assert rig.node.get_parameter("output_encoding").value == "rgb8"
    assert rig.node.parameters.current.output_encoding == "rgb8"


def test_nan_is_no_number(ros):
    rig = Rig(ros)
    (result,) = rig.node.set_parameters([Parameter("thermal_offset_ms", value=math.nan)])
    assert not result.successful


def test_a_remapped_image_topic_brings_its_own_camera_info(ros):
    rig = Rig(
        ros,
        cli_args=["--ros-args", "-r", "visible/image_raw:=/front/rgb/image_raw"],
        activate=False,
    )
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    ros.spin_until(
        lambda: rig.listener.count_subscribers("/front/rgb/camera_info") == 1,
        "the node subscribes to the camera_info beside the image",
    )


# --- for people -----------------------------------------------------------------------------------


def test_the_overlay_is_made_only_while_somebody_looks(ros):
    rig = Rig(ros)
    overlays: list[Image] = []
    rig.send_pair(1000)
    rig.wait_for_fused(1)
    rig.listener.create_subscription(Image, "fused/overlay", overlays.append, 10)
    ros.spin_until(
        lambda: rig.node.count_subscribers("fused/overlay") == 1, "the node sees the new listener"
    )
    ros.spin_until(lambda: rig.listener.count_publishers("fused/overlay") == 1, "it is there")
    stamps = iter(range(1100, 9000, 100))

    def try_again() -> bool:
        rig.send_pair(next(stamps))
        ros.executor.spin_once(timeout_sec=0.05)
        return bool(overlays)

    ros.spin_until(try_again, "an overlay came")
    # Inferno paints grey 200 in a warm colour: red well above blue, over a grey visible picture.
    red, _, blue = (int(channel) for channel in pixels(overlays[0])[0, 0])
    assert red > blue + 40
    assert overlays[0].header.frame_id == "visible_optical"


def test_cameras_knocked_out_of_line_are_told_by_the_diagnostics(ros):
    rig = Rig(ros, {"alignment_every_frames": 1})
    scene = np.zeros((240, 320), np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(40):
        y, x = rng.integers(0, 200), rng.integers(0, 280)
        height, width = rng.integers(10, 40, 2)
        scene[y : y + height, x : x + width] = rng.integers(40, 255)
    knocked = np.roll(scene, 20, axis=1)
    for count in range(1, 16):
        rig.send_visible(1000 + 100 * count, scene)
        rig.send_thermal(1000 + 100 * count, knocked)
        rig.wait_for_fused(count)
    ros.spin_until(
        lambda: any("knocked" in d.status[1].message for d in rig.diagnostics), "they tell"
    )
    told = next(d.status[1] for d in rig.diagnostics if "knocked" in d.status[1].message)
    assert told.level == DiagnosticStatus.WARN
    assert "+20, +0" in told.message
