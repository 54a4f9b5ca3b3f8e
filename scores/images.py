"""Errors against the truth in decibels, and structural similarity. Nothing is clipped to the data range."""

from __future__ import annotations

import math

import numpy as np

from scores.candidate import Candidate
from scores.registry import metric

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5


def psnr_db(mean_squared_error: float, data_range: float) -> float:
    """10 log10(data_range^2 / mean squared error); inf for a perfect image."""
    return float(10 * np.log10(data_range**2 / np.float64(mean_squared_error)))


@metric("psnr_mean_db", unit="dB", better="higher", claims=("ignore_y",), exact=False)
def psnr_mean_db(candidate: Candidate) -> float:
    """PSNR of the mean of the samples against the truth."""
    error = np.mean(candidate.x, axis=0) - candidate.instance.x_true
    return psnr_db(np.mean(error**2), candidate.data_range)


@metric("psnr_sample_db", unit="dB", better="higher", claims=("std_multiplied", "ignore_y"), exact=False)
def psnr_sample_db(candidate: Candidate) -> float:
    """PSNR of one sample against the truth, from the mean squared error averaged over the samples.

    An exact sampler is 3 dB below the posterior mean, and a sampler that returns the mean is above it: never best-of-n.
    """
    return psnr_db(np.mean((candidate.x - candidate.instance.x_true) ** 2), candidate.data_range)


@metric(
    "psnr_aligned_db",
    unit="dB",
    better="higher",
    applies=lambda candidate: hasattr(candidate.instance.problem.operator, "symmetries"),
    claims=("ignore_y",),
    exact=False,
)
def psnr_aligned_db(candidate: Candidate) -> float:
    """PSNR of the mean of the samples, each turned, as the measurement cannot tell, to be nearest to the truth.

    Of measurements that are blind to a symmetry: a prior that is blind to it too leaves the posterior as many copies of
    each answer, whose mean is like none of them.
    """
    truth = candidate.instance.x_true
    alike = candidate.instance.problem.operator.symmetries(candidate.x)
    distance = np.sum((alike - truth) ** 2, axis=tuple(range(2, alike.ndim)))
    nearest = alike[np.argmin(distance, axis=0), np.arange(candidate.n)]
    return psnr_db(np.mean((np.mean(nearest, axis=0) - truth) ** 2), candidate.data_range)


@metric(
    "psnr_gain_db",
    unit="dB",
    better=10 * math.log10(2),
    applies=Candidate.has_spread,
    claims=("std_divided", "std_multiplied"),
    exact=False,
)
def psnr_gain_db(candidate: Candidate) -> float:
    """PSNR of the mean of the samples minus PSNR of one sample; an exact sampler has psnr_gain_expected_db.

    Both errors are averaged before the logarithm, so the ratio of their expectations over truths and samples is exactly
    2n / (n + 1) for an exact sampler. The mean of decibels differs from the decibels of the mean in low dimension,
    where one truth has few effective pixels. Smaller: too little spread, or a wrong mean. Larger: too much spread.
    """
    return psnr_mean_db(candidate) - psnr_sample_db(candidate)


@metric(
    "psnr_gain_expected_db", unit="dB", better=10 * math.log10(2), applies=Candidate.has_spread, claims=(), exact=False
)
def psnr_gain_expected_db(candidate: Candidate) -> float:
    """What psnr_gain_db is for an exact sampler: 10 log10(2n / (n + 1))."""
    return 10 * math.log10(2 * candidate.n / (candidate.n + 1))


@metric("mmse_gap_db", unit="dB", better="lower", claims=("ignore_y",))
def mmse_gap_db(candidate: Candidate) -> float:
    """PSNR of the exact posterior mean minus PSNR of the mean of the samples.

    Over truths from the prior no estimate has a smaller mean squared error than the exact mean, so the decibels of the
    errors averaged over instances are at least 0 (10 log10(1 + 1/n) for an exact sampler). On one instance, and in the
    mean of decibels, a sampler that bets on one mode can be below 0.
    """
    error = candidate.frame.origin - candidate.instance.x_true.reshape(-1)
    return psnr_db(np.mean(error**2), candidate.data_range) - psnr_mean_db(candidate)


def _fits_window(candidate: Candidate) -> bool:
    return candidate.x.ndim == 3 and min(candidate.x.shape[1:]) >= SSIM_WINDOW


@metric("ssim_mean", unit="1", better="higher", applies=_fits_window, claims=("ignore_y",), exact=False)
def ssim_mean(candidate: Candidate) -> float:
    """SSIM of the mean of the samples against the truth, images of 11 pixels or more a side."""
    return mean_ssim(np.mean(candidate.x, axis=0, keepdims=True), candidate.instance.x_true, candidate.data_range)


@metric(
    "ssim_sample", unit="1", better="higher", applies=_fits_window, claims=("std_multiplied", "ignore_y"), exact=False
)
def ssim_sample(candidate: Candidate) -> float:
    """SSIM of one sample against the truth, averaged over the samples."""
    return mean_ssim(candidate.x, candidate.instance.x_true, candidate.data_range)


def mean_ssim(images: np.ndarray, truth: np.ndarray, data_range: float) -> float:
    """The mean over images (n, rows, columns) of SSIM (Wang et al. 2004): Gaussian window 11, sigma 1.5.

    scikit-image leaves out the pixels whose window crosses the border, so images stacked on top of each other do not
    touch: one call for the tall image, then the margin of each is cut, gives what n calls would.
    """
    from skimage.metrics import structural_similarity

    n, margin = len(images), SSIM_WINDOW // 2
    _, similarity = structural_similarity(
        images.reshape(-1, truth.shape[1]),
        np.tile(truth, (n, 1)),
        data_range=data_range,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    return float(np.mean(similarity.reshape(images.shape)[:, margin:-margin, margin:-margin]))
