# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's engine: disabled telemetry, and compiled networks on disk."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.engines.engine import Engine
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import golden_pair
from fusion_ros.model.weights import LoadedWeights, load_weights, shipped_weights

pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture(scope="module")
def compact() -> LoadedWeights:
    return load_weights(shipped_weights("compact"))


def test_openvino_sends_no_usage_reports_from_our_programs(tmp_path: Path) -> None:
    """Its telemetry starts threads that fork the process and writes a file to the user's home."""
    code = """
import threading
from pathlib import Path
from fusion_ros.engines.process import configure_process
configure_process()
from fusion_ros.engines.openvino_engine import OpenVinoEngine
from fusion_ros.model.weights import load_weights, shipped_weights
OpenVinoEngine(load_weights(shipped_weights("compact"))).warm_up(64, 64)
print([thread.name for thread in threading.enumerate()], [p.name for p in Path.home().iterdir()])
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD")}
    environment["HOME"] = str(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "['MainThread'] []\n"


class TestCompiledNetworksOnDisk:
    """The first engine converts and stores the network; later ones load it."""

    @pytest.fixture
    def make(self, compact: LoadedWeights, tmp_path: Path) -> Callable[[], Engine]:
        from fusion_ros.engines.openvino_engine import OpenVinoEngine

        cache = EngineCache(tmp_path / "cache")
        return lambda: OpenVinoEngine(compact, precision="float32", cache=cache)

    def test_a_second_engine_computes_the_same_image_without_compiling(
        self, make: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair = golden_pair(64, 96, 1)
        first = make().infer(*pair)
        second = make()
        monkeypatch.setattr(second, "_compiled", lambda *_: pytest.fail("compiled again"))
        np.testing.assert_array_equal(second.infer(*pair), first)

    def test_a_damaged_one_is_compiled_again(
        self, make: Callable[[], Engine], tmp_path: Path
    ) -> None:
        pair = golden_pair(64, 96, 1)
        first = make().infer(*pair)
        (kept,) = (tmp_path / "cache").glob("96x64-*.engine")
        kept.write_bytes(kept.read_bytes()[:-100])
        np.testing.assert_array_equal(make().infer(*pair), first)

    def test_one_in_a_folder_that_others_can_write_is_not_used(
        self, make: Callable[[], Engine], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        pair = golden_pair(64, 96, 1)
        first = make().infer(*pair)
        assert not caplog.records
        (tmp_path / "cache").chmod(0o777)
        np.testing.assert_array_equal(make().infer(*pair), first)
        assert str(tmp_path / "cache") in caplog.text

    def test_one_that_openvino_refuses_is_compiled_again(
        self, make: Callable[[], Engine], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        pair = golden_pair(64, 96, 1)
        first = make().infer(*pair)
        (kept,) = (tmp_path / "cache").glob("96x64-*.engine")
        card = json.loads(kept.with_suffix(".json").read_text())
        kept.write_bytes(b"no network")
        card["sha256"] = hashlib.sha256(b"no network").hexdigest()
        kept.with_suffix(".json").write_text(json.dumps(card))
        np.testing.assert_array_equal(make().infer(*pair), first)
        assert kept.name in caplog.text

    def test_an_unwritable_disk_causes_only_a_warning(
        self, compact: LoadedWeights, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        from fusion_ros.engines.openvino_engine import OpenVinoEngine

        (tmp_path / "file").write_text("in the way")
        cache = EngineCache(tmp_path / "file" / "cache")
        OpenVinoEngine(compact, precision="float32", cache=cache).infer(*golden_pair(64, 96, 1))
        assert str(tmp_path / "file" / "cache") in caplog.text


ENGINES_OF_OTHER_THREADS = """
import signal, sys, threading
import numpy as np
from fusion_ros.engines.openvino_engine import OpenVinoEngine
from fusion_ros.model.weights import load_weights, shipped_weights

image = np.zeros((48, 64), np.uint8)
weights = load_weights(shipped_weights("compact"))
engines = []
def make():
    engines.append(OpenVinoEngine(weights, precision="float32"))
    engines[-1].infer(image, image)
make()
make()
for end in (engines.clear, make, engines.clear):
    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    sys.exit(0)
sys.exit(1)
"""


def test_a_signal_after_engines_of_several_threads_is_handled() -> None:
    program = [sys.executable, "-c", ENGINES_OF_OTHER_THREADS]
    assert subprocess.run(program, check=False).returncode == 0
