# SPDX-License-Identifier: Apache-2.0
"""Qabf, Nabf and FMI against their papers' formulas written pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fusion_ros import metrics


def images(size: int = 14) -> list[np.ndarray]:
    random = np.random.default_rng(4)
    a = ndimage.gaussian_filter(random.random((size, size)), 1)
    b = ndimage.gaussian_filter(random.random((size, size)), 2)
    return [a, b, 0.6 * a + 0.4 * b + 0.02 * random.random((size, size))]


def as_tensors(inputs: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(x)[None, None] for x in inputs]


def polar(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gx = ndimage.sobel(255 * x, axis=1, mode="nearest")
    gy = ndimage.sobel(255 * x, axis=0, mode="nearest")
    return np.hypot(gx, gy), np.arctan(gy / gx)


def kept(source, fused, strength_constants, orientation_constants) -> np.ndarray:
    """Sqrt is left to the caller: (strength response, orientation response) for each pixel."""
    result = np.zeros((*source[0].shape, 2))
    for at in np.ndindex(source[0].shape):
        g_s, g_f = source[0][at], fused[0][at]
        ratio = g_f / g_s if g_s > g_f else g_s / g_f
        agreement = 1 - abs(source[1][at] - fused[1][at]) / (np.pi / 2)
        agreement = abs(agreement)
        for place, (value, (gain, slope, middle)) in enumerate(
            ((ratio, strength_constants), (agreement, orientation_constants))
        ):
            result[at][place] = gain / (1 + np.exp(-slope * (value - middle)))
    return result


def test_qabf_is_the_formula_of_xydeas_and_petrovic():
    inputs = images()
    a, b, f = (polar(x) for x in inputs)
    constants = (0.9994, 15, 0.5), (0.9879, 22, 0.8)
    of_a, of_b = kept(a, f, *constants).prod(-1), kept(b, f, *constants).prod(-1)
    expected = (of_a * a[0] + of_b * b[0]).sum() / (a[0] + b[0]).sum()
    assert metrics.qabf(*as_tensors(inputs)).item() == pytest.approx(expected, abs=1e-9)


def test_nabf_is_the_formula_of_kumar():
    inputs = images()
    inputs[2] = inputs[2] + 0.1 * np.random.default_rng(0).random(inputs[2].shape)
    a, b, f = (polar(x) for x in inputs)
    constants = (0.9999, 19, 0.5), (0.9995, 22, 0.5)
    invented = (f[0] > a[0]) & (f[0] > b[0])
    total = weight = 0.0
    for source in (a, b):
        significance = np.where(source[0] >= 2, source[0] ** 1.5, 0.001)
        share = 1 - np.sqrt(kept(source, f, *constants).prod(-1))
        total += (share * significance)[invented].sum()
        weight += significance.sum()
    value = metrics.nabf(*as_tensors(inputs)).item()
    assert value == pytest.approx(total / weight, abs=1e-9)
    assert value > 0.001


def test_a_copy_of_the_only_source_keeps_its_edges_and_adds_none():
    a, _, _ = as_tensors(images(24))
    assert metrics.qabf(a, a, a).item() > 0.97
    assert metrics.nabf(a, a, a).item() == 0


def test_a_halo_raises_nabf():
    step = torch.zeros(1, 1, 32, 32)
    step[..., 16:] = 0.6
    blurred = torch.nn.functional.avg_pool2d(step, 5, 1, 2, count_include_pad=False)
    sharpened = (step + (step - blurred)).clamp(0, 1)
    assert metrics.nabf(step, step, sharpened).item() > metrics.nabf(step, step, step).item()


def plain_fmi(source: np.ndarray, fused: np.ndarray) -> float:
    """The authors' procedure, window by window and cell by cell."""

    def feature(x: np.ndarray) -> np.ndarray:
        p = np.pad(x, 1, mode="edge")
        return np.hypot(p[1:-1, 2:] - p[1:-1, :-2], p[2:, 1:-1] - p[:-2, 1:-1]) / 2

    values = []
    s, f = feature(source), feature(fused)
    for top in range(s.shape[0] - 2):
        for left in range(s.shape[1] - 2):
            p, q = (x[top : top + 3, left : left + 3].ravel() for x in (s, f))
            p, q = p - p.min(), q - q.min()
            p, q = p / p.sum(), q / q.sum()
            c = np.corrcoef(p, q)[0, 1]
            at = np.arange(1, 10)
            deviation = [np.sqrt((x * at**2).sum() - (x * at).sum() ** 2) for x in (p, q)]
            joint_cdf = np.zeros((10, 10))
            covariance = 0.0
            for i in range(9):
                for j in range(9):
                    big_f, big_g = p[: i + 1].sum(), q[: j + 1].sum()
                    bound = min(big_f, big_g) if c >= 0 else max(big_f + big_g - 1, 0)
                    joint_cdf[i + 1, j + 1] = bound
                    covariance += bound - big_f * big_g
            share = min(max(c / (covariance / np.prod(deviation)), 0), 1)
            joint = np.zeros((9, 9))
            for i in range(9):
                for j in range(9):
                    cell = (
                        joint_cdf[i + 1, j + 1]
                        - joint_cdf[i, j + 1]
                        - joint_cdf[i + 1, j]
                        + joint_cdf[i, j]
                    )
                    joint[i, j] = share * cell + (1 - share) * p[i] * q[j]

            def entropy(x: np.ndarray) -> float:
                x = x[x > 1e-15]
                return float(-(x * np.log2(x)).sum())

            alone = entropy(p) + entropy(q)
            values.append(2 * (alone - entropy(joint.ravel())) / alone)
    return float(np.mean(values))


def test_fmi_is_the_authors_procedure():
    inputs = images()
    a, b, f = inputs
    expected = 0.5 * (plain_fmi(a, f) + plain_fmi(b, f))
    assert metrics.fmi(*as_tensors(inputs)).item() == pytest.approx(expected, abs=1e-6)


def test_fmi_of_an_image_with_itself_is_one():
    a = as_tensors(images())[0]
    assert metrics.fmi(a, a, a).item() == pytest.approx(1)
