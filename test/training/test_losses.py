# SPDX-License-Identifier: Apache-2.0
"""Each loss term is zero for an ideal image and grows with the fault that it penalises."""

from __future__ import annotations

import math

import pytest
import torch

from fusion_ros.metrics import flicker_index, qw, sum_of_correlations_of_differences
from training.losses import (
    CALMER,
    LEAST_SHARE,
    MOST_SHARE,
    STEADY,
    TERMS,
    Crops,
    brightness_loss,
    colour_loss,
    correlation_loss,
    excess_gradient_loss,
    flicker_loss,
    flipped_edge_loss,
    glow_loss,
    gradient_loss,
    luma,
    overshoot_loss,
    restlessness_loss,
    static_loss,
    total_loss,
)
from training.run.step import TrainingStep


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_qw_and_mse_equal_equation_three_of_the_paper():
    a, b, f = (noise(2, 1, 32, 32, seed=s) for s in range(3))
    total, terms = total_loss(Crops(a, b, f, stride=8), {"qw": 2.0, "qe": 0.0, "mse": 3.0})
    squares = 0.5 * ((a - f).square().mean() + (b - f).square().mean())
    expected = 2 * (1 - qw(a, b, f, eps=1e-6).mean()) + 3 * squares
    torch.testing.assert_close(total, expected)
    assert set(terms) == {"qw", "mse"}


def test_a_blend_of_both_sources_neither_overshoots_nor_exceeds_their_gradients():
    a, b = noise(1, 1, 32, 32, seed=0), noise(1, 1, 32, 32, seed=1)
    for weight in (0.0, 0.3, 1.0):
        f = weight * a + (1 - weight) * b
        assert overshoot_loss(a, b, f).item() == 0
        assert excess_gradient_loss(a, b, f).item() == pytest.approx(0, abs=1e-6)


def test_a_halo_beside_an_edge_is_penalised():
    step = torch.full((1, 1, 32, 32), 0.2)
    step[..., 16:] = 0.8
    halo = step.clone()
    halo[..., 16:19] += 0.1
    halo[..., 13:16] -= 0.1
    assert overshoot_loss(step, step, halo).item() > 0
    assert excess_gradient_loss(step, step, halo, gains=(1.0, 1.0)).item() > 0


def test_a_wide_soft_halo_counts_at_coarse_octaves():
    flat = torch.full((1, 1, 64, 64), 0.5)
    ramp = flat + 0.05 * torch.sin(torch.arange(64) / 10.0)
    fine = excess_gradient_loss(flat, flat, ramp, gains=(1.0,))
    all_octaves = excess_gradient_loss(flat, flat, ramp, gains=(1.0, 1.0, 1.0, 1.0))
    assert all_octaves > 8 * fine


def test_the_glow_term_is_the_slope_at_16_and_32_pixels():
    flat = torch.full((1, 1, 128, 128), 0.5)
    glow = flat - 0.2 * torch.linspace(0, 1, 128)[:, None]
    slope = 0.2 / 127
    assert glow_loss(flat, flat, glow).item() == pytest.approx((16 + 32) * slope, rel=1e-3)
    assert glow_loss(flat, glow, glow).item() == 0


def test_the_gradient_term_is_zero_for_the_only_source_with_structure():
    a, flat = noise(1, 1, 16, 16, seed=0), torch.full((1, 1, 16, 16), 0.5)
    assert gradient_loss(a, flat, a).item() == 0
    assert gradient_loss(a, flat, flat).item() > 0.1


def test_colour_is_compared_apart_from_brightness():
    visible = noise(1, 3, 8, 8, seed=0)
    assert colour_loss(visible, 0.5 * visible + 0.5 * luma(visible)) > 0.05
    brighter = visible + 0.3 * noise(1, 1, 8, 8, seed=1)
    assert colour_loss(visible, brighter).item() == pytest.approx(0, abs=1e-6)


def test_a_tint_of_an_rgb_network_is_penalised():
    visible, thermal = noise(1, 3, 32, 32, seed=0), noise(1, 1, 32, 32, seed=1)
    loss, terms = TrainingStep(Tinted(), {"colour": 2.0}, 4)(visible, thermal)
    tint = torch.tensor([0.2, 0.0, 0.0])
    expected = (tint - 0.299 * 0.2).abs().mean().item()
    assert terms["colour"].item() == pytest.approx(expected, abs=1e-6)
    assert loss.item() == pytest.approx(2 * expected, abs=1e-6)


class Tinted(torch.nn.Module):
    """The visible image, redder by 0.2 (0.4 in the network's range of 2)."""

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        return visible + torch.tensor([0.4, 0.0, 0.0])[:, None, None]


def test_flicker_is_the_change_beyond_the_sources_mean_change():
    a = noise(1, 1, 8, 8, seed=0)
    later = a + 0.1
    assert flicker_loss((a, a, a), (later, later, later)).item() == pytest.approx(0, abs=1e-7)
    assert flicker_loss((a, a, a), (a, a, a + 0.05)).item() == pytest.approx(0.05, abs=1e-6)


def test_restlessness_compares_the_flicker_index_with_that_of_the_average():
    a, b = noise(2, 1, 16, 16, seed=0), noise(2, 1, 16, 16, seed=1)
    later_a, later_b = 0.9 * a, 0.9 * b
    assert restlessness_loss((a, b, a), (later_a, later_b, a)).item() == 0

    def indices(f: torch.Tensor, later_f: torch.Tensor) -> list[float]:
        pairs = (a, later_a), (b, later_b), (f, later_f)
        return [
            flicker_index(*(torch.stack([x[i], y[i]]) for x, y in pairs)).item() for i in range(2)
        ]

    restless = indices(a, 0.5 * a)
    average = indices(0.5 * (a + b), 0.5 * (later_a + later_b))
    expected = sum(math.log(f / m) + CALMER for f, m in zip(restless, average, strict=True)) / 2
    assert expected > 1
    # The hundredth of a pixel that keeps still frames finite is a few percent here.
    loss = restlessness_loss((a, b, a), (later_a, later_b, 0.5 * a)).item()
    assert loss == pytest.approx(expected, abs=0.1)


def test_the_average_has_a_restlessness_of_the_margin():
    a, b = noise(2, 1, 16, 16, seed=0), noise(2, 1, 16, 16, seed=1)
    before, after = (a, b, 0.5 * (a + b)), (0.9 * a, 0.9 * b, 0.45 * (a + b))
    assert restlessness_loss(before, after).item() == pytest.approx(CALMER, abs=1e-6)


def test_the_correlation_term_is_one_minus_half_of_scd():
    a, b, f = (noise(1, 1, 32, 32, seed=s) for s in range(3))
    measured = sum_of_correlations_of_differences(a, b, f).item()
    assert correlation_loss(a, b, f).item() == pytest.approx(1 - measured / 2, abs=1e-4)


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_finite_on_uniform_and_identical_images(name):
    flat = torch.full((2, 1, 32, 32), 0.5)
    fused = flat.clone().requires_grad_()
    colours = flat.expand(-1, 3, -1, -1), fused.expand(-1, 3, -1, -1)
    crops = Crops(flat, flat, fused, colours, consecutive=True)
    total_loss(crops, {name: 1.0})[0].backward()
    assert torch.isfinite(fused.grad).all()


def test_terms_of_frames_and_colours_are_skipped_for_other_batches():
    crops = Crops(*(noise(2, 1, 32, 32, seed=s) for s in range(3)))
    terms = total_loss(crops, {"flicker": 1.0, "colour": 1.0, "static": 1.0, "mse": 1.0})[1]
    assert set(terms) == {"mse"}


def test_brightness_has_to_follow_hotter_areas_and_not_colder_ones():
    visible, thermal = torch.full((1, 1, 64, 64), 0.3), torch.full((1, 1, 64, 64), 0.8)
    reached = visible + LEAST_SHARE * (thermal - visible)
    assert brightness_loss(visible, thermal, reached).item() == pytest.approx(0, abs=1e-6)
    assert brightness_loss(visible, thermal, thermal).item() == pytest.approx(0, abs=1e-6)
    low = brightness_loss(visible, thermal, reached - 0.1, tolerance=0.01)
    assert low.item() == pytest.approx(0.09, abs=1e-6)
    # The colder thermal picture draws nothing down, and nothing is lifted without need.
    assert brightness_loss(thermal, visible, thermal).item() == pytest.approx(0, abs=1e-6)
    allowed = thermal - MOST_SHARE * (thermal - visible)
    assert brightness_loss(thermal, visible, allowed).item() == pytest.approx(0, abs=1e-6)
    assert brightness_loss(thermal, visible, allowed - 0.1).item() == pytest.approx(0.09, abs=1e-6)
    assert brightness_loss(thermal, visible, thermal + 0.1).item() == pytest.approx(0.09, abs=1e-6)


def test_fine_detail_does_not_change_the_brightness_term():
    visible = torch.full((1, 1, 64, 64), 0.5)
    fused = visible.clone()
    fused[..., ::2] += 0.2
    fused[..., 1::2] -= 0.2
    assert brightness_loss(visible, visible, fused).item() == pytest.approx(0, abs=1e-6)


def test_a_visible_edge_that_loses_its_sign_is_penalised():
    visible = torch.full((1, 1, 40, 40), 0.2)
    visible[..., 20:] = 0.7
    flat = torch.full_like(visible, 0.5)
    assert flipped_edge_loss(visible, flat, visible).item() == 0
    gone = flipped_edge_loss(visible, flat, flat).item()
    turned = flipped_edge_loss(visible, flat, 1 - visible).item()
    assert 0 < gone < turned
    # An edge that thermal shows as well does not count.
    assert flipped_edge_loss(visible, 1 - visible, 1 - visible).item() == 0


def test_static_pixels_may_change_by_the_tolerance_beyond_the_average():
    a, b = torch.full((2, 1, 32, 32), 0.4), torch.full((2, 1, 32, 32), 0.6)
    trembling = 0.02 * (noise(2, 1, 32, 32, seed=3) - 0.5)
    before, after = (a, b, 0.5 * (a + b)), (a + trembling, b + trembling, 0.5 * (a + b))

    def loss(factor: float) -> float:
        return static_loss(before, (*after[:2], after[2] + factor * trembling)).item()

    assert loss(1.0) == 0
    assert loss(STEADY) == pytest.approx(0, abs=1e-3)
    assert loss(2 * STEADY) == pytest.approx(math.log(2), abs=0.1)
    # A scene that moves everywhere has no static pixel.
    moved = a + 0.3
    assert static_loss(before, (moved, b, a)).item() == 0
