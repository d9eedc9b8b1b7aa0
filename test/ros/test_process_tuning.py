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


def test_existing_objects_are_excluded_and_new_garbage_is_collected():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
