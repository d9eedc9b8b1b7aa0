# SPDX-License-Identifier: Apache-2.0
"""Reader of mcap files that are complete, unfinished or damaged.

The readers of `rosbags` and `mcap` stop at the first damaged chunk. The one of `rosbags` also skips
chunks without a message index, has no size limits, and refuses files for fields that images do not
need (profile, schema, QoS). This reader walks over all records, and reports bytes without records.
"""

from __future__ import annotations

import heapq
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fusion_ros.files.limits import MAX_CHUNK_BYTES, TooLargeError, shown_size
from fusion_ros.recordings.bags.bag_file import BagMessage, TopicType, ros2_type
from fusion_ros.recordings.bags.decompression import DecompressionError, decompress
from fusion_ros.recordings.bags.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_HEAD,
    DATA_END,
    MAGIC,
    MESSAGE,
    MESSAGE_HEAD,
    MESSAGE_INDEX,
    SCHEMA,
    STATISTICS,
    FileSource,
    Read,
    Record,
    text_at,
    walk,
)
from fusion_ros.recordings.recording import DamageKind, DamageReporter, RecordingError

_FOOTER_BYTES = 9 + 20 + len(MAGIC)
_LOOSE_BYTES = 2**22
"""Block size for messages outside of chunks."""
_MOST_WAITING_BYTES = 2**28
"""Most bytes of messages held to sort overlapping chunks; beyond it the oldest is yielded."""
_PIECE = 2**20


class _Channel(NamedTuple):
    topic: TopicType
    encoding: str


class _Block(NamedTuple):
    """A chunk, or successive messages outside of chunks."""

    record: Record
    begin_ns: int
    is_chunk: bool


class McapFile:
    """One mcap file.

    Raises:
        RecordingError: the file is no mcap file.
        OSError: the file cannot be read.
    """

    kind = "mcap"

    def __init__(self, path: Path, report: DamageReporter) -> None:
        self._report = report
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, _Channel] = {}
        self._statistics: dict[int, int] | None = None
        self._blocks: list[_Block] = []
        self._indexed: dict[int, Counter[int]] = {}
        """Messages by channel in the indexes of a chunk, by the chunk's position."""
        self._source = FileSource(path)
        try:
            if self._source.read(0, len(MAGIC)) != MAGIC:
                raise RecordingError(f"{path} does not begin as an mcap file does")
            self._index()
            self.counts = self._counted()
            self.begin_ns = min((block.begin_ns for block in self._blocks), default=0)
            self._source.close()  # opened again to read messages: a bag may have many files
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `BagFile`."""
        self._source.close()

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """See `BagFile`."""
        waiting: list[tuple[int, int, BagMessage]] = []
        size = number = 0
        for block in sorted(self._blocks, key=lambda block: block.begin_ns):
            while waiting and (waiting[0][0] < block.begin_ns or size > _MOST_WAITING_BYTES):
                message = heapq.heappop(waiting)[2]
                size -= len(message.data)
                yield message
            for channel, log_ns, read in self._of_block(block, self._report):
                known = self._channels.get(channel)
                if known is not None and known.topic.topic in topics:
                    data = read()
                    message = BagMessage(*known.topic, log_ns, data, known.encoding == "ros1")
                    number += 1
                    size += len(data)
                    heapq.heappush(waiting, (log_ns, number, message))
        while waiting:
            yield heapq.heappop(waiting)[2]
        self._source.close()

    def _index(self) -> None:
        data_end, summary_end = self._footer()
        if summary_end > data_end:
            for record in walk(
                self._source.read, data_end, summary_end, partial(self._lost, "summary")
            ):
                self._read_definition(self._source.read, record)
        finished = False
        for record in walk(self._source.read, len(MAGIC), data_end, partial(self._lost, "data")):
            if record.opcode == DATA_END:
                finished = True
                self._check_data(record)
            elif record.opcode == CHUNK:
                self._note_chunk(record)
            elif record.opcode == MESSAGE:
                self._note_message(record)
            elif record.opcode == MESSAGE_INDEX:
                self._note_index(record)
            else:
                self._read_definition(self._source.read, record)
        if not (finished or summary_end):
            self._report(
                DamageKind.UNFINISHED,
                "the recorder did not close it; messages in its memory were not written",
            )

    def _footer(self) -> tuple[int, int]:
        """Return where the data and the summary end; the summary's end is 0 without a footer."""
        size = self._source.size
        start = size - _FOOTER_BYTES
        footer = self._source.read(start, _FOOTER_BYTES) if start >= len(MAGIC) else b""
        if not footer.endswith(MAGIC) or footer[:9] != b"\x02" + struct.pack("<Q", 20):
            return size, 0
        summary, _, checksum = struct.unpack_from("<QQI", footer, 9)
        if not summary:
            return start, start
        if not len(MAGIC) <= summary <= start:
            self._report(DamageKind.BYTES, "its footer points outside of the file")
            return start, start
        if checksum and self._checksum(summary, start + 9 + 16) != checksum:
            self._report(DamageKind.BYTES, "the checksum of its summary is wrong")
            return start, start
        return summary, start

    def _check_data(self, record: Record) -> None:
        (checksum,) = struct.unpack("<I", self._source.read(record.at, 4))
        if checksum and self._checksum(0, record.at - 9) != checksum:
            self._report(DamageKind.BYTES, "the checksum over all its data is wrong")

    def _checksum(self, at: int, end: int) -> int:
        value = 0
        while at < end and (piece := self._source.read(at, min(_PIECE, end - at))):
            value = zlib.crc32(piece, value)
            at += len(piece)
        return value

    def _note_chunk(self, record: Record) -> None:
        begin_ns = 0
        if record.size >= CHUNK_HEAD.size:
            head = self._source.read(record.at, CHUNK_HEAD.size)
            begin_ns = CHUNK_HEAD.unpack(head)[0]
        self._blocks.append(_Block(record, begin_ns, True))

    def _note_message(self, record: Record) -> None:
        head = self._source.read(record.at, MESSAGE_HEAD.size)
        log_ns = MESSAGE_HEAD.unpack(head)[2]
        if self._blocks and not self._blocks[-1].is_chunk:
            last = self._blocks[-1]
            grown = record.at + record.size - last.record.at
            if grown <= _LOOSE_BYTES:
                run = Record(MESSAGE, last.record.at, grown)
                self._blocks[-1] = last._replace(record=run, begin_ns=min(last.begin_ns, log_ns))
                return
        run = Record(MESSAGE, record.at - 9, record.size + 9)
        self._blocks.append(_Block(run, log_ns, False))

    def _note_index(self, record: Record) -> None:
        channel, size = struct.unpack("<HI", self._source.read(record.at, 6))
        if self._blocks and self._blocks[-1].is_chunk:
            place = self._blocks[-1].record.at
            self._indexed.setdefault(place, Counter())[channel] += size // 16

    def _read_definition(self, read: Read, record: Record) -> None:
        """Read a schema, a channel or the statistics; ignore other records."""
        if record.opcode not in (SCHEMA, CHANNEL, STATISTICS):
            return
        content = read(record.at, record.size)
        try:
            if record.opcode == SCHEMA:
                (number,) = struct.unpack_from("<H", content)
                self._schemas[number] = text_at(content, 2)[0]
            elif record.opcode == CHANNEL:
                number, schema = struct.unpack_from("<HH", content)
                topic, at = text_at(content, 4)
                kind = ros2_type(self._schemas.get(schema, ""))
                self._channels[number] = _Channel(TopicType(topic, kind), text_at(content, at)[0])
            else:
                (size,) = struct.unpack_from("<I", content, 42)
                self._statistics = dict(struct.iter_unpack("<HQ", content[46 : 46 + size]))
        except struct.error as error:
            self._report(DamageKind.BYTES, f"a record at byte {record.at} is damaged ({error})")

    def _counted(self) -> dict[TopicType, int]:
        """Return messages by topic from the statistics, or by reading the chunks without them."""
        counted: Counter[int] = Counter(self._statistics)
        if self._statistics is None or not counted.keys() <= self._channels.keys():
            counted = Counter()
            for block in self._blocks:
                messages = self._of_block(block, lambda kind, what: None)
                found = Counter(channel for channel, _, _ in messages)
                counted += found | self._indexed.get(block.record.at, Counter())
            counted |= Counter(self._statistics)
        counts: Counter[TopicType] = Counter()
        for number, channel in self._channels.items():
            counts[channel.topic] += counted.get(number, 0)
        return dict(counts)

    def _of_block(
        self, block: _Block, report: DamageReporter
    ) -> Iterator[tuple[int, int, Callable[[], bytes]]]:
        """Yield channel, time and a reader of each message of a block."""
        read: Read = self._source.read
        at, end = block.record.at, block.record.at + block.record.size
        where = f"a chunk at byte {block.record.at}"
        if block.is_chunk:
            unpacked = self._unpacked(block, where, report)
            at, end = 0, len(unpacked)
            read = lambda at, count: unpacked[at : at + count]  # noqa: E731

        def damaged(first: int, last: int) -> None:
            if block.is_chunk and not block.record.cut:
                report(DamageKind.BYTES, f"{where}: bytes {first} to {last} hold no records")

        for record in walk(read, at, end, damaged):
            if record.opcode == MESSAGE:
                head = read(record.at, MESSAGE_HEAD.size)
                if len(head) < MESSAGE_HEAD.size:
                    report(DamageKind.BYTES, "it became shorter while it was read")
                    return
                number, _, log_ns, _ = MESSAGE_HEAD.unpack(head)
                at = record.at + MESSAGE_HEAD.size
                yield number, log_ns, partial(read, at, record.size - MESSAGE_HEAD.size)
            elif block.is_chunk:
                self._read_definition(read, record)

    def _unpacked(self, block: _Block, where: str, report: DamageReporter) -> bytes:
        """Return the readable records of a chunk."""
        at, size, cut = block.record.at, block.record.size, block.record.cut
        lost = sum(self._indexed.get(at, Counter()).values())
        held = f" with {lost} messages" if lost else ""
        head = self._source.read(at, min(size, CHUNK_HEAD.size + 64))
        try:
            _, _, claimed, checksum = CHUNK_HEAD.unpack_from(head)
            kind, place = text_at(head, CHUNK_HEAD.size)
            (packed_size,) = struct.unpack_from("<Q", head, place)
        except struct.error:
            report(DamageKind.BYTES, f"{where}{held}: its header is damaged")
            return b""
        place += 8
        if claimed > MAX_CHUNK_BYTES or min(packed_size, size) > MAX_CHUNK_BYTES:
            report(
                DamageKind.BYTES,
                f"{where}{held} claims {shown_size(claimed)}; the limit is "
                f"{shown_size(MAX_CHUNK_BYTES)}, so it is not read",
            )
            return b""
        problem = "it is truncated" if cut else ""
        if packed_size > size - place and not cut:
            problem = "its length is damaged"
        packed = self._source.read(at + place, min(packed_size, size - place))
        try:
            records = decompress(kind, packed, claimed)
        except TooLargeError as error:
            report(DamageKind.BYTES, f"{where}{held}: {error}; it is not read")
            return b""
        except DecompressionError as error:
            records, problem = error.partial, problem or str(error)
        if not problem and len(records) != claimed:
            problem = f"it holds {len(records)} of {claimed} bytes"
        if not problem and checksum and zlib.crc32(records) != checksum:
            problem = "its checksum is wrong, so any of its messages may be changed"
        if problem:
            report(DamageKind.BYTES, f"{where}{held}: {problem}")
        return records

    def _lost(self, part: str, first: int, last: int) -> None:
        self._report(DamageKind.BYTES, f"bytes {first} to {last} of its {part} hold no records")
