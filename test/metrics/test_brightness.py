# SPDX-License-Identifier: Apache-2.0
"""Broad brightness, inverted edges and colour shift, worked by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.metrics import brightness_shares, colour_shift, flipped_edges
from fusion_ros.metrics.brightness import LEAST_PIXELS, gaussian_blur


def flat(value: float, height: int = 64, width: int = 80) -> torch.Tensor:
    return torch.full((1, 1, height, width), value, dtype=torch.float64)


def step(left: float, right: float) -> torch.Tensor:
    """Two plain halves."""
    image = flat(left)
    image[..., 40:] = right
    return image


def test_the_blur_mirrors_the_border_of_an_image_smaller_than_its_kernel():
    image = np.random.default_rng(0).random((40, 31))
    reach = np.arange(-48, 49)
    kernel = np.exp(-0.5 * (reach / 12.0) ** 2)
    expected = image
    for axis in (0, 1):
        mirrored = np.pad(expected, [(48, 48) if a == axis else (0, 0) for a in (0, 1)], "reflect")
        convolve = lambda line: np.convolve(line, kernel / kernel.sum(), "valid")  # noqa: E731
        expected = np.apply_along_axis(convolve, axis, mirrored)
    blurred = gaussian_blur(torch.from_numpy(image)[None, None], 12.0)
    assert np.abs(blurred[0, 0].numpy() - expected).max() < 1e-9


@pytest.mark.parametrize(("share", "visible", "thermal"), [(0.7, 0.2, 0.8), (0.25, 0.1, 0.9)])
def test_the_share_is_the_way_gone_from_visible_to_thermal(share, visible, thermal):
    fused = flat(visible + share * (thermal - visible))
    hotter, darker = brightness_shares(flat(visible), flat(thermal), fused)
    assert hotter.item() == pytest.approx(share)
    assert darker.isnan().all()
    # The other way round the thermal image is the darker one.
    fused = flat(thermal + share * (visible - thermal))
    hotter, darker = brightness_shares(flat(thermal), flat(visible), fused)
    assert darker.item() == pytest.approx(share)
    assert hotter.isnan().all()


def test_differences_under_40_levels_do_not_count():
    hotter, darker = brightness_shares(flat(0.4), flat(0.4 + 39 / 255), flat(0.4))
    assert hotter.isnan().all()
    assert darker.isnan().all()


def test_each_image_of_a_batch_has_its_own_values():
    visible, thermal = flat(0.2).repeat(2, 1, 1, 1), flat(0.6).repeat(2, 1, 1, 1)
    fused = torch.cat([flat(0.6), flat(0.2)])
    torch.testing.assert_close(
        brightness_shares(visible, thermal, fused)[0],
        torch.tensor([1.0, 0.0], dtype=torch.float64),
    )


def test_a_line_that_turns_dark_is_a_flipped_edge():
    visible = flat(0.3, 120, 200)
    visible[..., ::20] = 0.9
    visible[..., 1::20] = 0.9
    visible[..., 2::20] = 0.9
    thermal = flat(0.5, 120, 200)
    assert flipped_edges(visible, thermal, visible).item() == 0
    assert flipped_edges(visible, thermal, 1 - visible).item() == 100
    half = torch.cat([visible[:, :, :60], 1 - visible[:, :, 60:]], dim=2)
    assert flipped_edges(visible, thermal, half).item() == pytest.approx(50, abs=1.5)


def test_edges_that_thermal_has_itself_are_not_counted():
    visible = step(0.2, 0.8).repeat(1, 1, 5, 1)
    assert flipped_edges(visible, flat(0.5, 320), 1 - visible).item() == 100
    assert flipped_edges(visible, 1 - visible, 1 - visible).isnan().all()


def test_grey_moved_along_the_grey_axis_has_no_colour_shift():
    visible, fused = flat(0.6).repeat(1, 3, 1, 1), flat(0.3).repeat(1, 3, 1, 1)
    assert colour_shift(visible, flat(0.2), fused).item() == pytest.approx(0, abs=0.05)


def test_the_colour_shift_of_a_colour_to_grey_is_its_chroma():
    brown = torch.tensor([0.2, 0.16, 0.1])[None, :, None, None].expand(1, 3, 64, 64)
    grey = torch.full((1, 3, 64, 64), 0.5)
    shift = colour_shift(brown, torch.zeros(1, 1, 64, 64), grey).item()
    assert shift == pytest.approx(12.003, abs=0.01)  # from the definition, in double precision


def test_half_precision_has_the_values_of_single_precision():
    visible, thermal = step(0.2, 0.8), flat(0.6)
    images = [image.half() for image in (visible, thermal, visible)]
    for single, half in zip(
        brightness_shares(*(image.float() for image in images)),
        brightness_shares(*images),
        strict=True,
    ):
        assert half.item() == pytest.approx(single.item(), abs=0.01, nan_ok=True)
    assert flipped_edges(*images).isnan().all()  # too few pixels, and no error


def test_the_colour_shift_is_the_distance_in_opencvs_lab():
    visible = torch.tensor([0.6, 0.3, 0.2])[None, :, None, None].expand(1, 3, 64, 64)
    fused = torch.tensor([0.5, 0.4, 0.25])[None, :, None, None].expand(1, 3, 64, 64)
    ab = [
        cv2.cvtColor(x[0, :, :1, :1].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2Lab)[0, 0, 1:]
        for x in (visible, fused)
    ]
    expected = float(np.linalg.norm(ab[0] - ab[1]))
    thermal = torch.zeros(1, 1, 64, 64)
    assert colour_shift(visible, thermal, fused).item() == pytest.approx(expected, abs=0.2)
    # Where thermal is hotter everywhere, nothing is measured.
    assert colour_shift(visible, torch.ones(1, 1, 64, 64), fused).isnan().all()


def test_an_image_that_is_too_small_has_no_value():
    small = flat(0.2, 16, LEAST_PIXELS // 16)
    assert brightness_shares(small, small + 0.5, small)[0].isnan().all()
