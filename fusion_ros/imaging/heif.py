# SPDX-License-Identifier: Apache-2.0
"""HEIC and HEIF images, as phones write them, read by the library pi-heif (extra `desk`)."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from fusion_ros.imaging.encodings import EncodingError, RejectReason

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")


def is_heif(data: bytes | memoryview) -> bool:
    """Whether data start as a HEIC or HEIF file."""
    return data[4:8] == b"ftyp" and bytes(data[8:12]) in _BRANDS


def read_heif(
    data: bytes | memoryview, name: str, check_size: Callable[[int, int], object]
) -> np.ndarray:
    """Decode the HEIF file called `name`, upright, to `uint8` HxWx3 (BGR) or HxW.

    `check_size` is called with width and height before the pixels are decoded.

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
        if len(image) > 1:
            raise EncodingError(
                RejectReason.UNKNOWN_ENCODING, f"{name} holds {len(image)} images; allowed is one"
            )
        check_size(*image.size)
        pixels = np.array(image)
    except EncodingError:
        raise
    except Exception as error:  # the library raises arbitrary errors on malformed files
        reason = RejectReason.TRUNCATED
        raise EncodingError(reason, f"{name} cannot be decoded: {error}") from error
    return np.ascontiguousarray(pixels[..., :3]) if pixels.ndim == 3 else pixels
