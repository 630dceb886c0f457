"""The mathematics of the rules, on arrays."""

import numpy as np
import pytest

from restem.stem.forward import convolve
from restem.stem.prior import blend_moments, natural_images, patch_moments
from restem.stem.rules import batch_norm, filters, kernel_size, small_images


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("side", "pad"), [(7, (3, 3)), (8, (3, 4)), (9, (4, 4)), (12, (5, 6))])
def test_growth_is_exact_and_keeps_the_padding_balanced(side, pad, rng):
    kernel, x = rng.normal(size=(7, 7, 3, 5)), rng.normal(size=(2, 21, 30, 3))
    new, new_pad = kernel_size.grow(kernel, (3, 3), side)
    assert new.shape[:2] == (side, side)
    assert new_pad == pad
    assert np.allclose(convolve(x, new, None, new_pad, 2), convolve(x, kernel, None, (3, 3), 2), atol=1e-12)


@pytest.mark.parametrize("rule", ["crop", "bilinear", "pseudo_inverse"])
@pytest.mark.parametrize(
    ("old", "pad", "side", "expected"),
    [
        (7, (3, 3), 5, (2, 2)),
        (7, (3, 3), 6, (3, 2)),
        (7, (3, 3), 1, (0, 0)),
        (4, (2, 1), 3, (1, 1)),
        (4, (2, 1), 2, (1, 0)),
    ],
)
def test_shrinking_keeps_output_size_and_centre(rule, old, pad, side, expected, rng):
    kernel = rng.normal(size=(old, old, 2, 3))
    new, new_pad = getattr(kernel_size, rule)(kernel, pad, side)
    assert new.shape == (side, side, 2, 3)
    assert new_pad == expected


def test_shrinking_undoes_growth(rng):
    """Cropping and least squares recover a 5x5 kernel that was grown to 7x7, because its outer taps are zero."""
    kernel = rng.normal(size=(5, 5, 3, 4))
    grown, pad = kernel_size.grow(kernel, (2, 2), 7)
    moments = patch_moments(natural_images(4, 32, 3, rng), 7)
    assert np.array_equal(kernel_size.crop(grown, pad, 5)[0], kernel)
    assert np.allclose(kernel_size.least_squares(grown, pad, 5, moments)[0], kernel, atol=1e-5)


def test_pseudo_inverse_growth_keeps_the_product_with_resized_patches(rng):
    """FlexiViT's property: if the kernel grows, resizing patch and kernel together keeps their product."""
    kernel = rng.normal(size=(4, 4, 1, 1))
    resize = kernel_size.resize_matrix(4, 8)
    grown, _ = kernel_size.pseudo_inverse(kernel, (1, 2), 8)
    patch = rng.normal(size=(4, 4))
    assert np.isclose((resize @ patch @ resize.T * grown[:, :, 0, 0]).sum(), (patch * kernel[:, :, 0, 0]).sum())


def test_order_of_the_shrinking_rules(rng):
    """On 1/f images with random kernels, from best to worst: least squares, pseudo-inverse, bilinear, crop."""
    kernel = rng.normal(size=(7, 7, 3, 64))
    moments = patch_moments(natural_images(16, 64, 3, rng), 7)
    ls = kernel_size.least_squares(kernel, (3, 3), 5, moments)
    error = {"least_squares": kernel_size.relative_error(kernel, (3, 3), *ls, moments)}
    for rule in ("pseudo_inverse", "bilinear", "crop"):
        error[rule] = kernel_size.relative_error(
            kernel, (3, 3), *getattr(kernel_size, rule)(kernel, (3, 3), 5), moments
        )
    assert error["least_squares"] < 0.8 * min(v for k, v in error.items() if k != "least_squares")
    assert error["pseudo_inverse"] < 1.05 * error["bilinear"] < error["crop"] * 1.05
    fresh = rng.normal(0, kernel.std(), (5, 5, 3, 64))
    assert kernel_size.relative_error(kernel, (3, 3), fresh, (2, 2), moments) > error["crop"]


def test_few_patches_rely_on_the_prior(rng):
    prior = patch_moments(natural_images(8, 32, 1, rng), 5)
    few, many = natural_images(1, 6, 1, rng), natural_images(32, 32, 1, rng)
    assert np.array_equal(blend_moments(np.zeros((25, 25)), 4, prior), prior)
    little = blend_moments(patch_moments(few, 5), 4, prior)
    assert np.linalg.eigvalsh(little).min() > 1e-4 * np.linalg.eigvalsh(prior).min()
    measured = patch_moments(many, 5)
    assert np.abs(blend_moments(measured, 32 * 28 * 28, prior) - measured).max() < 0.01 * np.trace(measured)


def test_relative_error_matches_the_convolution(rng):
    kernel, x = rng.normal(size=(7, 7, 2, 8)), natural_images(4, 40, 2, rng)
    new, pad = kernel_size.crop(kernel, (3, 3), 5)
    old_out, new_out = convolve(x, kernel, None, (0, 0), 1), convolve(x, new, None, (0, 0), 1)[:, 1:-1, 1:-1]
    expected = np.sqrt(np.mean((old_out - new_out) ** 2) / np.mean(old_out**2))
    assert np.isclose(kernel_size.relative_error(kernel, (3, 3), new, pad, patch_moments(x, 7)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("side", "pad", "small", "small_pad"), [(7, (3, 3), 4, (2, 1)), (9, (4, 4), 5, (2, 2)), (3, (1, 1), 2, (1, 0))]
)
def test_collapse_equals_the_stem_on_upsampled_images(side, pad, small, small_pad, rng):
    kernel, x = rng.normal(size=(side, side, 2, 3)), rng.normal(size=(1, 9, 14, 2))
    new, new_pad = small_images.collapse(kernel, pad)
    assert new.shape[0] == small
    assert new_pad == small_pad
    big = x.repeat(2, 1).repeat(2, 2)
    assert np.allclose(convolve(x, new, None, new_pad, 1), convolve(big, kernel, None, pad, 2), atol=1e-12)


def test_widening_a_reader(rng):
    kernel, seen = rng.normal(size=(1, 1, 6, 4)), rng.normal(size=(50, 6))
    source = filters.copies(6, 15)
    assert np.bincount(source).tolist() == [3, 3, 3, 2, 2, 2]
    wide = filters.widen_reader(kernel, source, 1.0, rng)
    assert np.allclose(seen[:, source] @ wide[0, 0], seen @ kernel[0, 0], atol=1e-12)
    assert not np.allclose(wide[0, 0, 0], wide[0, 0, 6])


def test_narrowing_is_exact_for_affine_activations(rng):
    """Two of five activations are affine in the others: least squares keeps the readers' output."""
    base = rng.normal(size=(400, 3))
    seen = np.concatenate([base, base @ rng.normal(size=(3, 2)) + 1], axis=1)
    kernel = rng.normal(size=(1, 1, 5, 7))
    keep = filters.choose(seen, np.ones(5), 3)
    new, shift = filters.refit_reader(kernel, keep, seen)
    assert filters.reader_error(kernel, new, shift, keep, seen) < 1e-4


def test_order_of_the_narrowing_rules(rng):
    mixed = np.maximum(rng.normal(size=(2000, 12)) @ rng.normal(size=(12, 24)) + rng.normal(size=24), 0)
    kernel = rng.normal(size=(1, 1, 24, 10))
    keep = filters.choose(mixed, np.ones(24), 14)
    error = {
        rule: filters.reader_error(kernel, *filters.refit_reader(kernel, keep, mixed, rule), keep, mixed)
        for rule in ("least_squares", "mean", "drop")
    }
    assert error["least_squares"] < error["mean"] < error["drop"]


def test_greedy_choice_beats_the_first_filters(rng):
    mixed = np.maximum(rng.normal(size=(2000, 12)) @ rng.normal(size=(12, 24)) + rng.normal(size=24), 0)
    kernel = rng.normal(size=(1, 1, 24, 10))

    def error(keep):
        return filters.reader_error(kernel, *filters.refit_reader(kernel, keep, mixed), keep, mixed)

    assert error(filters.choose(mixed, np.ones(24), 10)) < error(np.arange(10))


def test_identity_batch_norm(rng):
    mean, variance, x = rng.normal(size=4), rng.uniform(0.1, 9, 4), rng.normal(size=(10, 4))
    gamma, beta, mu, var = batch_norm.identity_batch_norm(mean, variance, 1e-3)
    assert np.allclose(gamma * (x - mu) / np.sqrt(var + 1e-3) + beta, x, atol=1e-12)
    assert np.array_equal(mu, mean)
    assert np.array_equal(var, variance)


def test_prior_is_one_over_f(rng):
    images = natural_images(64, 64, 2, rng)
    assert abs(images.var() - 1) < 0.35
    assert np.corrcoef(images[..., 0].ravel(), images[..., 1].ravel())[0, 1] > 0.8
    windowed = images[..., 0] * np.outer(np.hanning(64), np.hanning(64))
    power = (np.abs(np.fft.fft2(windowed)) ** 2).mean(0)
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None])
    band = (frequency > 0.06) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert -2.3 < slope < -1.7
