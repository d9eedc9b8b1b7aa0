# SPDX-License-Identifier: Apache-2.0
"""Files of a bag: found by metadata.yaml or by name, opened by their content."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from fusion_ros.files.limits import MAX_TEXT_BYTES
from fusion_ros.files.reading import FAST_LOADER, check_regular, parse_yaml, read_bytes
from fusion_ros.recordings.bags import mcap_records, ros1_file, sqlite_file
from fusion_ros.recordings.bags.bag_file import BagFile, BagMessage, TopicType, ros2_type
from fusion_ros.recordings.bags.decompression import ZSTD_MAGIC, unpack_file
from fusion_ros.recordings.bags.mcap_file import McapFile
from fusion_ros.recordings.bags.ros1_file import Ros1File
from fusion_ros.recordings.bags.sqlite_file import SqliteFile
from fusion_ros.recordings.recording import Damage, DamageKind, DamageReporter, RecordingError

METADATA = "metadata.yaml"
ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd", ".bag")
_PACKED = ".zstd"
_STORAGES: dict[bytes, Callable[[Path, DamageReporter], BagFile]] = {
    mcap_records.MAGIC: McapFile,
    sqlite_file.MAGIC: SqliteFile,
    ros1_file.MAGIC: Ros1File,
}


class MetadataError(ValueError):
    """Error of an unusable metadata.yaml; the bag files can be read without it."""


@dataclasses.dataclass(frozen=True)
class BagMetadata:
    """The entries of metadata.yaml that reading needs.

    Attributes:
        files: file names in recorded order.
        counts: messages by topic.
    """

    files: tuple[str, ...]
    counts: dict[TopicType, int]


def read_metadata(folder: Path) -> BagMetadata:
    """Read the metadata of a bag's folder.

    Other entries are ignored, so that an unknown storage, profile or QoS does not prevent reading.

    Raises:
        MetadataError: the file is missing, too large, invalid YAML, or not in rosbag2's format.
    """
    try:
        content = parse_yaml(read_bytes(folder / METADATA, MAX_TEXT_BYTES), FAST_LOADER)
    except OSError as error:
        raise MetadataError(str(error)) from error
    except ValueError as error:
        raise MetadataError(f"{METADATA}: {error}") from error
    try:
        entries = content["rosbag2_bagfile_information"]
        files = tuple(PurePosixPath(_name(file)).name for file in entries["relative_file_paths"])
        counts: dict[TopicType, int] = {}
        for entry in entries.get("topics_with_message_count") or ():
            about = entry["topic_metadata"]
            topic = TopicType(_name(about["name"]), ros2_type(_name(about["type"])))
            counts[topic] = counts.get(topic, 0) + int(entry["message_count"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataError(
            f"{METADATA} is not in the format of rosbag2 ({error!r:.100})"
        ) from error
    return BagMetadata(files, counts)


def _name(value: Any) -> str:
    """Return a name that is a string; other types could expand to a huge text."""
    if not isinstance(value, str):
        raise TypeError(f"a name is {type(value).__name__}, not a string")
    return value


def is_bag_file(path: Path) -> bool:
    """Whether a file has the suffix of a bag."""
    return path.name.lower().endswith(ENDINGS)


def is_bag_folder(folder: Path) -> bool:
    """Whether a folder holds a bag."""
    return (folder / METADATA).is_file() or any(map(is_bag_file, folder.iterdir()))


def open_bag(path: Path, damage: list[Damage]) -> tuple[list[BagFile], dict[TopicType, int]]:
    """Open the files of a bag.

    Args:
        path: folder of a bag, or one of its files.
        damage: receives damage, now and while messages are read.

    Returns:
        The readable files, and the messages by topic as counted by metadata.yaml (empty without
        that file).

    Raises:
        RecordingError: no file can be read.
    """
    counts: dict[TopicType, int] = {}
    paths = [path]
    if path.is_dir():
        paths, counts = _files_of(path, damage)
    opened: list[BagFile] = []
    for file in paths:
        before = len(damage)
        try:
            opened.append(_open_file(file, _reporter(file, damage)))
        except (RecordingError, OSError, ValueError, MemoryError) as error:
            del damage[before:]
            damage.append(Damage(file.name, str(error)))
    if not opened:
        raise RecordingError("; ".join(d.what for d in damage) or f"{path} holds no bag")
    return opened, counts


def _files_of(folder: Path, damage: list[Damage]) -> tuple[list[Path], dict[TopicType, int]]:
    present = sorted(file for file in folder.iterdir() if is_bag_file(file))
    try:
        metadata = read_metadata(folder)
    except MetadataError as error:
        if not present:
            raise RecordingError(
                f"{folder}: {error}, and it holds no file that ends in {', '.join(ENDINGS)}"
            ) from error
        if (folder / METADATA).exists():
            damage.append(Damage(METADATA, str(error), DamageKind.METADATA))
        else:
            what = f"it has no {METADATA}: the recorder did not close it"
            damage.append(Damage(folder.name, what, DamageKind.UNFINISHED))
        # rosbag2 removes a file after compressing it: where both exist, the compressed one is cut.
        names = {file.name for file in present}
        return [f for f in present if f.name.removesuffix(_PACKED) not in names - {f.name}], {}
    files = []
    for name in metadata.files:
        # A file may have been compressed or unpacked since.
        forms = (name, name + _PACKED, name.removesuffix(_PACKED))
        found = next((folder / n for n in forms if n and (folder / n).is_file()), None)
        if found is not None:
            files.append(found)
        else:
            damage.append(Damage(name, f"{METADATA} lists it, but it does not exist"))
    if metadata.files:
        what = f"{METADATA} does not list it, so it is not read"
        unlisted = (file.name for file in present if file not in files)
        damage += [Damage(name, what, DamageKind.METADATA) for name in unlisted]
    if not files:
        raise RecordingError(
            f"{folder}: none of the files that {METADATA} lists exists "
            f"({', '.join(metadata.files) or 'none'})"
        )
    return files, metadata.counts


def _reporter(file: Path, damage: list[Damage]) -> DamageReporter:
    def report(kind: DamageKind, what: str) -> None:
        damage.append(Damage(file.name, what, kind))

    return report


def _open_file(path: Path, report: DamageReporter) -> BagFile:
    check_regular(path)
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise RecordingError(f"{path} is empty")
    if start.startswith(ZSTD_MAGIC):
        return _UnpackedFile(path, report)
    for magic, storage in _STORAGES.items():
        if start.startswith(magic):
            try:
                return storage(path, report)
            except ImportError as error:
                raise RecordingError(
                    f"{path}: reading it needs the package {error.name}: pip install "
                    "'fusion_ros[replay]'"
                ) from error
    raise RecordingError(
        f"{path} begins with {start[:8]!r}: it is no mcap, sqlite3 or ROS 1 bag, or its start is "
        "damaged"
    )


class _UnpackedFile:
    """A file with rosbag2's file compression, unpacked into a temporary folder."""

    def __init__(self, path: Path, report: DamageReporter) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fusion_ros_")
        try:
            unpacked = Path(self._folder.name) / path.name.removesuffix(_PACKED)
            try:
                unpack_file(path, unpacked, report)
            except ValueError as error:
                raise RecordingError(f"{path}: {error}") from error
            self._file = _open_file(unpacked, report)
        except BaseException:
            self._folder.cleanup()
            raise
        self.kind, self.counts = self._file.kind, self._file.counts
        self.begin_ns = self._file.begin_ns

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """See `BagFile`."""
        yield from self._file.messages(topics)

    def close(self) -> None:
        """See `BagFile`."""
        self._file.close()
        self._folder.cleanup()
