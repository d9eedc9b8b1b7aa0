# SPDX-License-Identifier: Apache-2.0
"""Decoding of pairs to 8 bit on one grid; errors name the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fusion_ros.imaging.colour import luma
from fusion_ros.imaging.encodings import EncodingError, PixelFrame
from fusion_ros.imaging.pair_check import DOUBT_TEXTS, PairDoubt, shows_colours
from fusion_ros.recordings.image_files import check_visible, orientations_differ, read_frame
from fusion_ros.streams.ledger import Stream
from training.data.pairs import DataSetError, PairFiles

SMALLEST = 32


def read_visible(path: Path) -> np.ndarray:
    """Read an image as uint8 H x W x 3 RGB; grey images have three equal planes."""
    frame = _read(path, Stream.VISIBLE)
    image = frame.as_rgb()
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image


def read_thermal(path: Path) -> np.ndarray:
    """Read an image as uint8 H x W; counts and floats are mapped by 0.1 and 99.9 percentiles."""
    frame = _read(path, Stream.THERMAL)
    if frame.rendering_of:
        raise DataSetError(f"{path}: {DOUBT_TEXTS[PairDoubt.RENDERING]}")
    if shows_colours(frame.pixels):
        raise DataSetError(f"{path}: {DOUBT_TEXTS[PairDoubt.FALSE_COLOUR]}")
    image = luma(frame.pixels, order=frame.order)
    if image.dtype == np.uint8:
        return image
    if np.issubdtype(image.dtype, np.floating) and not np.isfinite(image).all():
        raise DataSetError(f"{path} holds NaN or infinity; allowed are finite values")
    low, high = np.percentile(image, (0.1, 99.9))
    scaled = (image.astype(np.float32) - low) / max(float(high - low), 1e-6)
    return (scaled.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _read(path: Path, stream: Stream) -> PixelFrame:
    try:
        frame = read_frame(path, stream)
        if stream is Stream.VISIBLE:
            check_visible(frame, path.name)
        return frame
    except (EncodingError, OSError) as error:
        raise DataSetError(f"{path}: {error}") from error


def read_video_frames(path: Path, start: int, count: int) -> list[np.ndarray]:
    """Read ``count`` frames as uint8 H x W x 3 RGB from frame ``start``; fewer at the end."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DataSetError(f"{path} cannot be opened as a video")
    # Seeking by frame number is inexact for some codecs, so decode from the start.
    for _ in range(start):
        if not capture.grab():
            break
    frames = []
    for _ in range(count):
        good, frame = capture.read()
        if not good:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return frames


def read_pair(
    pair: PairFiles, homography: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read one frame of an image pair, or two consecutive frames of a video pair.

    Args:
        pair: files of the pair.
        homography: 3x3, thermal to visible pixels, for data sets that are not aligned; the thermal
            image is warped onto the visible grid and both are cropped to the common area.

    Returns:
        (visible uint8 H x W x 3 RGB, thermal uint8 H x W) for each frame.
    """
    if pair.frame is None:
        if turned := orientations_differ(pair.visible, pair.thermal):
            raise DataSetError(turned)
        frames = [(read_visible(pair.visible), read_thermal(pair.thermal))]
    else:
        colour = read_video_frames(pair.visible, pair.frame, 2)
        grey = [f[..., 1] for f in read_video_frames(pair.thermal, pair.frame, 2)]
        if not colour or len(colour) != len(grey):
            raise DataSetError(
                f"{pair.visible}: {len(colour)} frames at {pair.frame}, thermal {len(grey)}"
            )
        frames = list(zip(colour, grey, strict=True))
    return [_onto_one_grid(pair, v, t, homography) for v, t in frames]


def _onto_one_grid(
    pair: PairFiles, visible: np.ndarray, thermal: np.ndarray, homography: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if homography is not None:
        visible, thermal = warp_thermal(visible, thermal, homography)
    elif pair.resize_visible and visible.shape[:2] != thermal.shape:
        visible = cv2.resize(visible, thermal.shape[::-1], interpolation=cv2.INTER_AREA)
    if visible.shape[:2] != thermal.shape:
        raise DataSetError(
            f"{pair.visible} is {visible.shape[1]}x{visible.shape[0]}, {pair.thermal} "
            f"{thermal.shape[1]}x{thermal.shape[0]}; allowed: equal sizes, or, in a config of "
            "`fusion-ros train`, the key homography"
        )
    if min(thermal.shape) < SMALLEST:
        raise DataSetError(f"{pair.thermal} is smaller than {SMALLEST} pixels in height or width")
    return visible, thermal


def warp_thermal(
    visible: np.ndarray, thermal: np.ndarray, homography: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Warp thermal onto the visible grid and crop both to a common upright rectangle.

    The rectangle follows from the warped corners, which is exact for scale and shift and slightly
    too small for rotation. The result has the resolution of the coarser camera.
    """
    height, width = visible.shape[:2]
    t_height, t_width = thermal.shape
    corners = np.array([[0, 0], [t_width, 0], [t_width, t_height], [0, t_height]], np.float32)
    moved = cv2.perspectiveTransform(corners[None], np.float64(homography))[0]
    left, right = max(moved[0, 0], moved[3, 0], 0), min(moved[1, 0], moved[2, 0], width)
    top, bottom = max(moved[0, 1], moved[1, 1], 0), min(moved[2, 1], moved[3, 1], height)
    if right - left < SMALLEST or bottom - top < SMALLEST:
        raise DataSetError(
            f"homography {np.round(homography, 4).tolist()} leaves no common area of a "
            f"{width}x{height} visible and a {t_width}x{t_height} thermal frame"
        )
    scale = min(1.0, t_width / (right - left))
    out_size = (int((right - left) * scale), int((bottom - top) * scale))
    crop = np.array([[scale, 0, -left * scale], [0, scale, -top * scale], [0, 0, 1]])
    warped = cv2.warpPerspective(
        thermal, crop @ homography, out_size, borderMode=cv2.BORDER_REPLICATE
    )
    box = visible[int(top) : int(bottom), int(left) : int(right)]
    return cv2.resize(box, out_size, interpolation=cv2.INTER_AREA), warped
