# SPDX-License-Identifier: Apache-2.0
"""Thermal and visible image in one, for people; detectors receive the fused image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.imaging.marks import WHITE, Mark, draw_marks, draw_text
from fusion_ros.imaging.options import NO_TEMPERATURE, OverlayOptions
from fusion_ros.imaging.palettes import colourised, palette_table

_EMBOSS_GAIN = 1.5
_EMBOSS_SIGMA = 0.003
"""Radius of the detail that mode `edges` keeps, as a share of the image width."""
_INSET_SHARE = 0.36
_BAR_LEVELS = np.array((255, 191, 128, 64, 0))
_DARKEST = 80
"""Grey level of the limit in mode `isotherm`: the dark end of a palette would not stand out."""


def overlay(
    visible: np.ndarray,
    thermal: np.ndarray,
    options: OverlayOptions | None = None,
    *,
    order: ChannelOrder | str = ChannelOrder.RGB,
    celsius: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    marks: Sequence[Mark] = (),
) -> np.ndarray:
    """Show a registered thermal image with the visible one.

    Args:
        visible: `uint8` HxW, or HxWx3 in `order`.
        thermal: `uint8` HxW on the same grid, hot is bright.
        options: mode, palette and opacity.
        order: order of the visible and of the returned channels.
        celsius: `float32` HxW, degrees Celsius on the same grid, NaN outside the thermal camera's
            view, if the unit is known. With it a scale bar is drawn.
        weights: `float32` HxW, 0 outside the thermal camera's view to 1 inside; None: 1 everywhere.
        marks: drawn on top, on the right half in mode `side_by_side`.

    Returns:
        `uint8` HxWx3 in `order`; Hx2Wx3 in mode `side_by_side`.

    Raises:
        ValueError: sizes that differ.
    """
    options = options or OverlayOptions()
    if visible.shape[:2] != thermal.shape:
        raise ValueError(
            f"visible is {visible.shape}, thermal {thermal.shape}: sizes must be equal"
        )
    if visible.ndim == 2:
        visible = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
    labels = None if celsius is None else _temperatures(thermal, celsius)
    opacity: np.ndarray = np.ones(thermal.shape, np.float32)
    if options.mode == "isotherm":
        thermal, opacity, labels = _isotherm(thermal, celsius, options)
    elif options.mode == "blend":
        opacity = thermal.astype(np.float32) * np.float32(options.opacity / 255)
    layer = colourised(thermal, options.palette, order)
    if options.mode == "edges":
        layer = _embossed(layer, visible)
    if options.mode in ("inset", "side_by_side"):
        image = _apart(layer if weights is None else _inside(layer, weights), visible, options.mode)
    else:
        opacity = opacity if weights is None else opacity * weights
        image = cv2.blendLinear(layer, np.ascontiguousarray(visible), opacity, 1 - opacity)
    right = image[:, -visible.shape[1] :]
    if labels is not None and options.scale_bar:
        table = palette_table(options.palette, order)
        table = table[_DARKEST:] if options.mode == "isotherm" else table
        _draw_scale_bar(right, table, labels)
    draw_marks(right, marks, order)
    return image


def _isotherm(
    thermal: np.ndarray, celsius: np.ndarray | None, options: OverlayOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return grey levels and opacities above the limit, and temperatures for the scale bar."""
    heat = (thermal if celsius is None else celsius).astype(np.float32)
    sample = heat[::4, ::4]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return thermal, np.zeros(thermal.shape, np.float32), None
    hottest = float(np.nanmax(heat))
    limit = float(np.percentile(sample, options.isotherm_percent))
    if celsius is not None and options.isotherm_celsius > NO_TEMPERATURE:
        limit = options.isotherm_celsius
    span = max(hottest - limit, 1e-3)
    # NaN compares as false; it is outside the thermal camera's view.
    opacity = np.where(heat >= limit, np.float32(options.opacity), np.float32(0))
    levels = _DARKEST + (255 - _DARKEST) * np.clip(np.nan_to_num((heat - limit) / span), 0, 1)
    labels = None if celsius is None else limit + span * _BAR_LEVELS / 255
    return levels.astype(np.uint8), opacity, labels


def _temperatures(thermal: np.ndarray, celsius: np.ndarray) -> np.ndarray | None:
    """Return the temperatures of the grey levels of the scale bar; None without any."""
    step = max(1, round((thermal.size / 20000) ** 0.5))
    grey, degrees = (image[::step, ::step].reshape(-1) for image in (thermal, celsius))
    # Black and white also stand for everything beyond the tone curve.
    usable = np.isfinite(degrees) & (grey > 0) & (grey < 255)
    if not usable.any():
        return None
    counts = np.bincount(grey[usable], minlength=256)
    present = np.flatnonzero(counts)
    means = np.bincount(grey[usable], degrees[usable], 256)[present] / counts[present]
    return np.interp(_BAR_LEVELS, present, means)


def _embossed(layer: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Add the fine detail of the visible image to a colour layer."""
    grey = cv2.transform(visible, np.full((1, 3), 1 / 3))  # the mean, in either channel order
    blurred = cv2.GaussianBlur(grey, (0, 0), max(1.0, _EMBOSS_SIGMA * grey.shape[1]))
    detail = cv2.addWeighted(grey, _EMBOSS_GAIN, blurred, -_EMBOSS_GAIN, 128)
    return cv2.addWeighted(layer, 1, cv2.cvtColor(detail, cv2.COLOR_GRAY2RGB), 1, -128)


def _inside(layer: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return cv2.copyTo(layer, (weights > 0).astype(np.uint8))


def _apart(layer: np.ndarray, visible: np.ndarray, mode: str) -> np.ndarray:
    """Return the layer beside the visible image, or small in its lower right corner."""
    if mode == "side_by_side":
        return np.hstack((visible, layer))
    height, width = visible.shape[:2]
    size = max(1, round(_INSET_SHARE * width)), max(1, round(_INSET_SHARE * height))
    image = visible.copy()
    inset = image[height - size[1] :, width - size[0] :]
    cv2.resize(layer, size, dst=inset, interpolation=cv2.INTER_AREA)
    cv2.rectangle(inset, (0, 0), (size[0] - 1, size[1] - 1), WHITE)
    return image


def _draw_scale_bar(image: np.ndarray, table: np.ndarray, labels: np.ndarray) -> None:
    """Draw the palette with its temperatures at the left edge, in place."""
    height = image.shape[0]
    bar_height, bar_width = height // 2, max(4, height // 40)
    top, left = height // 4, bar_width
    ramp = np.linspace(len(table) - 1, 0, bar_height).astype(np.uint8)
    image[top : top + bar_height, left : left + bar_width] = table[ramp][:, None]
    cv2.rectangle(image, (left - 1, top - 1), (left + bar_width, top + bar_height), WHITE)
    for level, degrees in zip(_BAR_LEVELS, labels, strict=True):
        row = top + round((255 - level) / 255 * (bar_height - 1) + height / 100)
        draw_text(image, f"{degrees:.1f} C", (left + bar_width + max(3, bar_width // 3), row))
