"""What the law of a sampler's output says about its bugs: data, units, and the part that no guidance may touch.

A sampler may be biased by design, so nothing here asks for the exact posterior. Each check asks for an invariance that
biased samplers have too, and yields what it found in one sentence.
"""

from __future__ import annotations

import numpy as np

from benchmarks.trial import (
    CHANGED,
    MATRIX,
    MEAN,
    NOISE_STD,
    SIGMAS,
    UNSEEN,
    UNSEEN_COV,
    N,
    Trial,
    Verdicts,
    change_of_law,
    effective_variance,
    fault,
    fine,
    instance,
)

UNITS = 0.25
"""What A, y and noise_std are multiplied by: a power of 2, which does not round."""


def data(trial: Trial) -> Verdicts:
    """With the same key and another y, A x moves by a good part of what the exact posterior moves."""
    before, after = trial.draw(), trial.draw(shifted=True)
    exact = MATRIX @ (instance(shifted=True).posterior.mean - instance().posterior.mean)
    response = (after - before) @ MATRIX.T @ exact / (exact @ exact)
    mean, slack = float(response.mean()), float(SIGMAS * response.std() / N**0.5)
    if np.array_equal(before, after):
        yield fault("the data are ignored: another y with the same key gives the same samples")
    elif mean + slack < 0:
        yield fault(f"A x moves away from y, by {mean:.2f} of what it should: the sign of the residual is wrong")
    elif mean + slack < 0.4:
        yield fault(
            f"the data are nearly ignored: A x follows a change of y by {mean:.2f} of what the exact posterior does; "
            "the data term is too weak, or is overwritten later"
        )
    elif not mean - slack < 2.5:
        yield fault(f"A x overshoots a change of y {mean:.1f} times: its step is unstable, or the range of x is wrong")
    else:
        yield fine(f"A x follows a change of y by {mean:.2f} of what the exact posterior does")


def noise_level(trial: Trial) -> Verdicts:
    """Whether noise_std enters as a standard deviation.

    Multiplying A, y and noise_std by one number c changes the units and nothing else, for biased samplers too. If
    noise_std is taken for the variance, what changes nothing is to multiply it by c^2.
    """
    base = trial.draw()
    if np.array_equal(base, trial.draw(shifted=True)):  # without data there is no noise; `data` says so
        return
    if change_of_law(base, trial.draw(noise_std=4 * NOISE_STD)) < CHANGED:
        yield fine("the output ignores noise_std, as projections and normalised steps do by design; a fault in others")
        return
    change = change_of_law(base, trial.draw(units=UNITS, noise_std=UNITS * NOISE_STD))
    if change < CHANGED:
        yield fine("noise_std enters as a standard deviation: the output does not depend on the units of y")
        return
    rivals = {
        "noise_std were the variance": (UNITS**2, "look for a missing square, noise_std where noise_std**2 is meant"),
        "noise_std**2 were the standard deviation": (UNITS**0.5, "look for a square taken twice"),
        "noise_std**2 multiplied the data term": (1 / UNITS, "look for a product where a division is meant"),
    }
    changes = {
        what: change_of_law(base, trial.draw(units=UNITS, noise_std=c * NOISE_STD)) for what, (c, _) in rivals.items()
    }
    nearest = min(changes, key=lambda what: changes[what])
    if changes[nearest] < change / 3:
        yield fault(
            f"the output reacts to the noise level as if {nearest}: at noise_std {NOISE_STD:g} the effective variance "
            f"of the data term is {effective_variance(base):.2g}, expected {NOISE_STD**2:.2g}; {rivals[nearest][1]}"
        )
    else:
        yield fine(
            "the output depends on the units of y (A, y and noise_std times one number): a hyper-parameter has the "
            "units of y, or noise_std enters with a wrong power somewhere"
        )


def unseen(trial: Trial) -> Verdicts:
    """The directions of x that are independent of y follow the prior, whatever the guidance."""
    x = trial.draw()
    variances, axes = np.linalg.eigh(UNSEEN_COV)
    directions = UNSEEN @ axes / variances**0.5  # in these the prior has standard deviation 1
    prior_means, means, stds = MEAN @ directions, (x @ directions).mean(axis=0), (x @ directions).std(axis=0)
    scale = float(np.exp(np.log(stds).mean()))
    slack = SIGMAS * scale / (2 * N * len(stds)) ** 0.5
    away = float(np.abs(means - prior_means).max())
    clipped = float((x == x.max()).mean())
    offset = _affine_offset(scale, prior_means, means, stds, directions.sum(axis=0))
    law = f"where y says nothing, the standard deviation is {scale:.2g} of the prior's"
    if clipped > 0.01:
        yield fault(
            f"{clipped:.0%} of the numbers in x equal {x.max():g}: x is clipped, but a signal has no range here"
        )
    elif offset is not None:
        yield fault(f"the range is wrong: samples look like {scale:.2g} x {offset:+.2g}; {_range_advice(scale)}")
    elif away > 0.3 + SIGMAS * stds.max() / N**0.5:
        yield fault(
            f"where y says nothing, the mean is off by {away:.2g} prior standard deviations; look "
            "for x_t that goes to the denoiser without being divided by alpha, an index off by one in the schedule, a "
            "shifted range, or too few steps"
        )
    elif scale + slack < 0.9:
        verdict = fault if scale + slack < 0.8 else fine
        yield verdict(
            f"too narrow: {law}; look for a variance used as standard deviation in x + std z, a missing factor 2 in a "
            "Langevin step, sigma where sigma**2 is meant in the score or in Tweedie's formula, a clipped x0_hat, or "
            "too few steps"
        )
    elif not scale - slack < 1.1:
        verdict = fine if scale - slack < 1.6 else fault  # a state-dependent Langevin step widens by up to 1.5
        yield verdict(
            f"too wide: {law}; look for a step that is too large or depends on the state, sigma where sigma**2 is "
            "meant in the score or in Tweedie's formula, a wrong sigma passed to the denoiser, or too few steps"
        )
    else:
        yield fine(f"where y says nothing, the samples follow the prior: standard deviation {scale:.2f} of the prior's")


def _affine_offset(
    scale: float, prior_means: np.ndarray, means: np.ndarray, stds: np.ndarray, ones: np.ndarray
) -> float | None:
    """b, if the samples look like scale x + b in another range than x: one scale and one offset for all directions.

    None if they do not, or if nothing speaks for a change of range: an offset beyond .4 scale, or a scale that is 2,
    1/2 or farther from 1 than 3.
    """
    shift = means - scale * prior_means
    offset = float(shift @ ones / (ones @ ones))
    affine = np.abs(np.log(stds / scale)).max() < 0.2 and np.abs(shift - offset * ones).max() < 0.3 * scale
    doublings = abs(np.log2(scale))
    telling = np.abs(offset * ones).max() > 0.4 * scale or abs(doublings - 1) < 0.15 or doublings > np.log2(3)
    return offset if affine and telling else None


def _range_advice(scale: float) -> str:
    if abs(np.log2(scale) + 1) < 0.15:
        return "look for (x + 1) / 2, [-1, 1] to [0, 1], once too often"
    if abs(np.log2(scale) - 1) < 0.15:
        return "look for 2 x - 1, [0, 1] to [-1, 1], once too often"
    return "look for a conversion of the range of x"


def bias(trial: Trial) -> Verdicts:
    """A remark, never a fault: how far the part that y sees is from the exact posterior."""
    ax, posterior = trial.draw() @ MATRIX.T, instance().posterior
    cov = MATRIX @ posterior.cov() @ MATRIX.T
    off = ax.mean(axis=0) - MATRIX @ posterior.mean
    distance = float(off @ np.linalg.solve(cov, off)) ** 0.5
    ratio = float(np.linalg.det(np.cov(ax.T)) / np.linalg.det(cov)) ** (0.5 / len(off))
    variance = effective_variance(trial.draw())
    far = abs(np.log(variance / NOISE_STD**2)) > np.log(4)
    advice = "; so far off, it is a projection, or a wrong power or a lost factor in the weight of the data"
    yield fine(
        f"for information: the standard deviation of A x is {ratio:.2f} of the exact posterior's, its mean is off by "
        f"{distance:.2f} of it; the data act with the variance {variance:.2g}, noise_std**2 is {NOISE_STD**2:.2g}"
        f"{advice if far else ''}"
    )
