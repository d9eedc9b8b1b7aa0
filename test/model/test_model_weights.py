# SPDX-License-Identifier: Apache-2.0
"""Weights files: saved weights load unchanged; any other file is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from fusion_ros.model import weights as weights_module
from fusion_ros.model.config import PRESETS, ConfigError
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import (
    METADATA_KEY,
    WeightsError,
    load_weights,
    save_weights,
    shipped_weights,
    tensors_sha256,
)

ABOUT = {"training_data": "noise, ours", "metrics": {"tno21_qw": 0.5}, "version": "test"}
CUSTOM = dataclasses.replace(
    PRESETS["paper"], widths=(4, 8), decoder_groups=4, head_channels=4, visible_channels=1
)


@pytest.fixture
def net() -> FusionNet:
    torch.manual_seed(0)
    return FusionNet(PRESETS["compact"]).eval()


@pytest.fixture
def saved(net: FusionNet, tmp_path: Path) -> Path:
    path = tmp_path / "compact.safetensors"
    save_weights(path, net, **ABOUT)
    return path


def rewrite(path: Path, *, tensors: dict | None = None, header: dict | None = None) -> Path:
    """Write the file with other tensors or another header; the recorded hash is unchanged."""
    kept, metadata = load_file(path), json.loads(read_header(path)[METADATA_KEY])
    metadata.update(header or {})
    save_file(tensors or kept, path, metadata={METADATA_KEY: json.dumps(metadata)})
    return path


def read_header(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


def with_matching_hash(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    return rewrite(path, tensors=tensors, header={"sha256": tensors_sha256(save(tensors))})


def test_saved_weights_load_unchanged(net: FusionNet, saved: Path) -> None:
    loaded = load_weights(saved)
    wanted = net.state_dict()
    assert all(torch.equal(t, wanted[k]) for k, t in loaded.net.state_dict().items())
    assert loaded.metadata.preset == "compact"
    assert loaded.metadata.config == PRESETS["compact"]
    assert loaded.metadata.training_data == "noise, ours"
    assert loaded.metadata.metrics == {"tno21_qw": 0.5}
    assert loaded.metadata.version == "test"
    assert not loaded.net.training


def test_half_precision_halves_the_file_and_loads_as_float32(
    net: FusionNet, tmp_path: Path
) -> None:
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_weights(full, net, **ABOUT)
    save_weights(half, net, **ABOUT, dtype=torch.float16)
    assert half.stat().st_size < 0.6 * full.stat().st_size
    loaded = load_weights(half).net.state_dict()
    for name, tensor in net.state_dict().items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], tensor.half().float())


def test_a_network_of_another_shape_is_custom_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    assert save_weights(path, FusionNet(CUSTOM), **ABOUT).preset == "custom"
    loaded = load_weights(path)
    assert loaded.metadata.config == CUSTOM
    assert loaded.net(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)).shape == (1, 3, 8, 8)


def test_the_hash_covers_names_types_shapes_and_bytes() -> None:
    tensors = {"b": torch.tensor([1.0, -2.0]), "a": torch.tensor([[3.0]])}
    by_hand = hashlib.sha256()
    by_hand.update(b"a|torch.float32|(1, 1)|" + bytes.fromhex("00004040"))
    by_hand.update(b"b|torch.float32|(2,)|" + bytes.fromhex("0000803f000000c0"))
    assert tensors_sha256(save(tensors)) == by_hand.hexdigest()


def test_the_hash_does_not_depend_on_other_metadata(net: FusionNet, tmp_path: Path) -> None:
    first = save_weights(tmp_path / "a.safetensors", net, **ABOUT)
    second = save_weights(tmp_path / "b.safetensors", net, **{**ABOUT, "version": "2"})
    assert first.sha256 == second.sha256
    with torch.no_grad():
        next(net.parameters()).flatten()[0] += 1e-3
    assert save_weights(tmp_path / "c.safetensors", net, **ABOUT).sha256 != first.sha256


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    net: FusionNet, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        save_weights(saved, net, **ABOUT)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors does not exist"):
        load_weights(tmp_path / "none.safetensors")


def test_a_folder_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        load_weights(tmp_path)


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.write_text, (self.target, "unpickled"))


def test_a_pickled_checkpoint_is_refused_without_unpickling(tmp_path: Path) -> None:
    path, trace = tmp_path / "net.pth", tmp_path / "trace"
    torch.save({"net": Bomb(trace)}, path)
    with pytest.raises(WeightsError, match=r"net\.pth.*pickled"):
        load_weights(path)
    assert not trace.exists()


@pytest.mark.parametrize("keep", [0, 4, 8, 200, -1])
def test_a_truncated_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"compact\.safetensors"):
        load_weights(saved)


def test_a_safetensors_file_without_metadata_is_refused(saved: Path) -> None:
    save_file(load_file(saved), saved)
    with pytest.raises(WeightsError, match="no 'fusion_ros' metadata"):
        load_weights(saved)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"format": 1}', '{"format": 1, "config": 3}']
)
def test_malformed_metadata_is_refused(saved: Path, text: str) -> None:
    save_file(load_file(saved), saved, metadata={METADATA_KEY: text})
    with pytest.raises(WeightsError, match=r"compact\.safetensors.*invalid metadata"):
        load_weights(saved)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ({"format": 2}, "format is 2; this version reads 1"),
        ({"format": None}, "format is None"),
        ({"licence": "mine"}, "licence"),
        ({"metrics": "good"}, "metrics"),
        ({"metrics": {"qw": "high"}}, "metrics.qw"),
        ({"sha256": 5}, "sha256"),
        ({"config": {}}, "missing keys"),
        ({"config": {**PRESETS["compact"].as_dict(), "widths": 5}}, "widths"),
        ({"config": {**PRESETS["compact"].as_dict(), "widths": "abc"}}, "widths"),
        ({"config": {**PRESETS["compact"].as_dict(), "padding": "mirror"}}, "padding"),
        ({"config": {**PRESETS["compact"].as_dict(), "padding": "zeros"}}, "another version"),
        ({"preset": "huge"}, "'huge'"),
    ],
)
def test_invalid_metadata_is_refused_with_its_field(
    saved: Path, header: dict, complaint: str
) -> None:
    with pytest.raises(WeightsError, match=complaint):
        load_weights(rewrite(saved, header=header))


def test_a_missing_tensor_is_named(saved: Path) -> None:
    tensors = load_file(saved)
    name = sorted(tensors)[3]
    del tensors[name]
    with pytest.raises(WeightsError, match=f"lacks 1 tensors, first {name}"):
        _ = load_weights(with_matching_hash(saved, tensors)).net


def test_an_unknown_tensor_is_named(saved: Path) -> None:
    tensors = {**load_file(saved), "extra": torch.zeros(1)}
    with pytest.raises(WeightsError, match="unknown tensors, first extra"):
        _ = load_weights(with_matching_hash(saved, tensors)).net


def test_a_tensor_of_another_shape_is_named_with_both_shapes(saved: Path) -> None:
    tensors = load_file(saved)
    name = sorted(tensors)[0]
    tensors[name] = torch.zeros(7)
    with pytest.raises(WeightsError, match=rf"{name} has shape \(7,\)"):
        _ = load_weights(with_matching_hash(saved, tensors)).net


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(saved: Path, value: float) -> None:
    tensors = load_file(saved)
    name = sorted(tensors)[0]
    tensors[name].flatten()[0] = value
    with pytest.raises(WeightsError, match=f"{name} holds NaN or infinity"):
        _ = load_weights(with_matching_hash(saved, tensors)).net


def test_nan_is_not_saved_nor_a_value_beyond_half_precision(net: FusionNet, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    for value, dtype in ((float("nan"), None), (1e6, torch.float16)):
        with torch.no_grad():
            next(net.parameters()).flatten()[0] = value
        with pytest.raises(WeightsError, match=r"own\.safetensors.*NaN or infinity"):
            save_weights(path, net, training_data="", metrics={}, version="", dtype=dtype)
    assert not path.exists()


def test_integer_tensors_are_refused(saved: Path) -> None:
    tensors = load_file(saved)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name].to(torch.int32)
    with pytest.raises(WeightsError, match=f"{name} is I32"):
        load_weights(rewrite(saved, tensors=tensors))


def test_altered_tensors_are_refused(saved: Path) -> None:
    tensors = load_file(saved)
    tensors[sorted(tensors)[0]].flatten()[0] += 1e-6
    with pytest.raises(WeightsError, match="damaged or altered"):
        load_weights(rewrite(saved, tensors=tensors))


def test_one_changed_byte_is_detected(saved: Path) -> None:
    raw = bytearray(saved.read_bytes())
    raw[-3] ^= 0x10
    saved.write_bytes(raw)
    with pytest.raises(WeightsError, match="damaged or altered"):
        load_weights(saved)


def test_weights_of_a_shape_of_several_presets_belong_to_the_one_of_their_name(
    tmp_path: Path,
) -> None:
    net = FusionNet(PRESETS["compact"])
    for stem, preset in (
        ("compact_permissive", "compact_permissive"),
        ("compact", "compact"),
        ("paper", "compact"),
        ("mine", "compact"),
    ):
        path = tmp_path / f"{stem}.safetensors"
        save_weights(path, net, training_data="-", metrics={}, version="0")
        assert load_weights(path).metadata.preset == preset


def test_an_unknown_preset_has_no_shipped_weights() -> None:
    with pytest.raises(ConfigError, match="'huge'"):
        shipped_weights("huge")


def test_the_error_for_a_preset_without_weights_names_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_module, "SHIPPED_FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"'paper'.*training"):
        shipped_weights("paper")


@pytest.mark.parametrize(
    "path", sorted(weights_module.SHIPPED_FOLDER.glob("*.safetensors")), ids=lambda p: p.stem
)
def test_shipped_weights_load_with_complete_metadata(path: Path) -> None:
    metadata = load_weights(path).metadata
    assert metadata.preset == path.stem
    assert metadata.training_data
    assert metadata.version
