# SPDX-License-Identifier: Apache-2.0
"""Settings of the node's process, checked in a separate process."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from fusion_ros.nodes.runtime.process_tuning import YOUNG_OBJECTS, calm_garbage_collection

class Ring:
    def __init__(self):
        self.me = self

old, dead = Ring(), Ring()
gone = weakref.ref(dead)
del dead
calm_garbage_collection()
assert gone() is None, "garbage was kept for ever"
assert gc.get_threshold()[0] == YOUNG_OBJECTS
assert not any(kept is old for kept in gc.get_objects()), "the collector still looks at it"
frozen = gc.get_freeze_count()
young = Ring()
calm_garbage_collection()
assert gc.get_freeze_count() == frozen, "what came later was kept, too"
gone = weakref.ref(young)
del young
gc.collect()
assert gone() is None, "new garbage is not collected"
"""


THREADS = """
import threading
from pathlib import Path
import numpy as np
from fusion_ros.engines.process import keep_freed_memory

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

keep_freed_memory()
before, end = resident_mb(), threading.Event()
for _ in range(8):
    done = threading.Event()
    def work():
        blocks = [np.ones(2**20, np.uint8) for _ in range(32)]
        del blocks
        done.set()
        end.wait()
    threading.Thread(target=work, daemon=True).start()
    done.wait()
grown = resident_mb() - before
end.set()
assert grown < 2 * 32, f"eight threads keep {grown:.0f} MB of 32 MB that one of them uses"
"""


BUSY = """
import sys, threading
import cv2, numpy as np
from rclpy.node import Node
from fusion_ros.nodes.runtime.node_process import run_node

begun = threading.Event()
image = np.zeros((2000, 2000, 3), np.uint8)

def blur():
    while True:
        cv2.GaussianBlur(image, (0, 0), 9)
        begun.set()

def work(node, executor):
    threading.Thread(target=blur, daemon=True).start()
    begun.wait()
    return 3

sys.exit(run_node("busy", lambda: Node("busy"), work))
"""


def test_a_thread_that_is_left_in_native_code_does_not_change_the_exit_code():
    done = subprocess.run([sys.executable, "-c", BUSY], check=False, timeout=120)
    assert done.returncode == 3


def test_memory_that_one_thread_freed_is_used_by_the_next():
    subprocess.run([sys.executable, "-c", THREADS], check=True, timeout=60)


def test_existing_objects_are_excluded_and_new_garbage_is_collected():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)


def test_a_crash_of_native_code_leaves_a_stack() -> None:
    program = (
        "import signal; from fusion_ros.nodes.runtime.process_tuning import tune_process; "
        "tune_process(); signal.raise_signal(signal.SIGSEGV)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == -11
    assert "raise_signal" in done.stderr or "<string>" in done.stderr
