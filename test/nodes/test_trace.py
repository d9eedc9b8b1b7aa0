# SPDX-License-Identifier: Apache-2.0
"""The trace file: complete, rotated, and never in the worker's way."""

from __future__ import annotations

import csv
import os
import resource
import socket
import sys
from pathlib import Path

import pytest

from fusion_ros.nodes.fuse.reporting.trace import TraceWriter

COLUMNS = ("stamp_ns", "infer_ms")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_come_out_in_order_under_one_heading(tmp_path):
    path = tmp_path / "trace.csv"
    for start in (0, 100):  # a second run appends
        writer = TraceWriter(path, COLUMNS, warn=pytest.fail)
        for n in range(100):
            writer.write({"stamp_ns": start + n, "infer_ms": 1.5, "unknown": "left out"})
        writer.close()
    assert [int(row["stamp_ns"]) for row in rows(path)] == list(range(200))
    assert rows(path)[0] == {"stamp_ns": "0", "infer_ms": "1.5"}


def test_files_are_put_aside_by_size_and_the_oldest_goes(tmp_path):
    path = tmp_path / "trace.csv"
    writer = TraceWriter(path, COLUMNS, warn=pytest.fail, max_bytes=200, kept_files=2)
    for n in range(100):
        writer.write({"stamp_ns": n, "infer_ms": 0})
    writer.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["trace.csv", "trace.csv.1", "trace.csv.2"]
    stamps = [int(r["stamp_ns"]) for name in names[::-1] for r in rows(tmp_path / name)]
    assert stamps == list(range(stamps[0], 100))
    assert stamps[0] > 0


def test_a_file_that_cannot_be_written_is_an_error_at_once(tmp_path):
    with pytest.raises(OSError, match="missing"):
        TraceWriter(tmp_path / "missing" / "trace.csv", COLUMNS, warn=print)


def test_a_full_disk_ends_the_trace_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a cut one would remain
    warnings = []
    path = tmp_path / "trace.csv"
    writer = TraceWriter(path, COLUMNS, warn=warnings.append)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        for n in range(5000):
            writer.write({"stamp_ns": n})
        writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert any(str(path) in warning for warning in warnings)


def make_fifo(path):
    os.mkfifo(path)


def make_link(path):
    target = path.with_name("target.csv")
    target.write_text("precious", encoding="utf-8")
    path.symlink_to(target)


def make_socket(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


@pytest.mark.parametrize("make", [Path.mkdir, make_fifo, make_link, make_socket])
def test_a_path_that_is_no_plain_file_is_refused_at_once(tmp_path, make):
    path = tmp_path / "trace.csv"
    make(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="trace_file"):  # a FIFO without a reader would block
        TraceWriter(path, COLUMNS, warn=pytest.fail)
    assert sorted(tmp_path.iterdir()) == before
    if path.is_symlink():
        assert path.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full", "no\0name", "x" * 300])
def test_devices_and_impossible_names_are_refused(path):
    with pytest.raises(OSError, match="trace_file"):
        TraceWriter(path, COLUMNS, warn=pytest.fail)


def test_a_fifo_with_a_reader_is_refused_too(tmp_path):
    path = tmp_path / "trace.csv"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="a FIFO"):
            TraceWriter(path, COLUMNS, warn=pytest.fail)
    finally:
        os.close(reader)
