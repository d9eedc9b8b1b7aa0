# SPDX-License-Identifier: Apache-2.0
"""ONNX files of the network, for engines that run without PyTorch.

`NAME.onnx` belongs to `NAME.safetensors` beside it. Its last bytes are two entries of ONNX
metadata: the hash of the weights, and the hash of all bytes before. A damaged file, or one of
other weights, is therefore never used. `fusion_ros.model.onnx_export` writes these files.
`NAME.int8.onnx` is the same network with convolutions of 8-bit integers, from
`training.quantize`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fusion_ros.files.reading import UnreadableFileError, read_bytes
from fusion_ros.model.weights import MOST_BYTES, LoadedWeights, WeightsError

_METADATA_PROPS, _KEY, _VALUE = b"\x72", b"\x0a", b"\x12"
"""Protobuf tags of `ModelProto.metadata_props`, and of the key and value of an entry."""


def sealed(model: bytes, weights_sha256: str) -> bytes:
    """Return a serialized ONNX model with the metadata that `read_onnx` checks."""
    hashes = {"weights_sha256": weights_sha256, "content_sha256": hashlib.sha256(model).hexdigest()}
    return model + b"".join(_entry(key.encode(), text.encode()) for key, text in hashes.items())


def is_sealed_for(data: bytes, weights_sha256: str) -> bool:
    """Return whether the bytes are those that `sealed` returned for these weights."""
    model = data[: -len(sealed(b"", weights_sha256))]
    return data == sealed(model, weights_sha256)


def read_onnx(weights: LoadedWeights, *, int8: bool = False) -> bytes | None:
    """Return the ONNX model beside a weights file, or None if there is none.

    Args:
        weights: the weights.
        int8: return the one of `int8_path`.

    Raises:
        WeightsError: the file is not readable, is damaged, or belongs to other weights.
    """
    path = int8_path(weights.path) if int8 else onnx_path(weights.path)
    if not path.is_file():
        return None
    try:
        data = read_bytes(path, MOST_BYTES)
    except UnreadableFileError as error:
        raise WeightsError(f"ONNX file {error}") from error
    if not is_sealed_for(data, weights.metadata.sha256):
        raise WeightsError(
            f"ONNX file {path} is damaged or was not made from {weights.path.name}; delete it, or "
            f"make it again with `{'python -m training.quantize' if int8 else 'fusion-ros export'}`"
        )
    return data


def onnx_path(weights_path: Path) -> Path:
    """Return where the ONNX file of a weights file is expected."""
    return weights_path.with_suffix(".onnx")


def int8_path(weights_path: Path) -> Path:
    """Return where the quantised ONNX file of a weights file is expected."""
    return weights_path.with_suffix(".int8.onnx")


@cache
def graph_version() -> str:
    """Return a hash of the code that turns weights into a graph; it invalidates built engines."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _entry(key: bytes, text: bytes) -> bytes:
    # Each length is below 128 and therefore one byte of protobuf.
    entry = _KEY + bytes([len(key)]) + key + _VALUE + bytes([len(text)]) + text
    return _METADATA_PROPS + bytes([len(entry)]) + entry
