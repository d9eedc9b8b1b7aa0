# SPDX-License-Identifier: Apache-2.0
"""Weights files: safetensors with metadata, never pickle.

The metadata has the key `fusion_ros`: JSON with the fields of `WeightsMetadata`. Its hash covers
the tensors alone (names, types, shapes, bytes in name order), so other metadata does not change a
network's identity. Reading and checking a file needs no PyTorch; `LoadedWeights.net` does.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from fusion_ros.files.reading import UnreadableFileError, parse_json, read_bytes
from fusion_ros.files.writing import write_bytes
from fusion_ros.model.config import PRESETS, ConfigError, FusionNetConfig, preset
from fusion_ros.outside_text import printable

if TYPE_CHECKING:
    import torch

    from fusion_ros.model.network import FusionNet

FORMAT_VERSION = 1
METADATA_KEY = "fusion_ros"
#: Sixteen times the weights of the largest preset.
MOST_BYTES = 1 << 30
SHIPPED_FOLDER = Path(__file__).parent / "weights"
_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class WeightsError(ValueError):
    """A weights file that is missing, malformed or does not fit; the message names the file."""


@dataclasses.dataclass(frozen=True)
class WeightsMetadata:
    """Metadata of a weights file.

    Attributes:
        preset: name of the preset that the config equals, or "custom"; of several presets the one
            that the file is named after, else the first.
        config: shape of the network.
        training_data: training data and its terms.
        metrics: measured values by name, for instance {"tno21_qw": 0.82}.
        version: version of these weights, as text.
        sha256: hash of the tensors (see `tensors_sha256`).
    """

    preset: str
    config: FusionNetConfig
    training_data: str
    metrics: Mapping[str, float]
    version: str
    sha256: str

    def to_json(self) -> str:
        """Return a JSON object with sorted keys."""
        values = {**dataclasses.asdict(self), "config": self.config.as_dict()}
        return json.dumps({"format": FORMAT_VERSION, **values}, sort_keys=True)


@dataclasses.dataclass(frozen=True)
class LoadedWeights:
    """A weights file in memory, whose hash and metadata were checked.

    Attributes:
        path: the file.
        metadata: its metadata.
        data: its bytes.
    """

    path: Path
    metadata: WeightsMetadata
    data: bytes = dataclasses.field(repr=False)

    @functools.cached_property
    def net(self) -> FusionNet:
        """Network with these weights (float32, evaluation mode); imports PyTorch.

        Raises:
            WeightsError: the layout is not registered, or the tensors do not match the config.
        """
        import safetensors.torch
        import torch

        from fusion_ros.model.network import FusionNet, check_layout

        try:
            check_layout(self.metadata.config.layout)
        except ConfigError as error:
            raise WeightsError(f"weights file {self.path}: {error}") from error
        tensors = safetensors.torch.load(self.data)
        with torch.device("meta"):  # without memory, since the file determines the sizes
            wanted = FusionNet(self.metadata.config).state_dict()
        _check_fit(self.path, wanted, tensors)
        net = FusionNet(self.metadata.config)
        net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return net.eval()


def shipped_weights(preset_name: str) -> Path:
    """Return the path of the shipped weights of a preset.

    Raises:
        ConfigError: the preset is unknown.
        WeightsError: no weights are shipped for the preset.
    """
    preset(preset_name)
    path = SHIPPED_FOLDER / f"{preset_name}.safetensors"
    if not path.is_file():
        having = sorted(p.stem for p in SHIPPED_FOLDER.glob("*.safetensors"))
        raise WeightsError(
            f"no weights are shipped for preset {preset_name!r}, only for {having}: give a "
            f"weights file, for instance one trained with training/configs/{preset_name}.yaml"
        )
    return path


def weights_path(name: str) -> Path:
    """Return the path of a preset's shipped weights, or of a weights file by its own path.

    Raises:
        WeightsError: no weights are shipped for the preset.
    """
    return shipped_weights(name) if name in PRESETS else Path(name)


def save_weights(
    path: str | os.PathLike[str],
    net: FusionNet,
    *,
    training_data: str,
    metrics: Mapping[str, float],
    version: str,
    dtype: torch.dtype | None = None,
) -> WeightsMetadata:
    """Write a network to a safetensors file atomically.

    Args:
        path: the file to write; an existing one is replaced.
        net: the network as trained (not one rewritten for inference).
        training_data: see `WeightsMetadata`.
        metrics: see `WeightsMetadata`.
        version: see `WeightsMetadata`.
        dtype: type of the stored tensors, float32 by default; `LoadedWeights.net` is float32.

    Returns:
        The metadata as written, including the hash.

    Raises:
        WeightsError: a tensor holds NaN or infinity in the stored type.
    """
    import safetensors.torch
    import torch

    tensors = {
        name: t.detach().to("cpu", dtype or torch.float32).contiguous()
        for name, t in net.state_dict().items()
    }
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"weights file {path}: {name} would hold NaN or infinity")
    presets = [name for name, config in PRESETS.items() if config == net.config] or ["custom"]
    stem = Path(path).stem
    metadata = WeightsMetadata(
        preset=stem if stem in presets else presets[0],
        config=net.config,
        training_data=training_data,
        metrics=dict(metrics),
        version=version,
        sha256=tensors_sha256(safetensors.torch.save(tensors)),
    )
    header = {METADATA_KEY: metadata.to_json()}
    write_bytes(Path(path), safetensors.torch.save(tensors, metadata=header))
    return metadata


def load_weights(path: str | os.PathLike[str]) -> LoadedWeights:
    """Read and check a weights file.

    Raises:
        WeightsError: the file is missing, is not safetensors (pickled `.pt`/`.pth` files are
            not read), has no or wrong metadata, or its tensors do not have the recorded hash.
    """
    path = Path(path)
    try:
        data = read_bytes(path, MOST_BYTES)
        measured = tensors_sha256(data)
        header = _header(data)
    except UnreadableFileError as error:
        raise WeightsError(f"weights file {error}") from error
    except TypeError as error:
        raise WeightsError(f"weights file {path}: {error}") from error
    except Exception as error:  # the library raises SafetensorError and others
        raise WeightsError(
            f"weights file {path} is not a readable safetensors file ({printable(error)}); pickled "
            "checkpoints (.pt, .pth) are not loaded; `fusion-ros train` writes a .safetensors too"
        ) from error
    if METADATA_KEY not in header:
        raise WeightsError(
            f"weights file {path} has no {METADATA_KEY!r} metadata, so its network is unknown; "
            "write it with fusion_ros.model.weights.save_weights"
        )
    metadata = _parse_metadata(path, header[METADATA_KEY])
    if measured != metadata.sha256:
        raise WeightsError(
            f"weights file {path} is damaged or altered: its tensors hash to {measured[:12]}, "
            f"its metadata says {printable(metadata.sha256[:12])}"
        )
    return LoadedWeights(path, metadata, data)


def tensors_sha256(data: bytes) -> str:
    """Return a hash of a file's tensors in name order: name, type, shape, little-endian bytes.

    Raises:
        TypeError: a tensor is not of a float type.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(safetensors.deserialize(data), key=lambda item: item[0]):
        kind = _TYPES.get(tensor["dtype"])
        if kind is None:
            raise TypeError(f"{printable(name)} is {tensor['dtype']}; allowed: {', '.join(_TYPES)}")
        digest.update(f"{name}|torch.{kind}|{tuple(tensor['shape'])}|".encode())
        digest.update(tensor["data"])
    return digest.hexdigest()


def _header(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file that the library has accepted."""
    length = int.from_bytes(data[:8], "little")
    return parse_json(data[8 : 8 + length]).get("__metadata__") or {}


def _parse_metadata(path: Path, text: str) -> WeightsMetadata:
    try:
        values: dict[str, Any] = parse_json(text.encode())
        if not isinstance(values, dict):
            raise TypeError(f"it is a {type(values).__name__}, not an object")
        if (version := values.pop("format", None)) != FORMAT_VERSION:
            raise ValueError(f"format is {version!r}; this version reads {FORMAT_VERSION}")
        fields = values.pop("config")
        if not isinstance(fields, dict):
            raise TypeError(f"config is a {type(fields).__name__}, not an object")
        config = FusionNetConfig.from_dict(fields)
        metadata = WeightsMetadata(config=config, **values)
        _check_types(metadata)
    except (KeyError, TypeError, ValueError) as error:
        text = printable(error, 500)
        raise WeightsError(f"weights file {path} has invalid metadata: {text}") from error
    expected = PRESETS.get(metadata.preset)
    if metadata.preset != "custom" and expected != config:
        raise WeightsError(
            f"weights file {path} names preset {printable(repr(metadata.preset))}, but its config "
            "differs from that preset; it was written by another version of this package"
        )
    return metadata


def _check_types(metadata: WeightsMetadata) -> None:
    for name in ("preset", "training_data", "version", "sha256"):
        if not isinstance(value := getattr(metadata, name), str):
            raise TypeError(f"{name} is {value!r}, not a text")
    if not isinstance(metadata.metrics, dict):
        raise TypeError(f"metrics is {metadata.metrics!r}, not an object")
    for name, value in metadata.metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"metrics.{name} is {value!r}, not a number")


def _check_fit(
    path: Path, wanted: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]
) -> None:
    if missing := sorted(set(wanted) - set(tensors)):
        raise WeightsError(f"weights file {path} lacks {len(missing)} tensors, first {missing[0]}")
    if extra := sorted(set(tensors) - set(wanted)):
        raise WeightsError(f"weights file {path} has unknown tensors, first {printable(extra[0])}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsError(
                f"weights file {path}: {name} has shape {tuple(tensor.shape)}, "
                f"its config requires {tuple(wanted[name].shape)}"
            )
        if not tensor.isfinite().all():
            raise WeightsError(f"weights file {path}: {name} holds NaN or infinity")
