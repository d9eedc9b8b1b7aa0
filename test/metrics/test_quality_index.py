# SPDX-License-Identifier: Apache-2.0
"""qw and qe as calibrated, against a plain numpy form, kornia and published results."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from fusion_ros.metrics import edge_image, qe, qw, sobel_magnitude


def plain_qw(a: np.ndarray, b: np.ndarray, f: np.ndarray, step: int = 8) -> float:
    """The definition, window by window, with three separate factors."""
    values, weights = [], []
    for top in range(0, a.shape[0] - 7, step):
        for left in range(0, a.shape[1] - 7, step):
            x, y, z = (p[top : top + 8, left : left + 8].ravel() for p in (a, b, f))

            def q0(s: np.ndarray, z: np.ndarray = z) -> float:
                deviations = s.std(ddof=1) * z.std(ddof=1)
                correlation = np.cov(s, z)[0, 1] / deviations
                luminance = 2 * s.mean() * z.mean() / (s.mean() ** 2 + z.mean() ** 2)
                return correlation * luminance * 2 * deviations / (s.var(ddof=1) + z.var(ddof=1))

            share = x.var(ddof=1) / (x.var(ddof=1) + y.var(ddof=1))
            values.append(share * q0(x) + (1 - share) * q0(y))
            weights.append(max(x.var(ddof=1), y.var(ddof=1)))
    return float(np.average(values, weights=weights))


def noise(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("step", [8, 4, 1])
def test_qw_equals_the_definition_written_window_by_window(step):
    a, b, f = (noise(1, 1, 27, 33, seed=s) for s in range(3))
    f = 0.5 * f + 0.3 * a + 0.2 * b
    expected = plain_qw(a[0, 0].numpy(), b[0, 0].numpy(), f[0, 0].numpy(), step)
    assert qw(a, b, f, stride=step).item() == pytest.approx(expected, abs=2e-5)


def test_an_image_that_equals_both_sources_scores_one():
    a = noise(2, 1, 16, 24, seed=0)
    torch.testing.assert_close(qw(a, a, a), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(qe(a, a, a), torch.ones(2, dtype=torch.float64))


def test_the_negative_of_both_sources_scores_below_zero():
    a = noise(1, 1, 16, 16, seed=0)
    assert qw(a, a, 1 - a).item() < -0.5


def test_two_blocks_worked_by_hand():
    # Left block: only the visible varies (variance v), the fused copies it at half contrast around
    # the same mean: correlation 1, luminance 1, contrast 2*0.5/(1+0.25) = 0.8. Right block: nothing
    # varies anywhere, so its weight is nothing.
    a = torch.full((1, 1, 8, 16), 0.5, dtype=torch.float64)
    a[..., ::2, :8] = 0.9
    a[..., 1::2, :8] = 0.1
    b = torch.full_like(a, 0.5)
    f = 0.5 + 0.5 * (a - 0.5)
    assert qw(a, b, f).item() == pytest.approx(0.8, abs=1e-5)


def test_incomplete_blocks_at_the_right_and_the_bottom_do_not_count():
    a, b, f = (noise(1, 1, 16, 16, seed=s) for s in range(3))
    framed = [torch.nn.functional.pad(x, (0, 7, 0, 5), value=0.3) for x in (a, b, f)]
    torch.testing.assert_close(qw(*framed), qw(a, b, f))


def test_flat_images_give_a_finite_value_and_a_finite_gradient():
    flat = torch.full((1, 1, 16, 16), 0.25)
    fused = flat.clone().requires_grad_()
    (qw(flat, flat, fused) + qe(flat, flat, fused)).sum().backward()
    assert torch.isfinite(fused.grad).all()


def test_the_sobel_magnitude_is_that_of_kornia():
    kornia = pytest.importorskip("kornia")
    x = noise(2, 1, 20, 31, seed=5)
    torch.testing.assert_close(sobel_magnitude(x), kornia.filters.sobel(x))


def test_edge_images_span_zero_to_one():
    edges = edge_image(noise(3, 1, 20, 20, seed=1))
    assert edges.amin(dim=(1, 2, 3)).tolist() == [0, 0, 0]
    assert edges.amax(dim=(1, 2, 3)).tolist() == [1, 1, 1]


def test_a_gradient_step_on_both_indices_raises_them():
    a, b = noise(1, 1, 32, 32, seed=0), noise(1, 1, 32, 32, seed=1)
    fused = (0.5 * (a + b)).requires_grad_()
    before = qw(a, b, fused, stride=1) + qe(a, b, fused, stride=1)
    before.sum().backward()
    after = fused.detach() + 1e-3 * fused.grad / fused.grad.norm()
    assert (qw(a, b, after, stride=1) + qe(a, b, after, stride=1) > before).all()


@pytest.mark.parametrize(
    ("shape", "message"), [((1, 1, 7, 9), "9x7 pixels"), ((8, 8), "N, C, H, W")]
)
def test_a_wrong_shape_is_named(shape, message):
    x = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        qw(x, x, x)


def test_integer_images_and_unequal_sizes_are_refused():
    x = torch.zeros(1, 1, 16, 16)
    with pytest.raises(TypeError, match=r"torch.uint8"):
        qw(x.byte(), x, x)
    with pytest.raises(ValueError, match=r"thermal has shape"):
        qw(x, torch.zeros(1, 1, 16, 24), x)


@pytest.mark.parametrize(
    ("method", "expected_qw", "expected_qe"),
    [
        ("dlf", 0.67279, 0.7260),
        ("deepfuse", 0.72467, 0.7309),
        ("rfn_nest", 0.66135, 0.6961),
    ],
)
def test_the_published_results_of_the_papers_peers_have_the_scores_of_its_table(
    shared_data, method, expected_qw, expected_qe
):
    def grey(path) -> torch.Tensor:
        return torch.from_numpy(cv2.imread(str(path), 0)).double()[None, None] / 255

    scores = []
    for path in sorted((shared_data / "tno21" / "vis").iterdir()):
        images = [
            grey(p)
            for p in (
                path,
                shared_data / "tno21" / "ir" / path.name,
                shared_data / "tno21_peers" / method / path.name,
            )
        ]
        scores.append((qw(*images).item(), qe(*images).item()))
    mean_qw, mean_qe = np.mean(scores, axis=0)
    assert len(scores) == 21
    assert mean_qw == pytest.approx(expected_qw, abs=1e-4)
    assert mean_qe == pytest.approx(expected_qe, abs=1e-4)
