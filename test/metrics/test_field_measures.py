# SPDX-License-Identifier: Apache-2.0
"""The field's measures, each against an independent implementation or a case worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fusion_ros import metrics


def noise(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def scene(size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smooth, unlike sources and a blend of them, on whole grey levels."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    a = 0.5 + 0.3 * torch.sin(x / 5.0) * torch.cos(y / 7.0) + 0.1 * noise(size, size, seed=1)
    b = 0.3 + 0.5 * torch.exp(-((x - 40) ** 2 + (y - 20) ** 2) / 60.0)
    f = 0.6 * a + 0.4 * b + 0.05 * noise(size, size, seed=2)
    return tuple((z.clamp(0, 1) * 255).round().double()[None, None] / 255 for z in (a, b, f))


def in_numpy(*images: torch.Tensor) -> list[np.ndarray]:
    return [x[0, 0].numpy() for x in images]


def test_entropy_is_that_of_scikit_image():
    measure = pytest.importorskip("skimage.measure")
    _, _, f = scene()
    levels = (in_numpy(f)[0] * 255).round().astype(np.uint8)
    assert metrics.entropy(f).item() == pytest.approx(measure.shannon_entropy(levels), abs=1e-9)


def test_entropy_of_a_flat_image_is_zero_and_of_four_equal_levels_two_bits():
    assert metrics.entropy(torch.full((1, 1, 4, 4), 0.3)).item() == 0
    levels = torch.tensor([0.0, 0.2, 0.5, 1.0]).repeat(4)[None, None, None]
    assert metrics.entropy(levels).item() == pytest.approx(2)


def test_mutual_information_is_that_of_the_joint_histogram():
    a, b, f = scene()

    def information(x: np.ndarray, y: np.ndarray) -> float:
        joint, _, _ = np.histogram2d(
            (x * 255).round().ravel(), (y * 255).round().ravel(), bins=256, range=[[0, 256]] * 2
        )
        joint /= joint.sum()
        product = np.outer(joint.sum(1), joint.sum(0))
        seen = joint > 0
        return float((joint[seen] * np.log2(joint[seen] / product[seen])).sum())

    x, y, z = in_numpy(a, b, f)
    expected = information(x, z) + information(y, z)
    assert metrics.mutual_information(a, b, f).item() == pytest.approx(expected, abs=1e-9)


def test_mutual_information_with_itself_is_twice_the_entropy():
    a, _, _ = scene()
    value = metrics.mutual_information(a, a, a)
    torch.testing.assert_close(value, 2 * metrics.entropy(a))


def test_activity_of_an_image_worked_by_hand():
    # Levels 0 and 51 (0.2) in a checkerboard of 2x2: every difference is 51.
    f = torch.tensor([[0.0, 0.2], [0.2, 0.0]])[None, None]
    assert metrics.standard_deviation(f).item() == pytest.approx(25.5)
    assert metrics.spatial_frequency(f).item() == pytest.approx(51 * math.sqrt(2), rel=1e-6)
    assert metrics.average_gradient(f).item() == pytest.approx(51, rel=1e-6)


def test_correlations_are_those_of_numpy():
    a, b, f = scene()
    x, y, z = (image.ravel() for image in in_numpy(a, b, f))
    mean = 0.5 * (np.corrcoef(x, z)[0, 1] + np.corrcoef(y, z)[0, 1])
    of_differences = np.corrcoef(z - y, x)[0, 1] + np.corrcoef(z - x, y)[0, 1]
    assert metrics.correlation_coefficient(a, b, f).item() == pytest.approx(mean, abs=1e-12)
    value = metrics.sum_of_correlations_of_differences(a, b, f).item()
    assert value == pytest.approx(of_differences, abs=1e-12)


def test_the_sum_of_two_sources_has_the_largest_sum_of_correlations_of_differences():
    a, b = 0.4 * noise(1, 1, 32, 32, seed=0), 0.4 * noise(1, 1, 32, 32, seed=1)
    assert metrics.sum_of_correlations_of_differences(a, b, a + b).item() == pytest.approx(2)


def test_a_flat_image_correlates_with_nothing():
    a, b, _ = scene()
    flat = torch.full_like(a, 0.1)
    assert metrics.correlation_coefficient(a, b, flat).item() == 0


def test_vif_is_that_of_sewar_for_each_source():
    sewar = pytest.importorskip("sewar.full_ref")
    a, b, f = scene()
    x, y, z = (np.round(255 * image) for image in in_numpy(a, b, f))
    expected = sewar.vifp(x, z, sigma_nsq=2) + sewar.vifp(y, z, sigma_nsq=2)
    assert metrics.vif(a, b, f).item() == pytest.approx(expected, rel=3e-3)


def test_ssim_is_that_of_scikit_image_for_both_sources():
    skimage_metrics = pytest.importorskip("skimage.metrics")
    a, b, f = scene()
    x, y, z = in_numpy(a, b, f)
    settings = {
        "data_range": 1.0,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "win_size": 11,
    }
    expected = 0.5 * sum(
        skimage_metrics.structural_similarity(source, z, **settings) for source in (x, y)
    )
    assert metrics.ssim(a, b, f).item() == pytest.approx(expected, abs=1e-4)


def test_ms_ssim_of_identical_images_is_one_and_falls_with_noise():
    a = noise(1, 1, 176, 176, seed=0)
    noisy = (a + 0.2 * noise(1, 1, 176, 176, seed=1)).clamp(0, 1)
    assert metrics.ms_ssim(a, a, a).item() == pytest.approx(1)
    assert metrics.ms_ssim(a, a, noisy).item() < 0.99


def test_psnr_is_that_of_the_mean_of_both_errors():
    a = torch.zeros(1, 1, 4, 4)
    b = torch.full_like(a, 0.4)
    f = torch.full_like(a, 0.2)
    assert metrics.psnr(a, b, f).item() == pytest.approx(-10 * math.log10(0.04), abs=1e-5)
    assert metrics.psnr(a, a, a).item() == math.inf


def test_change_of_a_sequence_worked_by_hand():
    base = noise(1, 1, 8, 8, seed=0) * 0.5
    steps = torch.tensor([0.0, 0.1, 0.3], dtype=torch.float64)[:, None, None, None]
    a = base + steps
    assert metrics.change_ratio(a, a, a).item() == pytest.approx(1)
    assert metrics.change_ratio(a, a, 2 * a).item() == pytest.approx(2)
    assert metrics.excess_flicker(a, a, a).item() == pytest.approx(0, abs=1e-9)
    assert metrics.excess_flicker(a, a, 2 * a).item() == pytest.approx(255 * 0.15)


def test_flicker_index_does_not_depend_on_contrast_but_on_unrest():
    x = torch.arange(40, dtype=torch.float64)
    moving = torch.stack([0.5 + 0.3 * torch.sin((x - t) / 4) for t in range(5)])
    moving = moving[:, None, None].expand(5, 1, 8, 40)
    pale = 0.5 + 0.2 * (moving - 0.5)
    assert metrics.flicker_index(moving, moving, moving).item() == pytest.approx(1)
    assert metrics.flicker_index(moving, moving, pale).item() == pytest.approx(1)
    jumps = torch.tensor([0.0, 0.2, 0.0, 0.2, 0.0], dtype=torch.float64)[:, None, None, None]
    assert metrics.flicker_index(moving, moving, pale + jumps).item() > 1.5


def test_flicker_of_still_sources_is_zero_or_infinite():
    still = noise(1, 1, 8, 8, seed=1).expand(3, 1, 8, 8)
    moving = still + torch.tensor([0.0, 0.1, 0.0])[:, None, None, None]
    for measure in (metrics.flicker_index, metrics.change_ratio):
        assert measure(still, still, still).item() == 0
        assert measure(still, still, moving).item() == math.inf
        with pytest.raises(ValueError, match="1 frames"):
            measure(still[:1], still[:1], still[:1])


def test_static_change_is_relative_to_the_average_and_leaves_out_what_moves():
    level = 1 / 255
    still = torch.full((3, 1, 40, 60), 0.5, dtype=torch.float64)
    noisy = still.clone()
    noisy[1] += level
    assert metrics.static_change(noisy, still, 0.5 * (noisy + still)).item() == pytest.approx(1)
    assert metrics.static_change(noisy, still, noisy).item() == pytest.approx(2)
    passing = noisy.clone()
    passing[2, :, :, 50:] += 0.3
    fused = passing.clone()
    fused[2, :, :, 50:] += 0.2
    assert metrics.static_change(passing, still, fused).item() == pytest.approx(2)
    assert math.isnan(metrics.static_change(still, still * 0 + fades(), still))
    with pytest.raises(ValueError, match="1 frames"):
        metrics.static_change(still[:1], still[:1], still[:1])


def fades() -> torch.Tensor:
    return torch.tensor([0.0, 0.2, 0.4], dtype=torch.float64)[:, None, None, None]


@pytest.mark.parametrize("name", sorted(metrics.MEASURES))
def test_every_measure_gives_one_value_for_each_image_that_does_not_depend_on_its_batch(name):
    size = 176 if name == "MS-SSIM" else 48
    measure = metrics.MEASURES[name].compute
    batch = [noise(3, 1, size, size, seed=s) for s in range(3)]
    together = measure(*batch)
    apart = torch.cat([measure(*(x[i : i + 1] for x in batch)) for i in range(3)])
    assert together.shape == (3,)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(metrics.MEASURES))
def test_every_measure_is_finite_on_flat_images(name):
    flat = torch.full((1, 1, 176, 176), 0.5)
    fused = torch.full_like(flat, 0.25)
    value = metrics.MEASURES[name].compute(flat, flat, fused)
    assert torch.isfinite(value).all()


@pytest.mark.parametrize("name", sorted(set(metrics.MEASURES) - {"EN", "SD", "SF", "AG"}))
def test_no_measure_prefers_noise_to_the_source_itself(name):
    measure = metrics.MEASURES[name]
    y, x = torch.meshgrid(torch.arange(176), torch.arange(176), indexing="ij")
    a = (0.5 + 0.4 * torch.sin(x / 9.0) * torch.cos(y / 11.0)).double()[None, None]
    own, other = (
        measure.compute(a, a, a).item(),
        measure.compute(a, a, noise(1, 1, 176, 176, seed=3)).item(),
    )
    if math.isnan(own):
        pytest.fail(f"{name} of an image with itself is not a number")
    assert own > other if measure.higher_is_better else own <= other


def test_scores_of_an_image_too_small_for_a_measure_are_not_a_number():
    a, b, f = scene(32)
    scores = metrics.score(a, b, f)
    assert math.isnan(scores["VIF"])
    assert math.isnan(scores["MS-SSIM"])
    assert not math.isnan(scores["qw"])


def test_static_change_of_several_channels_is_refused():
    colour = torch.zeros(2, 3, 16, 16)
    with pytest.raises(ValueError, match="3 channels"):
        metrics.static_change(colour, colour, colour)


def test_static_change_equals_a_loop_over_pixels():
    random = np.random.default_rng(5)
    visible, thermal, fused = random.normal(0.5, 0.01, (3, 3, 1, 14, 17))
    around = np.zeros((2, 14, 17), bool)
    for t, y, x in np.ndindex(around.shape):
        window = np.s_[0, max(0, y - 4) : y + 5, max(0, x - 4) : x + 5]
        changes = [np.abs(s[t + 1][window] - s[t][window]).mean() for s in (visible, thermal)]
        around[t, y, x] = max(changes) < 3 / 255
    assert 0.1 < around.mean() < 0.9
    change = np.abs(np.diff(fused, axis=0))[:, 0][around].mean()
    average = np.abs(np.diff((visible + thermal) / 2, axis=0))[:, 0][around].mean()
    got = metrics.static_change(*map(torch.from_numpy, (visible, thermal, fused)))
    assert got.item() == pytest.approx(change / average)
