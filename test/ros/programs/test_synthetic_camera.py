# SPDX-License-Identifier: Apache-2.0
"""The synthetic camera over real DDS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from fusion_ros.nodes.runtime.codec import decode_image
from fusion_ros.nodes.synthetic_camera import SyntheticCamera
from fusion_ros.parameters import ParameterError
from fusion_ros.synthetic import Scene

pytestmark = pytest.mark.ros


def publish(ros: Any, **values: Any) -> tuple[list[Image], list[CameraInfo]]:
    """Images and camera_infos of a camera that ended after `max_frames`, delivered reliably."""
    defaults = {"width": 96, "height": 64, "rate_hz": 50.0, "reliability": "reliable"}
    parameters = {**defaults, "max_frames": 4, **values}
    camera = SyntheticCamera(
        context=ros.context,
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()],
    )
    ros.add(camera)
    images: list[Image] = []
    infos: list[CameraInfo] = []
    listener = ros.node("listener")
    reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
    topic = camera.modality
    listener.create_subscription(Image, f"{topic}/image_raw", images.append, reliable)
    listener.create_subscription(CameraInfo, f"{topic}/camera_info", infos.append, reliable)
    ros.spin_until(
        lambda: (
            camera.count_subscribers(f"{topic}/image_raw") > 0
            and camera.count_subscribers(f"{topic}/camera_info") > 0
            and listener.count_publishers(f"{topic}/camera_info") > 0
        ),
        "camera and listener know each other",
    )
    camera.run(ros.executor)
    ros.spin_until(lambda: len(images) + len(infos) >= 2 * camera.published, "all has arrived")
    assert camera.published == parameters["max_frames"]
    return images, infos


def stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def test_each_image_has_a_camera_info_of_its_stamp_frame_and_size(ros: Any) -> None:
    images, infos = publish(ros, frame_id="mast")
    assert len(images) == 4
    assert [stamp_ns(image) for image in images] == [stamp_ns(info) for info in infos]
    for message in (*images, *infos):
        assert (message.header.frame_id, message.width, message.height) == ("mast", 96, 64)


@pytest.mark.parametrize(
    ("modality", "encoding", "dtype", "shape"),
    [
        ("visible", "", np.uint8, (64, 96, 3)),
        ("visible", "bgr8", np.uint8, (64, 96, 3)),
        ("visible", "mono8", np.uint8, (64, 96)),
        ("thermal", "", np.uint16, (64, 96)),
        ("thermal", "32FC1", np.float32, (64, 96)),
        ("thermal", "mono8", np.uint8, (64, 96)),
    ],
)
def test_every_encoding_holds_the_scene_at_its_stamp(
    ros: Any, modality: str, encoding: str, dtype: type, shape: tuple[int, ...]
) -> None:
    epoch_s = 1_700_000_000.0
    (image, *_), _ = publish(
        ros, modality=modality, encoding=encoding, epoch_s=epoch_s, max_frames=1
    )
    pixels = decode_image(image).as_rgb()
    assert (pixels.dtype, pixels.shape) == (dtype, shape)
    seconds = (stamp_ns(image) - round(epoch_s * 1e9)) / 1e9
    scene = Scene(96, 64)
    shown = scene.visible(seconds) if modality == "visible" else scene.thermal(seconds)
    if encoding == "32FC1":
        np.testing.assert_allclose(pixels, shown / 100.0 - 273.15, atol=1e-3)
    elif pixels.shape == shown.shape and pixels.dtype == shown.dtype:
        np.testing.assert_array_equal(pixels, shown)
    else:  # mono8: fewer shades of the same
        grey = shown.mean(axis=2) if shown.ndim == 3 else shown
        assert np.corrcoef(pixels.ravel(), grey.ravel())[0, 1] > 0.9


def test_stamps_of_two_cameras_differ_by_the_offset(ros: Any) -> None:
    visible, _ = publish(ros, modality="visible")
    thermal, _ = publish(ros, modality="thermal", offset_ms=7.0)
    phases = [[stamp_ns(image) % 20_000_000 for image in images] for images in (visible, thermal)]
    assert phases == [[0] * 4, [7_000_000] * 4]


def test_lost_frames_are_not_published(ros: Any) -> None:
    images, _ = publish(ros, drop_ratio=0.5, rate_hz=200.0, max_frames=10)
    gaps = np.diff([stamp_ns(image) for image in images]) // 5_000_000
    assert gaps.max() >= 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("modality", "radar"), ("encoding", "rgb9"), ("width", 7), ("rate_hz", 0.0)],
)
def test_refused_parameter_is_named_with_its_value(ros: Any, name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"{name} .*{value}"):
        SyntheticCamera(context=ros.context, parameter_overrides=[Parameter(name, value=value)])
