# SPDX-License-Identifier: Apache-2.0
"""From the distribution of a thermal frame's values to its tone curve.

A curve is a rising list of `KNOTS` values. Entry i is the value that is mapped to grey
255 * i / (KNOTS - 1); in between the curve is linear, outside it is black or white. Two curves can
be blended entry by entry and the result is a curve again, which smoothing over time uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fusion_ros.thermal.region import sampled
from fusion_ros.thermal.tone_options import LEAST_SPAN, ToneOptions

KNOTS = 33
_STEPS = 256  # equal steps between the frame's limits, the bins of plateau equalisation
_BINS = 4096
_GREYS = np.linspace(0.0, 1.0, KNOTS)


@dataclass(frozen=True)
class Distribution:
    """Distribution of a frame's values, in bins: bin i is `origin + width * (i .. i + 1)`."""

    origin: float
    width: float
    minimum: float
    """The coldest value, outliers excluded."""
    maximum: float
    """The hottest value, outliers excluded."""
    noise: float
    """Estimated standard deviation of the sensor's noise, in the camera's units."""
    cumulative: np.ndarray
    """Share of pixels below the lower edge of each bin, and 1 at the end."""

    def quantiles(self, shares: np.ndarray | list[float]) -> np.ndarray:
        """Return the values below which the given shares (0..1) of the pixels lie."""
        position = np.interp(shares, self.cumulative, np.arange(self.cumulative.size))
        return np.asarray(self.origin + self.width * position)


def distribution(
    thermal: np.ndarray, minimum: float, maximum: float, mask: np.ndarray | None = None
) -> Distribution:
    """Measure the distribution of a frame (`uint16`, or `float32` with finite values only).

    `minimum` and `maximum` are those of the frame, or of the pixels in the mask. About 20 000
    pixels are sampled: percentiles hardly change with more. Values far outside the bulk (a stuck
    pixel) are counted at the limits, so that the bulk keeps its resolution.
    """
    sample = sampled(thermal, 20000, mask)
    low, high, noise = minimum, maximum, _noise(thermal)
    for _ in range(3):
        shares, origin, width = _counted(sample, low, high)
        cumulative = np.concatenate(([0.0], np.cumsum(shares)))
        # np.interp needs rising abscissae; the slope added in empty bins is negligible.
        cumulative += np.arange(cumulative.size) * 1e-12
        found = Distribution(origin, width, low, high, noise, cumulative)
        bulk = [float(value) for value in found.quantiles([0.001, 0.999])]
        reach = max(bulk[1] - bulk[0], width)
        low, high = max(low, bulk[0] - reach), min(high, bulk[1] + 2 * reach)
        if high - low > (found.maximum - found.minimum) / 4:
            break
    return replace(found, minimum=low, maximum=high)


def _counted(sample: np.ndarray, low: float, high: float) -> tuple[np.ndarray, float, float]:
    """Return the share of pixels in each of at most `_BINS` bins, their origin and width."""
    if sample.dtype == np.float32:
        width = max((high - low) / (_BINS - 1), 1e-6)
        shifted = np.clip(sample, low, high)
        shifted -= np.float32(low)
        shifted *= np.float32(1 / width)
        index = shifted.astype(np.intp)
        origin = low
    else:
        first, last = int(low), int(np.ceil(high))
        width = -(-(last - first + 1) // _BINS)
        index = (np.clip(sample, first, last) - np.uint16(first)) // np.uint16(width)
        origin = first - 0.5
    return np.bincount(index, minlength=2) / sample.size, origin, float(width)


def _noise(thermal: np.ndarray) -> float:
    # Second differences along sixteen rows: in pure noise a quarter of them is within 0.78 sigma,
    # and in a scene the smallest quarter is mostly noise.
    rows = thermal[:: max(1, thermal.shape[0] // 16)].astype(np.float32)
    if rows.shape[1] < 3:
        return 0.0
    away = np.abs(rows[:, 2:] + rows[:, :-2] - 2 * rows[:, 1:-1]).reshape(-1)
    return float(np.partition(away, away.size // 4)[away.size // 4]) / 0.78


def smallest_span(options: ToneOptions, noise: float, integer: bool) -> float:
    """Return the smallest difference that may fill black to white, in the camera's units."""
    if options.minimum_span:
        return max(options.minimum_span, LEAST_SPAN)
    # One sigma of noise then is about six grey levels. Coarse counts hide their noise, so the span
    # is at least 16 counts, or 0.16 for floats.
    return max(40.0 * noise, 16.0 if integer else 0.16)


def straight(low: float, high: float, span: float = 0.0) -> np.ndarray:
    """Return the curve from `low` as black to `high` as white, at least `span` wide."""
    if high - low < span:
        middle = (low + high) / 2
        low, high = middle - span / 2, middle + span / 2
    return low + (high - low) * _GREYS


def target_curve(options: ToneOptions, found: Distribution, integer: bool) -> np.ndarray:
    """Return the curve for a frame with this distribution."""
    span = smallest_span(options, found.noise, integer)
    if options.mode == "histogram":
        return _plateau(options, found, span)
    low, high = found.quantiles([options.low_percent / 100, options.high_percent / 100])
    coldest, hottest = _within_headroom(options, found)
    return straight(max(float(low), coldest), min(float(high), hottest), span)


def _within_headroom(options: ToneOptions, found: Distribution) -> tuple[float, float]:
    """Return the limits of the curve: the bulk of the values and `headroom` around it."""
    low, high = (float(value) for value in found.quantiles([0.05, 0.90]))
    if options.headroom == 0:
        return found.minimum, found.maximum
    reach = options.headroom * (high - low)
    return max(found.minimum, low - reach), min(found.maximum, high + reach)


def _plateau(options: ToneOptions, found: Distribution, span: float) -> np.ndarray:
    """Plateau equalisation with a linear share and a gain limited by `span`."""
    low, high = _within_headroom(options, found)
    if high - low <= span / 4:
        return straight(low, high, span)
    edges = np.linspace(low, high, _STEPS + 1)
    bins = np.arange(found.cumulative.size)
    below = np.interp((edges - found.origin) / found.width, bins, found.cumulative)
    claimed = np.minimum(np.diff(below), options.plateau_percent / 100)
    claimed /= claimed.sum()
    linear = options.linear_percent / 100
    greys = (1 - linear) * claimed + linear / _STEPS
    most = (high - low) / _STEPS / span
    if greys.max() > most:
        greys = np.minimum(greys, most)
    rising = np.concatenate(([0.0], np.cumsum(greys)))
    if rising[-1] >= 0.999:
        return np.interp(_GREYS * rising[-1], rising, edges)
    # The gain limit leaves part of the grey range unused. The frame gets the middle of the range,
    # and the curve continues beyond both ends at the largest gain allowed.
    unused = (1 - rising[-1]) / 2
    rising = np.concatenate(([0.0], rising + unused, [1.0]))
    values = np.concatenate(([low - unused * span], edges, [high + unused * span]))
    rising += np.arange(rising.size) * 1e-12
    return np.interp(_GREYS, rising, values)
