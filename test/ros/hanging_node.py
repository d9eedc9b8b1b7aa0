# SPDX-License-Identifier: Apache-2.0
"""Process: the fuse node, in which one thing never returns; writes "MARK hung" when it is there.

python hanging_node.py engine|publish|configure|reload
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
from rclpy.serialization import serialize_message
from rclpy.task import Future
from rig import AveragingEngine, header

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.fuse import fuse_node, outputs
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.pipeline_factory import pipeline_around
from fusion_ros.streams.ledger import Stream

WHAT = sys.argv.pop(1)
_made = 0


def hang(*_: object, **__: object) -> None:
    """Never return."""
    print("MARK hung", flush=True)
    threading.Event().wait()


def make_pipeline(values, tell):
    """Build the pipeline; hang where that is asked for."""
    global _made
    _made += 1
    if WHAT == "configure" or (WHAT == "reload" and _made == 2):
        hang()
    engine = AveragingEngine()
    if WHAT == "engine":
        engine.gate = hang
    return pipeline_around(engine, values)


def feed(node: fuse_node.FuseNode) -> None:
    """Give the node pairs, as its subscriptions would, until it ends."""
    if WHAT == "reload":
        thread = threading.Thread(target=node._reload._load, args=(Future(),), daemon=True)
        node._reload._thread = thread
        thread.start()
    for number in range(1_000_000):
        for stream in Stream:
            grey = np.full((8, 8), number % 250, np.uint8)
            stamp_ms = time.time() * 1e3 // 100 * 100
            message = encode_image(grey, ChannelOrder.GREY, "mono8", header(stamp_ms, "camera"))
            if node._active is None:
                return
            node._active.flow.take(stream, f"/{stream.value}/image_raw", serialize_message(message))
        time.sleep(0.1)


def on_activate(self, state):
    """Activate, and begin to feed."""
    result = activate(self, state)
    threading.Thread(target=feed, args=(self,), daemon=True).start()
    return result


activate = fuse_node.FuseNode.on_activate
fuse_node.FuseNode.on_activate = on_activate
if WHAT == "publish":
    outputs.publish_serialized = hang
print("MARK imported", flush=True)
sys.exit(fuse_node.main(pipeline_maker=make_pipeline))
