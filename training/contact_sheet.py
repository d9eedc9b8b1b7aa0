# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of images for visual checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.files.images import write_image
from fusion_ros.imaging.colour import LumaReplacer
from fusion_ros.imaging.compressed import read_image_file
from fusion_ros.imaging.encodings import EncodingError
from training.data.pairs import DataSetError, PairFiles
from training.data.reading import read_pair

TILE_HEIGHT = 240


def image_path(results: Path, method: str, pair: str) -> Path:
    """Return the path of a fused image below the results of a data set."""
    return results / method.replace(" ", "_") / f"{pair.replace('/', '_')}.png"


def with_colour_of(visible: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """Return the fused image as the pipeline publishes it, in colour; uint8 RGB."""
    return LumaReplacer()(visible, fused) if fused.ndim == 2 else fused


def tile(image: np.ndarray, height: int = TILE_HEIGHT) -> np.ndarray:
    """Return the image at the sheet's height, in BGR order."""
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    if small.ndim == 2:
        return cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(small, cv2.COLOR_RGB2BGR)


def contact_sheet(
    pairs: Sequence[PairFiles], results: Path, methods: Sequence[str], target: Path
) -> None:
    """Write a sheet with a row for each pair: visible, thermal and each method's fused image."""
    rows = []
    for pair in pairs:
        visible, thermal = read_pair(pair)[0]
        tiles = [tile(visible), tile(thermal)]
        for method in methods:
            path = image_path(results, method, pair.name)
            try:
                fused = read_image_file(path)
            except EncodingError as error:
                raise DataSetError(f"{path}: {error}") from error
            if fused.ndim == 3:
                fused = cv2.cvtColor(fused, cv2.COLOR_BGR2RGB)
            tiles.append(tile(with_colour_of(visible, fused)))
        rows.append(np.hstack(tiles))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows]
    write_image(target, np.vstack(padded))
