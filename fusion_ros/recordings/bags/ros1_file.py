# SPDX-License-Identifier: Apache-2.0
"""Reader of complete ROS 1 bags: `rosbags` with a size limit for chunks."""

from __future__ import annotations

import bz2
from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fusion_ros.files.limits import MAX_CHUNK_BYTES
from fusion_ros.recordings.bags.bag_file import BagMessage, TopicType
from fusion_ros.recordings.bags.decompression import decompress
from fusion_ros.recordings.recording import DamageKind, DamageReporter, RecordingError

MAGIC = b"#ROSBAG V"


class Ros1File:
    """One .bag file with an index.

    Raises:
        RecordingError: the file has no index, is damaged, or is no ROS 1 bag.
    """

    kind = "ros1"

    def __init__(self, path: Path, report: DamageReporter) -> None:
        from lz4.frame import decompress as lz4_decompress
        from rosbags.rosbag1 import Reader

        self._report = report
        self._reader: Any = Reader(path)
        try:
            self._reader.open()
        except Exception as error:  # struct errors and rosbags' own on truncated files
            raise RecordingError(
                f"{path} cannot be read as a ROS 1 bag: {error}; `rosbag reindex` repairs bags "
                "that were not closed"
            ) from error
        kinds = {bz2.decompress: "bz2", lz4_decompress: "lz4"}
        for place, chunk in self._reader.chunks.items():
            kind = kinds.get(chunk.decompressor, "none")
            limited = partial(decompress, kind, limit=MAX_CHUNK_BYTES)
            self._reader.chunks[place] = chunk._replace(decompressor=limited)
        counts: Counter[TopicType] = Counter()
        for connection in self._reader.connections:
            counts[TopicType(connection.topic, connection.msgtype)] += connection.msgcount
        self.counts = dict(counts)
        self.begin_ns = int(self._reader.start_time)

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """See `BagFile`."""
        wanted = [c for c in self._reader.connections if c.topic in topics]
        try:
            for connection, log_ns, data in self._reader.messages(wanted) if wanted else ():
                yield BagMessage(connection.topic, connection.msgtype, log_ns, data, ros1=True)
        except Exception as error:  # of a damaged chunk: of rosbags, the decompressor or struct
            self._report(DamageKind.BYTES, f"reading stopped: {type(error).__name__}: {error}")

    def close(self) -> None:
        """See `BagFile`."""
        self._reader.close()
