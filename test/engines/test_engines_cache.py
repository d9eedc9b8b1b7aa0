# SPDX-License-Identifier: Apache-2.0
"""Built engines on disk are found only if key, content and owner match."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.engines import engine_cache
from fusion_ros.engines.engine_cache import EngineCache, EngineKey, default_folder
from fusion_ros.engines.parity import Parity, compare, golden_pair, is_good_enough

KEY = EngineKey(
    "640x480-float16",
    {"weights_sha256": "ab" * 32, "tensorrt": "10.3.0", "device": {"name": "Orin"}},
)


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def test_a_stored_engine_is_found(cache: EngineCache) -> None:
    assert cache.find(KEY).path is None
    path = cache.store(KEY, b"engine")
    assert cache.find(KEY).path == path
    assert path.read_bytes() == b"engine"
    assert path.name.startswith("640x480-float16-")


@pytest.mark.parametrize(
    "other",
    [
        EngineKey("640x512-float16", KEY.facts),
        EngineKey(KEY.label, {**KEY.facts, "tensorrt": "10.3.1"}),
        EngineKey(KEY.label, {**KEY.facts, "device": {"name": "Xavier"}}),
    ],
)
def test_any_other_key_finds_nothing(cache: EngineCache, other: EngineKey) -> None:
    cache.store(KEY, b"engine")
    assert cache.find(other).path is None


def test_a_damaged_engine_is_not_found(cache: EngineCache) -> None:
    cache.store(KEY, b"engine").write_bytes(b"Engine")
    assert cache.find(KEY).is_refused


def test_an_engine_with_the_card_of_another_is_not_found(cache: EngineCache) -> None:
    path = cache.store(KEY, b"engine")
    card = json.loads(path.with_suffix(".json").read_text())
    card["key"]["facts"]["tensorrt"] = "11.4.0"
    path.with_suffix(".json").write_text(json.dumps(card))
    assert cache.find(KEY).is_refused


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_an_engine_without_a_readable_card_is_not_found(cache: EngineCache, text: str) -> None:
    path = cache.store(KEY, b"engine")
    path.with_suffix(".json").write_text(text)
    assert cache.find(KEY).is_refused


@pytest.mark.parametrize("what", ["folder", "file"])
def test_folders_and_files_that_others_can_write_are_refused(cache: EngineCache, what: str) -> None:
    path = cache.store(KEY, b"engine")
    (cache.folder if what == "folder" else path).chmod(0o777)
    assert cache.find(KEY).is_refused


def test_an_engine_of_another_user_is_refused(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(KEY, b"engine")
    ours = os.getuid()
    monkeypatch.setattr(engine_cache.os, "getuid", lambda: ours + 1)
    assert cache.find(KEY).is_refused


def test_a_failed_write_leaves_the_old_engine(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache.store(KEY, b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(engine_cache.os, "replace", full)
        with pytest.raises(OSError, match="disk full"):
            cache.store(KEY, b"new")
    assert path.read_bytes() == b"old"
    assert cache.find(KEY).path == path
    assert len(list(cache.folder.iterdir())) == 2


def others_folder(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cache.os, "getuid", lambda: os.geteuid() + 1)


def writable_by_others(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.folder.chmod(0o777)


def a_link(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    target = cache.folder.with_name("target")
    cache.folder.rename(target)
    cache.folder.symlink_to(target)


@pytest.mark.parametrize("change", [others_folder, writable_by_others, a_link])
def test_an_unsafe_folder_is_neither_read_nor_written(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, change: Callable[..., None]
) -> None:
    cache.store(KEY, b"engine")
    change(cache, monkeypatch)
    before = {path.name: path.read_bytes() for path in cache.folder.iterdir()}
    assert cache.find(KEY).is_refused
    with pytest.raises(PermissionError):
        cache.store(EngineKey("32x32", {}), b"other")
    assert {path.name: path.read_bytes() for path in cache.folder.iterdir()} == before


@pytest.mark.parametrize("ending", [".engine", ".json"])
def test_links_in_the_folder_are_neither_read_nor_written_through(
    cache: EngineCache, tmp_path: Path, ending: str
) -> None:
    path = cache.store(KEY, b"engine").with_suffix(ending)
    target = tmp_path / "target"
    path.rename(target)
    path.symlink_to(target)
    before = target.read_bytes()
    assert cache.find(KEY).path is None
    cache.store(KEY, b"newer")
    assert target.read_bytes() == before
    assert cache.find(KEY).data == b"newer"


@pytest.mark.parametrize("ending", [".engine", ".json"])
def test_a_fifo_in_the_folder_does_not_block(cache: EngineCache, ending: str) -> None:
    path = cache.store(KEY, b"engine").with_suffix(ending)
    path.unlink()
    os.mkfifo(path)
    assert cache.find(KEY).is_refused


def test_files_are_private_under_any_umask(cache: EngineCache) -> None:
    before = os.umask(0)
    try:
        cache.store(KEY, b"engine")
    finally:
        os.umask(before)
    assert cache.find(KEY).data == b"engine"


def test_only_the_newest_engines_are_kept(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, most=2)
    keys = [EngineKey(str(width), {}) for width in (320, 640, 1280)]
    for age, key in enumerate(keys):
        path = cache.store(key, b"engine")
        os.utime(path, ns=(age, age))
    cache.store(keys[2], b"engine")
    assert [cache.find(key).path is not None for key in keys] == [False, True, True]
    assert len(list(tmp_path.iterdir())) == 4  # two engines, two cards


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_ROS_CACHE", "/a")
    assert default_folder() == Path("/a")
    monkeypatch.delenv("FUSION_ROS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert default_folder() == Path("/b/fusion_ros/engines")


def test_parity_by_hand() -> None:
    wanted = np.zeros((2, 2), np.uint8)
    got = np.array([[0, 0], [0, 4]], np.uint8)
    parity = compare(got, wanted)
    assert (parity.max_error, parity.mean_error) == (4, 1)
    assert not is_good_enough(parity, "float16")
    assert is_good_enough(Parity(4, 0.3), "float16")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_golden_pair_is_constant_and_covers_the_levels(channels: int) -> None:
    visible, thermal = golden_pair(48, 64, channels)
    assert visible.shape == ((48, 64) if channels == 1 else (48, 64, 3))
    assert thermal.shape == (48, 64)
    for image in (visible, thermal):
        assert image.dtype == np.uint8
        assert np.ptp(image) > 200
    assert np.array_equal(golden_pair(48, 64, channels)[0], visible)
    assert int(thermal.astype(np.int64).sum()) == 334_604
