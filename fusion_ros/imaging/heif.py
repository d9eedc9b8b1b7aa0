# SPDX-License-Identifier: Apache-2.0
"""HEIC and HEIF images, as phones write them, read by the library pi-heif (extra `desk`)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from fusion_ros.imaging.encodings import EncodingError, RejectReason

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")


def is_heif(data: bytes | memoryview) -> bool:
    """Whether data start as a HEIC or HEIF file."""
    return data[4:8] == b"ftyp" and bytes(data[8:12]) in _BRANDS


def open_heif(data: bytes | memoryview, name: str) -> Any:
    """Read the header of a HEIF file; the pixels are decoded by `heif_pixels`.

    Raises:
        EncodingError: the library is missing, or the file is damaged or holds several images.
    """
    try:
        import pi_heif
    except ImportError as error:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"{name} is a HEIF image, which the library pi-heif reads; install it (pip install "
            "pi-heif, part of the extra 'desk')",
        ) from error
    try:
        image = pi_heif.open_heif(io.BytesIO(data), bgr_mode=True)
    except Exception as error:  # the library raises arbitrary errors on malformed files
        raise _damaged(name, error) from error
    if len(image) > 1:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING, f"{name} holds {len(image)} images; allowed is one"
        )
    return image


def heif_pixels(image: Any, name: str) -> np.ndarray:
    """Decode an image of `open_heif`, upright.

    Returns:
        `uint8` HxWx3 (BGR) or HxW.

    Raises:
        EncodingError: the image is damaged.
    """
    try:
        pixels = np.array(image)
    except Exception as error:
        raise _damaged(name, error) from error
    return np.ascontiguousarray(pixels[..., :3]) if pixels.ndim == 3 else pixels


def _damaged(name: str, error: Exception) -> EncodingError:
    return EncodingError(RejectReason.TRUNCATED, f"{name} cannot be decoded: {error}")
