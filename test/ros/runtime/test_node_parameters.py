# SPDX-License-Identifier: Apache-2.0
"""The fuse node's parameters: checked at start, changed while it runs, remapped."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from rclpy.parameter import Parameter
from rig import Rig

from fusion_ros.cli.processes import isolated_environment
from fusion_ros.nodes.fuse.fuse_node import FuseNode
from fusion_ros.parameters import ParameterError

pytestmark = pytest.mark.ros


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


def test_a_misspelt_parameter_is_reported_with_a_similar_name(ros, capfd):
    given = [Parameter("tone_mod", value="fixed"), Parameter("use_sim_time", value=False)]
    ros.add(FuseNode(context=ros.context, parameter_overrides=given))
    log = capfd.readouterr().err
    assert "'tone_mod' (did you mean tone_mode" in log
    assert "use_sim_time" not in log


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


def test_a_remapped_fused_image_takes_its_camera_info_and_its_jpeg_along(ros):
    rig = Rig(
        ros,
        cli_args=["--ros-args", "-r", "fused/image_raw:=/mast/picture"],
        activate=False,
    )
    rig.node.trigger_configure()
    ros.spin_until(
        lambda: (
            rig.listener.count_publishers("/mast/picture/compressed") == 1
            and rig.listener.count_publishers("/mast/camera_info") == 1
        ),
        "they lie beside the remapped image",
    )


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("pairing_tolerance_ms:=-1.0", 2),
        ("weights:=/none.safetensors", 2),
        ("engine:=tensorrt", 1),
    ],
)
def test_exit_code_shows_whether_a_restart_can_help(argument: str, code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fusion_ros.nodes.fuse.fuse_node", "--ros-args", "-p", argument],
        env=isolated_environment(os.environ),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == code, ended.stderr.decode()
