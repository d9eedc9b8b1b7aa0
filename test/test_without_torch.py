# SPDX-License-Identifier: Apache-2.0
"""Node, pipeline and OpenVINO run without PyTorch; a process that cannot import it shows this."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fusion_ros.model.onnx_file import onnx_path
from fusion_ros.model.weights import shipped_weights

pytest.importorskip("openvino", reason="OpenVINO is not installed")

FUSE = """
import numpy as np
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline_factory import make_live_pipeline
values = FuseParameters(warm_up_height=64, warm_up_width=96, **options)
pipeline = make_live_pipeline(values, print)
rng = np.random.default_rng(0)
visible, thermal = (rng.integers(0, 256, (64, 96), np.uint8) for _ in range(2))
fused = pipeline.fuse(visible, thermal)
print(pipeline.engine.describe().name, fused.image.shape, np.ptp(fused.image) > 100)
"""


def run(code: str, *, hidden: str = "torch", **options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that cannot import the package `hidden`."""
    text = f"import sys; sys.modules[{hidden!r}] = None\noptions = {options!r}\n{code}"
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_the_live_pipeline_fuses(preset: str) -> None:
    done = run(FUSE, preset=preset)
    assert done.returncode == 0, done.stderr
    shape = "(64, 96)"
    assert done.stdout.strip() == f"openvino {shape} True"


@pytest.mark.skipif(importlib.util.find_spec("rclpy") is None, reason="rclpy is not installed")
def test_the_nodes_and_the_command_can_be_imported() -> None:
    modules = (
        "fusion_ros.nodes.fuse.fuse_node",
        "fusion_ros.nodes.synthetic_camera",
        "fusion_ros.nodes.recorder.recorder_node",
        "fusion_ros.cli.main",
    )
    done = run("\n".join(f"import {module}" for module in modules))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return weights without an ONNX file beside them."""
    return Path(shutil.copy(shipped_weights("compact"), tmp_path / "own.safetensors"))


def test_weights_that_need_conversion_are_refused_with_the_remedies(own: Path) -> None:
    done = run(FUSE, weights=str(own))
    assert done.returncode != 0
    error = done.stderr.strip().splitlines()[-1]
    for part in (str(own), "own.onnx", "fusion_ros[torch]", "fusion-ros export"):
        assert part in error


def test_without_the_package_onnx_such_weights_run_on_pytorch(own: Path) -> None:
    pytest.importorskip("torch")
    done = run(FUSE, weights=str(own), hidden="onnx")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "torch"


def test_weights_with_their_onnx_file_beside_them_need_no_conversion(own: Path) -> None:
    shutil.copy(onnx_path(shipped_weights("compact")), own.with_suffix(".onnx"))
    done = run(FUSE, weights=str(own))
    assert done.returncode == 0, done.stderr


def test_weights_that_pytorch_converted_once_run_without_it(own: Path) -> None:
    pytest.importorskip("torch")
    from fusion_ros.engines.openvino_engine import OpenVinoEngine
    from fusion_ros.model.weights import load_weights

    OpenVinoEngine(load_weights(own))
    assert not onnx_path(own).exists()
    done = run(FUSE, weights=str(own))
    assert done.returncode == 0, done.stderr


def test_a_replay_without_measures_runs_and_one_with_measures_is_refused(tmp_path: Path) -> None:
    code = """
import numpy as np
from fusion_ros.cli.main import main
from fusion_ros.files.images import write_image
from fusion_ros.synthetic import Scene
from pathlib import Path
root, scene = Path(options["root"]), Scene(96, 64)
for n in range(3):
    for folder, image in (("vis", scene.visible(n / 2)), ("ir", scene.thermal(n / 2))):
        (root / folder).mkdir(parents=True, exist_ok=True)
        write_image(root / folder / f"{n}.png", image)
words = ["replay", str(root), "--out", str(root / "out")]
assert main(words) == 2
assert not (root / "out").exists()
assert main([*words, "--measures", "none"]) == 0
assert (root / "out" / "report.html").is_file()
"""
    done = run(code, root=str(tmp_path / "clip"))
    assert done.returncode == 0, done.stderr
    assert "--measures none" in done.stderr
