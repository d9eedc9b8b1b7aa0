# SPDX-License-Identifier: Apache-2.0
"""The SROS 2 policy lists exactly the topics and services of the node."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from rig import Rig

from fusion_ros.cli.processes import isolated_environment

pytestmark = pytest.mark.ros

POLICY = Path(__file__).resolve().parents[3] / "config" / "security" / "policy.xml"
# Not on this rig: compressed cameras, a live calibration, simulated time, hot spots, the type
# description that Humble lacks.
ONLY_SOMETIMES = {
    "/visible/image_raw/compressed",
    "/thermal/image_raw/compressed",
    "/thermal/camera_info",
    "/tf",
    "/tf_static",
    "/clock",
    "/thermal/spots",
    "/fuse_node/get_type_description",
}


def allowed(kind: str, action: str) -> set[str]:
    root = ElementTree.parse(POLICY).getroot()
    names = [
        entry.text or ""
        for group in root.iter(f"{kind}s")
        if group.get(action) == "ALLOW"
        for entry in group.iter(kind)
    ]
    assert len(names) == len(set(names))
    full = {name.replace("~/", "/fuse_node/") for name in names}
    return {name if name.startswith("/") else f"/{name}" for name in full}


def test_policy_lists_the_topics_and_services_of_the_node(ros):
    pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
    rig = Rig(ros)
    listener = rig.listener
    for kind, action, ask in (
        ("topic", "publish", listener.get_publisher_names_and_types_by_node),
        ("topic", "subscribe", listener.get_subscriber_names_and_types_by_node),
        ("service", "reply", listener.get_service_names_and_types_by_node),
    ):
        listed = allowed(kind, action)

        def used(ask=ask) -> set[str]:
            return {name for name, _ in ask("fuse_node", "/")}

        # Discovery brings them one by one.
        ros.spin_until(
            lambda needed=listed - ONLY_SOMETIMES, used=used: needed <= used(),
            lambda needed=listed - ONLY_SOMETIMES, used=used, action=action: (
                f"the node has {sorted(needed - used())} to {action}, as the policy lists"
            ),
        )
        assert used() <= listed, f"not allowed: {used() - listed}"


def test_enforced_security_without_a_keystore_ends_the_node(tmp_path):
    enforced = {
        "ROS_SECURITY_KEYSTORE": str(tmp_path),
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "fusion_ros.nodes.fuse.fuse_node"],
        env=isolated_environment({**os.environ, **enforced}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "cannot start" in ended.stderr
    assert "SECURITY ERROR" in ended.stderr
    assert "Traceback" not in ended.stderr
