# SPDX-License-Identifier: Apache-2.0
"""The viewers' configurations: existing topics, status fields and settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOXGLOVE = json.loads((ROOT / "config/foxglove/fusion.json").read_text(encoding="utf-8"))
RVIZ = yaml.safe_load((ROOT / "config/rviz/fusion.rviz").read_text(encoding="utf-8"))
PANELS = FOXGLOVE["configById"]
STATUS = "/fused/status"


def topics() -> set[str]:
    """Return the topics of the reference page, as of a node without a namespace."""
    page = (ROOT / "docs/reference/topics.md").read_text(encoding="utf-8")
    names = re.findall(r"`(/?[a-z_]+(?:/[a-z_]+)*)`", page)
    return {name if name.startswith("/") else f"/{name}" for name in names}


def status_fields() -> set[str]:
    text = (ROOT / "msg/FusionStatus.msg").read_text(encoding="utf-8")
    return set(re.findall(r"^(?:float64|uint64|bool|string) ([a-z0-9_]+)", text, re.MULTILINE))


def leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
        return
    assert node["direction"] in ("row", "column")
    assert 0 < node["splitPercentage"] < 100
    yield from leaves(node["first"])
    yield from leaves(node["second"])


def test_foxglove_places_each_panel_once() -> None:
    assert sorted(leaves(FOXGLOVE["layout"])) == sorted(PANELS)


def test_foxglove_shows_topics_and_status_fields_that_exist() -> None:
    shown = {panel["imageMode"]["imageTopic"] for name, panel in PANELS.items() if "Image" in name}
    shown |= {p["topicToRender"] for p in PANELS.values() if "topicToRender" in p}
    assert shown <= topics()
    paths = {path["value"] for panel in PANELS.values() for path in panel.get("paths", ())}
    assert len(paths) > 10
    assert {path.removeprefix(f"{STATUS}.") for path in paths} <= status_fields()


def test_foxglove_knows_each_setting() -> None:
    layouts = pytest.importorskip("foxglove.layouts", reason="foxglove-sdk is not installed")
    kinds = {
        "Image": layouts.ImageConfig(),
        "Plot": layouts.PlotConfig(),
        "StateTransitions": layouts.StateTransitionsConfig(),
        "DiagnosticSummary": layouts.DiagnosticsSummaryConfig(),
    }
    series = layouts.PlotSeries()._to_dict() | layouts.StateTransitionsSeries()._to_dict()
    for name, panel in PANELS.items():
        known = {*kinds[name.split("!")[0]]._to_dict(), "title"}
        assert set(panel) <= known, name
        for path in panel.get("paths", ()):
            assert set(path) <= set(series), name
    image = layouts.ImageModeConfig()._to_dict()
    assert all(set(p["imageMode"]) <= set(image) for p in PANELS.values() if "imageMode" in p)


def test_rviz_shows_topics_that_exist_without_asking_for_reliable_delivery() -> None:
    displays = RVIZ["Visualization Manager"]["Displays"]
    assert len(displays) == 3
    for display in displays:
        assert display["Class"] == "rviz_default_plugins/Image"
        assert display["Topic"]["Value"] in topics()
        assert display["Topic"]["Reliability Policy"] == "Best Effort"


def test_the_launch_file_starts_the_chosen_viewer() -> None:
    pytest.importorskip("launch_ros", reason="launch_ros is not installed (it has no wheels)")
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(ROOT / "launch/view.launch.py"))
    for viewer, package in (("rviz", "rviz2"), ("foxglove", "foxglove_bridge")):
        context = LaunchContext()
        context.launch_configurations.update(viewer=viewer, port="8765")
        (node,) = source.get_launch_description(context).entities[-1].execute(context)
        assert node.node_package == package
