# SPDX-License-Identifier: Apache-2.0
"""Extract the luma of colour images and replace it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.imaging.colour import LumaReplacer, luma
from fusion_ros.imaging.options import ColourOptions

replace_luma = LumaReplacer()


@pytest.fixture
def image() -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def test_luma_is_the_bt601_sum() -> None:
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    # 76.245, 149.685, 29.07, 2.99 + 11.74 + 3.42 = 18.15
    assert luma(rgb).tolist() == [[76, 150, 29, 18]]
    assert luma(np.ascontiguousarray(rgb[:, :, ::-1]), order="bgr").tolist() == [[76, 150, 29, 18]]


def test_grey_image_is_its_own_luma() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert luma(grey) is grey
    assert replace_luma(np.zeros_like(grey), grey) is grey


def test_image_with_its_own_luma_is_unchanged(image: np.ndarray) -> None:
    np.testing.assert_array_equal(replace_luma(image, luma(image)), image)


def test_brightening_equals_conversion_through_ycrcb(image: np.ndarray) -> None:
    new = cv2.add(luma(image), 20)
    ycrcb = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    ycrcb[:, :, 0] = new
    expected = cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB).astype(int)
    # YCrCb rounds its chroma to 8 bits, which is worth up to two levels.
    assert np.abs(replace_luma(image, new) - expected).max() <= 2


def test_brightening_adds_the_same_to_each_channel() -> None:
    rgb = np.array([[[100, 50, 20]]], np.uint8)  # luma 61.53, rounded 62
    assert replace_luma(rgb, np.array([[92]], np.uint8)).tolist() == [[[130, 80, 50]]]


def test_darkening_scales_and_keeps_the_hue() -> None:
    rgb = np.array([[[100, 50, 20]]], np.uint8)  # luma 62; half of it is 31
    np.testing.assert_allclose(
        replace_luma(rgb, np.array([[31]], np.uint8)), [[[50, 25, 10]]], atol=1
    )


def test_result_has_the_new_luma_unless_a_channel_saturates(image: np.ndarray) -> None:
    new = np.random.default_rng(2).integers(0, 256, image.shape[:2], dtype=np.uint8)
    result = replace_luma(image, new)
    free = (result < 255).all(axis=2)
    assert free.mean() > 0.5
    assert np.abs(luma(result).astype(int) - new)[free].max() <= 1


def test_channel_order_has_no_effect_on_colours(image: np.ndarray) -> None:
    new = 255 - luma(image)
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    np.testing.assert_array_equal(
        replace_luma(bgr, new, order="bgr")[:, :, ::-1], replace_luma(image, new)
    )


def test_black_pixels_become_grey_of_the_new_luma() -> None:
    rgb = np.zeros((1, 3, 3), np.uint8)
    new = np.array([[0, 1, 255]], np.uint8)
    assert replace_luma(rgb, new).tolist() == [[[0, 0, 0], [1, 1, 1], [255, 255, 255]]]


def test_replacer_handles_changing_sizes_and_keeps_earlier_results(
    image: np.ndarray,
) -> None:
    replace = LumaReplacer()
    new = 255 - luma(image)
    first = replace(image, new)
    kept = first.copy()
    small = replace(image[:8, :8], new[:8, :8])
    replace(image, luma(image))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(small, kept[:8, :8])


def test_different_sizes_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(40, 60, 3\)"):
        replace_luma(image, np.zeros((4, 4), np.uint8))


def test_chroma_noise_fades_where_the_thermal_image_brightens_the_dark() -> None:
    rng = np.random.default_rng(0)
    night = np.clip(rng.normal(12, 8, (64, 64, 3)), 0, 255).astype(np.uint8)
    bright = np.full((64, 64), 150, np.uint8)

    def chroma(image: np.ndarray) -> float:
        return float((image.astype(float) - image.mean(axis=2, keepdims=True)).std())

    kept = LumaReplacer()(night, bright)
    faded = LumaReplacer(dark_luma=40)(night, bright)
    assert chroma(faded) < 0.5 * chroma(kept)
    assert abs(float(luma(faded).mean()) - 150) < 1.5


def test_bright_and_darkened_colours_keep_their_chroma(image: np.ndarray) -> None:
    lit = cv2.max(image, np.full_like(image, 90))
    new = cv2.add(luma(lit), 60)
    np.testing.assert_array_equal(LumaReplacer(dark_luma=40)(lit, new), LumaReplacer()(lit, new))
    darker = cv2.subtract(luma(image), 30)
    np.testing.assert_array_equal(
        LumaReplacer(dark_luma=40)(image, darker), LumaReplacer()(image, darker)
    )


def test_colour_options_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="dark_luma is 256"):
        ColourOptions(dark_luma=256)
