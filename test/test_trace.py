# SPDX-License-Identifier: Apache-2.0
"""The trace file: complete, rotated, and never in the worker's way."""

from __future__ import annotations

import csv

import pytest

from fusion_ros.nodes.trace import TraceWriter

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


def test_a_full_disk_ends_the_trace_and_nothing_else():
    warnings = []
    writer = TraceWriter("/dev/full", COLUMNS, warn=warnings.append)
    for n in range(5000):
        writer.write({"stamp_ns": n})
    writer.close()
    assert any("/dev/full" in warning for warning in warnings)
