# SPDX-License-Identifier: Apache-2.0
"""Files of two cameras are matched by their names."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.recordings.file_pairs import find_pairs
from fusion_ros.recordings.file_times import stamp_of_name
from fusion_ros.recordings.match_result import NAMES, ORDER, STAMPS, MatchResult
from fusion_ros.recordings.matching import MatchError, Matching, match_files, natural_key

SECOND = 10**9


def files(folder: str, *names: str) -> list[Path]:
    return [Path(folder) / name for name in names]


def names_of(result: MatchResult) -> list[tuple[str, str]]:
    return [(pair.visible.name, pair.thermal.name) for pair in result.pairs]


@given(
    st.sets(st.integers(0, 200), min_size=1),
    st.sets(st.integers(0, 200), min_size=1),
    st.sampled_from([("f", "f"), ("rgb_", "thermal-"), ("cam0_", "cam1_")]),
    st.randoms(),
)
def test_a_number_matches_itself_with_any_files_missing(
    seen: set[int], felt: set[int], words: tuple[str, str], order: random.Random
) -> None:
    """Gaps on either side, any order of the files, padded or not: never two different numbers."""
    visible = files("v", *(f"{words[0]}{n:05d}.png" for n in seen))
    thermal = files("t", *(f"{words[1]}{n:05d}.tiff" for n in felt))
    order.shuffle(visible), order.shuffle(thermal)
    both = seen & felt
    single = words[0] != words[1] and 1 in (len(seen), len(felt))
    if not both:
        with pytest.raises(MatchError):
            match_files(visible, thermal)
        return
    result = match_files(visible, thermal)
    pairs = [(int(p.visible.stem[-5:]), int(p.thermal.stem[-5:])) for p in result.pairs]
    assert single or pairs == [(n, n) for n in sorted(both)]
    assert all(a == b for a, b in pairs)
    assert len(result.visible_left) == len(seen) - len(pairs)
    assert len(result.thermal_left) == len(felt) - len(pairs)


def test_equal_names_count_before_numbers_and_natural_order_holds() -> None:
    visible = files("v", "10.png", "2.png", "1.png")
    thermal = files("t", "1.jpg", "2.jpg", "10.jpg", "11.jpg")
    result = match_files(visible, thermal)
    assert {pair.rule for pair in result.pairs} == {NAMES}
    assert [pair.visible.name for pair in result.pairs] == ["1.png", "2.png", "10.png"]
    assert [left.path.name for left in result.thermal_left] == ["11.jpg"]
    assert sorted(["b10", "b2", "a11"], key=natural_key) == ["a11", "b2", "b10"]


@pytest.mark.parametrize(
    ("stem", "stamp_ns"),
    [
        ("1700000000123456789", 1_700_000_000_123_456_789),
        ("frame_1700000000123456", 1_700_000_000_123_456_000),
        ("ir-1700000000123", 1_700_000_000_123_000_000),
        ("1700000000", 1_700_000_000 * SECOND),
        ("1700000000.25", 1_700_000_000 * SECOND + SECOND // 4),
        ("1700000000_000250000", 1_700_000_000 * SECOND + 250_000),
        ("20231114_221320", 1_700_000_000 * SECOND),
        ("IR_2023-11-14_22-13-20.5", 1_700_000_000 * SECOND + SECOND // 2),
        ("20231114T221320125", 1_700_000_000 * SECOND + SECOND // 8),
        ("0001234567", None),
        ("FLIR_00001", None),
        ("20231399_221320", None),
    ],
)
def test_times_in_names_are_read(stem: str, stamp_ns: int | None) -> None:
    assert stamp_of_name(stem) == stamp_ns


def test_time_stamps_pair_at_the_nearest_time_and_not_by_position() -> None:
    begin = 1_700_000_000 * SECOND
    visible = files("v", *(f"{begin + n * SECOND // 30}.png" for n in range(60)))
    thermal_ns = [begin + 2_000_000 + n * SECOND // 9 for n in range(18)]
    thermal = files("t", *(f"{stamp}.png" for stamp in thermal_ns))
    result = match_files(visible, thermal)
    assert [pair.rule for pair in result.pairs] == [STAMPS] * 18
    for pair in result.pairs:
        difference_ns = abs(int(pair.visible.stem) - int(pair.thermal.stem))
        assert difference_ns <= SECOND // 60
    assert len(result.visible_left) == 42
    with pytest.raises(MatchError, match=r"\b2 ms"):
        match_files(visible[:1], thermal[:1], Matching(tolerance_ms=1.0))


def test_unmatched_names_are_refused_with_counts_and_first_names() -> None:
    with pytest.raises(MatchError, match=r"2 visible \(a\.png, b\.png\).*1 thermal \(c\.png\)"):
        match_files(files("v", "a.png", "b.png"), files("t", "c.png"))


def test_order_counts_only_where_it_is_requested_and_counts_are_equal() -> None:
    visible, thermal = files("v", "a.png", "b.png"), files("t", "x.png", "y.png")
    result = match_files(visible, thermal, Matching(by_order=True))
    assert names_of(result) == [("a.png", "x.png"), ("b.png", "y.png")]
    assert {pair.rule for pair in result.pairs} == {ORDER}
    with pytest.raises(MatchError, match=r"2 visible.*1 thermal"):
        match_files(visible, thermal[:1], Matching(by_order=True))


def test_one_name_for_two_files_is_refused() -> None:
    with pytest.raises(MatchError, match=r"a\.png and a\.jpg|a\.jpg and a\.png"):
        match_files(files("v", "a.png", "a.jpg"), files("t", "a.png"))


def test_one_file_for_both_cameras_is_refused_through_links_too(tmp_path: Path) -> None:
    for folder in ("v", "t", "h"):
        (tmp_path / folder).mkdir()
    picture = tmp_path / "v/a.png"
    picture.write_bytes(b"picture")
    (tmp_path / "t/a.png").symlink_to(picture)
    (tmp_path / "h/a.png").hardlink_to(picture)
    for folder in ("v", "t", "h"):
        with pytest.raises(MatchError, match=r"a\.png"):
            find_pairs(picture, tmp_path / folder / "a.png")


def test_independent_counters_are_doubtful() -> None:
    """Extracted from a 30 Hz and a 9 Hz video, both folders count from 0."""
    visible = files("v", *(f"{n:04d}.png" for n in range(30)))
    assert match_files(visible, files("t", *(f"{n:04d}.png" for n in range(9)))).doubts()
    assert not match_files(visible, files("t", *(f"{n:04d}.png" for n in range(29)))).doubts()
    shifted = match_files(visible, files("t", *(f"{n:04d}.png" for n in range(1, 31))))
    assert len(shifted.doubts()) == 1
    gap = files("t", *(f"{n:04d}.png" for n in range(30) if not 9 <= n < 19))
    assert not match_files(visible, gap).doubts()
