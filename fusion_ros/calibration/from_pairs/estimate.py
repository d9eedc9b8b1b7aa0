# SPDX-License-Identifier: Apache-2.0
"""Estimate a homography from recorded pairs without a board; more pairs give a better result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np

from fusion_ros.calibration.from_pairs import coarse
from fusion_ros.calibration.from_pairs.refine import Refined, refine
from fusion_ros.imaging.contrast import equalised
from fusion_ros.registration.geometry import GeometryError, HomographyCalibration, Size
from fusion_ros.registration.structure import structure

_STEPS = ((160, 4, 4, 3, 0.0, 0), (320, 5, 8, 3, 0.1, 0), (640, 4, 8, 3, 1.0, 3))
"""Working width, largest shift, degrees of freedom, rounds, hold of the higher degrees (weak while
the images are misaligned and the cells inconsistent), and rounds of the robust fit."""
_MOST_PAIRS = 8
_COARSE_PAIRS = 4
_FEWEST_PAIRS = 3
_LEAST_SCORE = 0.03
REFERENCE_WIDTH = 640
"""Errors are reported in pixels of a visible image of this width."""


class Trust(str, Enum):
    """Whether a result can be used."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    FAILED = "failed"


@dataclass(frozen=True, eq=False)
class PairEstimate:
    """A homography and its quality. Errors are in pixels at 640 wide."""

    calibration: HomographyCalibration
    verdict: Trust
    reasons: tuple[str, ...]
    """Why it is not `good`; empty if it is."""
    expected_corner_error_px: float
    """One standard deviation at the image corners, from the disagreement of the image parts."""
    residual_px: float
    """Median distance of the blocks from the homography."""
    agreeing: float
    """Share of the blocks, by weight, that lie within four pixels of it."""
    clear_blocks: float
    """Number of blocks, of about 70, with a clear shift."""
    score: float
    """Normalised correlation of the edges at the first guess."""
    margin: float
    """Lead of the first guess over the best one elsewhere."""
    pairs_used: int

    def figures(self) -> dict[str, Any]:
        """Return the figures for the calibration file and for JSON."""
        return {
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "scale_across_and_down": [round(s, 4) for s in self.calibration.scale],
            "expected_corner_error_px_at_640": round(self.expected_corner_error_px, 2),
            "residual_px_at_640": round(self.residual_px, 2),
            "agreeing_blocks": round(self.agreeing, 3),
            "clear_blocks": round(self.clear_blocks, 1),
            "edge_correlation": round(self.score, 3),
            "margin": round(self.margin, 3),
            "pairs_used": self.pairs_used,
        }


def estimate(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    scales: Sequence[float] = coarse.SCALES,
    exact_distance_m: float = 0.0,
    progress: Callable[[str], None] = lambda text: None,
) -> PairEstimate:
    """Estimate the homography that registers thermal images onto visible ones.

    Up to eight pairs are used: those with most structure, spread over the recording.

    Args:
        pairs: (visible, thermal), grey HxW of any type; each camera's images are of one size.
        scales: scales to search, relative to stretching the thermal image over the visible one.
        exact_distance_m: distance of the scene, stored with the result; 0: unknown.
        progress: called with a line of text at each step.

    Raises:
        GeometryError: no pairs, or sizes that change.
    """
    if not pairs:
        raise GeometryError("there are no pairs; give at least one, better eight or more")
    visible_size, thermal_size = Size.of(pairs[0][0].shape), Size.of(pairs[0][1].shape)
    for number, (visible, thermal) in enumerate(pairs):
        sizes = Size.of(visible.shape), Size.of(thermal.shape)
        if sizes != (visible_size, thermal_size):
            raise GeometryError(
                f"pair {number} is {sizes[0]} and {sizes[1]}, the first one {visible_size} and "
                f"{thermal_size}: all pairs of one calibration must have the same two sizes"
            )
    chosen = _most_structured(pairs)
    matrix, guess = _first_guess(chosen, visible_size, thermal_size, scales, progress)
    refined: Refined | None = None
    width = REFERENCE_WIDTH
    for width, reach, freedom, rounds, hold, robust_rounds in _STEPS:
        width = min(width, max(320, visible_size.width))  # no more pixels than there are
        progress(f"refining at {width} pixels")
        at_work, thermal_at_work, to_work = _prepared(chosen, width, visible_size)
        stretch = thermal_size.scaling_to(Size.of(at_work[0].shape))
        refined = refine(
            at_work, thermal_at_work, to_work @ matrix @ np.linalg.inv(stretch),
            reach=reach, freedom=freedom, rounds=rounds, hold=hold,
            total=refined.total if refined else None, robust_rounds=robust_rounds,
        )  # fmt: skip
        matrix = np.linalg.inv(to_work) @ refined.matrix @ stretch
    assert refined is not None, "there are steps"
    calibration = HomographyCalibration(
        matrix / matrix[2, 2], thermal_size, visible_size, exact_distance_m
    )
    return _judged(calibration, refined, guess, width, len(chosen))


def _first_guess(
    pairs: list[tuple[np.ndarray, np.ndarray]],
    visible_size: Size,
    thermal_size: Size,
    scales: Sequence[float],
    progress: Callable[[str], None],
) -> tuple[np.ndarray, coarse.CoarseGuess]:
    """Return the matrix from thermal to visible pixels, and the result of the search."""
    some = pairs[:: -(-len(pairs) // _COARSE_PAIRS)]
    visible, thermal, to_work = _prepared(some, coarse.WORK_WIDTH, visible_size)
    work = Size.of(visible[0].shape)
    stretch = thermal_size.scaling_to(work)
    found = []
    # Thermal pixels are square, or the driver has stretched the image to the visible shape.
    squeeze = thermal_size.width * visible_size.height / (thermal_size.height * visible_size.width)
    for aspect in (1.0,) if abs(squeeze - 1) < 0.01 else (1.0, squeeze):
        progress(f"searching {len(scales)} scales")
        middle = (work.height - 1) / 2
        square = np.array([[1, 0, 0], [0, 1 / aspect, middle * (1 - 1 / aspect)], [0, 0, 1]])
        size = (work.width, work.height)
        shaped = [
            cv2.warpPerspective(t, square, size, borderMode=cv2.BORDER_REPLICATE) for t in thermal
        ]
        guess = coarse.search(visible, shaped, scales)
        found.append((guess, guess.matrix @ square))
    guess, at_work = max(found, key=lambda entry: entry[0].score)
    return np.linalg.inv(to_work) @ at_work @ stretch, guess


def _prepared(
    pairs: list[tuple[np.ndarray, np.ndarray]], width: int, visible_size: Size
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Return both images of each pair at `width`, equalised, and the visible scaling."""
    size = (width, max(24, round(width * visible_size.height / visible_size.width)))

    def prepared(image: np.ndarray) -> np.ndarray:
        how = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_LINEAR
        return equalised(cv2.resize(image, size, interpolation=how)).astype(np.float32)

    to_work = visible_size.scaling_to(Size(*size))
    return [prepared(v) for v, _ in pairs], [prepared(t) for _, t in pairs], to_work


def _most_structured(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return up to eight pairs: from each eighth of the recording the one with most edges."""
    if len(pairs) <= _MOST_PAIRS:
        return list(pairs)
    chosen = []
    for part in np.array_split(np.arange(len(pairs)), _MOST_PAIRS):
        candidates = part[:: max(1, len(part) // 4)]
        chosen.append(max(candidates, key=lambda n: min(_edges(p) for p in pairs[n])))
    return [pairs[n] for n in chosen]


def _edges(image: np.ndarray) -> float:
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    return float(np.abs(structure(equalised(small))).mean())


def _judged(
    calibration: HomographyCalibration,
    refined: Refined,
    guess: coarse.CoarseGuess,
    width: int,
    pairs: int,
) -> PairEstimate:
    """Add the verdict; its limits were measured on real pairs (docs/explanation/calibration.md)."""
    scale = REFERENCE_WIDTH / width
    error, residual, agreeing, blocks = float("inf"), float("inf"), 0.0, 0.0
    if refined.fit is not None and refined.agreement is not None:
        agreement = refined.agreement
        error, residual = refined.fit.corner_error_px * scale, agreement.residual_px * scale
        agreeing, blocks = agreement.agreeing, agreement.weight
    reasons = (  # doubtful, failed, reason
        (error > 1.0, error > 5.0, f"the corners are uncertain by {error:.1f} px"),
        (
            residual > 0.8,
            residual > 3.0,
            f"parts of the image are off by {residual:.1f} px (objects at several distances?)",
        ),
        (agreeing < 0.9, agreeing < 0.5, f"only {agreeing:.0%} of the image agree"),
        (blocks < 8, blocks < 4, f"only {blocks:.0f} blocks show the same edges in both"),
        (guess.margin < 0.1, False, "another position fits almost as well"),
        (
            guess.score < _LEAST_SCORE,
            guess.score < _LEAST_SCORE,
            f"the edges of both agree nowhere (correlation {guess.score:.3f})",
        ),
        (
            pairs < _FEWEST_PAIRS,
            False,
            f"only {pairs} pairs; {_FEWEST_PAIRS} or more can confirm each other",
        ),
    )
    failed = [text for _, is_failed, text in reasons if is_failed]
    doubtful = [text for is_doubtful, is_failed, text in reasons if is_doubtful and not is_failed]
    verdict = Trust.FAILED if failed else Trust.DOUBTFUL if doubtful else Trust.GOOD
    return PairEstimate(
        calibration, verdict, (*failed, *doubtful), error, residual, agreeing, blocks,
        guess.score, guess.margin, pairs,
    )  # fmt: skip
