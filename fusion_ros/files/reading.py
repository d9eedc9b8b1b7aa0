# SPDX-License-Identifier: Apache-2.0
"""Reading and parsing of files from users, with size limits.

Files are read into memory and never mapped: truncation of a mapped file by another process would
end this process with SIGBUS. FIFOs and devices are refused, since opening or reading may block.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any

import yaml

from fusion_ros.files.limits import MAX_SETTINGS_BYTES, TooLargeError, shown_size
from fusion_ros.outside_text import printable

_LARGEST_EXPANSION = 4
"""Entries and characters of a YAML document with its aliases expanded, relative to its text."""
_LONGEST_NUMBER = 400
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnreadableFileError(OSError):
    """Error of a file that is missing, no regular file, too large, or not permitted."""


class TooLargeFileError(UnreadableFileError, TooLargeError):
    """Error of a file beyond its size limit."""


class MalformedFileError(ValueError):
    """Error of content that is not in the expected format."""


def read_bytes(path: str | os.PathLike[str], most_bytes: int = MAX_SETTINGS_BYTES) -> bytes:
    """Return the content of a regular file without blocking on FIFOs or devices.

    Raises:
        UnreadableFileError: the file cannot be read; the message names it.
    """
    shown = printable(os.fspath(path), 300)
    try:
        # O_NONBLOCK: opening a FIFO without a writer returns at once.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise UnreadableFileError(f"{shown} does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise UnreadableFileError(f"{shown} cannot be opened ({_reason(error)})") from error
    try:
        status = os.fstat(descriptor)
        if kind := other_kind(status.st_mode):
            raise UnreadableFileError(f"{shown} is {kind}; allowed is a regular file")
        if status.st_size > most_bytes:
            raise TooLargeFileError(
                f"{shown} has {shown_size(status.st_size)}; allowed is at most "
                f"{shown_size(most_bytes)}"
            )
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most_bytes + 1)
        if data is None:  # a file of the kernel that would block
            raise UnreadableFileError(f"{shown} has no content now; allowed is a regular file")
    except UnreadableFileError:
        raise
    except OSError as error:
        raise UnreadableFileError(f"{shown} cannot be read ({_reason(error)})") from error
    finally:
        os.close(descriptor)
    if len(data) > most_bytes:
        raise TooLargeFileError(f"{shown} grows beyond the {shown_size(most_bytes)} allowed")
    return data


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse FIFOs and devices, for libraries that open files themselves and would block.

    Raises:
        UnreadableFileError: no regular file is there; the message names it.
    """
    shown = printable(os.fspath(path), 300)
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"{shown} cannot be opened ({_reason(error)})") from error
    if kind := other_kind(mode):
        raise UnreadableFileError(f"{shown} is {kind}; allowed is a regular file")


def other_kind(mode: int) -> str:
    """Return the kind of a file by its `st_mode`, such as "a FIFO"; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((kind for matches, kind in _KINDS if matches(mode)), "no regular file")


def parse_text(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises:
        MalformedFileError: the bytes are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedFileError(f"no UTF-8 text (byte {error.start})") from error


def parse_json(data: bytes) -> Any:
    """Parse JSON.

    Raises:
        MalformedFileError: invalid JSON, nested too deeply, or text without a UTF-8 form.
    """
    text = parse_text(data)
    try:
        value = json.loads(text)
        _check_encodable(value, text)
    except (ValueError, RecursionError) as error:
        raise MalformedFileError(f"no valid JSON ({_reason(error)})") from error
    return value


FAST_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser where PyYAML has it: ten times as fast on long files."""


def parse_yaml(data: bytes | str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Parse one YAML document with a safe loader.

    Aliases are allowed within a limit on the expanded document; recursive ones are refused.

    Raises:
        MalformedFileError: invalid YAML, a key twice in a mapping, a value that does not
            fit its tag, or too large.
    """
    text = parse_text(data) if isinstance(data, bytes) else data
    try:
        instance = loader(text)
        try:
            node = instance.get_single_node()
            if node is None:
                return None
            _check_size(node, _LARGEST_EXPANSION * max(len(text), MAX_SETTINGS_BYTES))
            value = instance.construct_document(node)
        finally:
            instance.dispose()
        _check_encodable(value, text)
    except Exception as error:
        # PyYAML's constructors raise more than YAMLError: IndexError for an empty !!int, KeyError
        # for a !!bool of another word, AttributeError for a bad !!timestamp, RecursionError.
        raise MalformedFileError(f"no valid YAML ({_reason(error)})") from error
    return value


def _check_size(root: yaml.Node, most: int) -> None:
    """Refuse documents with large expanded aliases, and numbers that take long to convert."""
    sizes: dict[int, int | None] = {}  # None: not finished

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            known = sizes[id(node)]
            if known is None:
                raise ValueError("an alias refers to the entry that contains it")
            return known
        sizes[id(node)] = None
        if isinstance(node, yaml.ScalarNode):
            total = 1 + len(node.value)
            if node.tag.endswith((":int", ":float")) and total > _LONGEST_NUMBER:
                raise ValueError(f"a number of {len(node.value)} characters")
        else:
            _refuse_double_keys(node)
            total = 1 + sum(size(child) for child in _children(node))
        if total > most:
            raise ValueError(f"longer than {most} with its aliases expanded")
        sizes[id(node)] = total
        return total

    size(root)


def _refuse_double_keys(node: yaml.Node) -> None:
    """Refuse a key that stands twice in a mapping; PyYAML would take the last silently."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if (key.tag, key.value) in seen:
            raise ValueError(f"line {key.start_mark.line + 1}: key {key.value!r} stands twice")
        seen.add((key.tag, key.value))


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for item in node.value:
        if isinstance(item, tuple):
            yield from item
        else:
            yield item


def _check_encodable(value: Any, source: str) -> None:
    """Refuse lone surrogates, which escapes can express and UTF-8 cannot."""
    if "\\u" in source or "\\U" in source:
        json.dumps(value, ensure_ascii=False, default=str, skipkeys=True).encode("utf-8")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = printable(" ".join(str(error).split()), 300)
    plain = isinstance(error, ValueError | yaml.YAMLError) and text
    return text if plain else f"{type(error).__name__}: {text}"
