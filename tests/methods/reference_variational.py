"""DCPS and MGDM a second time: plain NumPy, from the algorithms of the papers.

Both draw a state from N(m, diag(e^(2 v))), fitted to a Gaussian kernel N(m_0, s_0^2 I) times a likelihood, start at the
kernel, and take draws of shape (n, d) in the order in which they are used. Levels are values of abar, 1 of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from scipy.stats import norm

from tests.methods.cases import Case
from tests.methods.formulas import abars, ddpm_grid, denoised, score
from tests.methods.reference_samplers import adam, unit


def bridge(late: np.ndarray, early: np.ndarray, a_late: float, a: float, a_early: float) -> tuple[np.ndarray, float]:
    """Mean and standard deviation of the state at abar = a, between `late` at a_late < a and `early` at a_early > a.

    r_st = abar_t / abar_s, std^2 = (1 - r_tl) (1 - r_st) / (1 - r_sl), c^2 = (1 - r_st - std^2) / (1 - r_sl), mean
    c x_l + (sqrt(r_st) - c sqrt(r_sl)) x_s. From early = E[x_0 | late] at a_early = 1 it is the DDIM kernel of eta 1.
    """
    r_st, r_tl, r_sl = a / a_early, a_late / a, a_late / a_early
    variance = (1 - r_tl) * (1 - r_st) / (1 - r_sl)
    c = np.sqrt((1 - r_st - variance) / (1 - r_sl))
    return c * late + (np.sqrt(r_st) - c * np.sqrt(r_sl)) * early, float(np.sqrt(variance))


def dcps(
    case: Case,
    x: np.ndarray,
    noise: Iterable[np.ndarray],
    *,
    steps: int,
    blocks: int = 3,
    gradient_steps: int = 2,
    learning_rate: float = 0.00338,
) -> np.ndarray:
    """Blocks of levels; the likelihood of one that ends at abar = e is N(sqrt(e) y; A x_e, noise_std^2 I).

    A block begins with 5 tamed Langevin steps of size .001 on log p_t(x) + log g(E[x_e | x]). Each step fits by
    gradients of fixed length learning_rate sqrt(d), in m (times the prior's standard deviation) and in v, both taken
    at a draw of the state and of x_e from the DDIM kernel. The draw of the state itself comes first in the noise, and
    the last state of all is E[x_0 | x].
    """
    rows, draws = ddpm_grid(case, steps), iter(noise)
    length = learning_rate * np.sqrt(x.shape[1])
    for start, stop in pairwise(np.linspace(0, steps, blocks + 1).astype(int)):
        top, end = rows[start][0], rows[stop - 1][1]
        for _ in range(5):
            gradient = score(case, x, np.sqrt(top), np.sqrt(1 - top)) + _pull_of_end(case, x, top, end, np.zeros(1))
            tamed = gradient / (1 + 1e-3 * np.linalg.norm(gradient, axis=1, keepdims=True))
            x = x + 1e-3 * tamed + np.sqrt(2e-3) * next(draws)
        for abar, after in rows[start:stop]:
            x0 = denoised(case, x, np.sqrt(abar), np.sqrt(1 - abar))[0]
            if after == 1:
                return x0
            centre, std = bridge(x, x0, abar, after, 1.0)
            m, v, drawn = centre, np.full_like(x, np.log(std)), next(draws)
            for _ in range(gradient_steps):
                z, w = next(draws), next(draws)
                pull = _pull_of_end(case, m + np.exp(v) * z, after, end, w)
                of_m = (m - centre) / std**2 - pull
                of_v = np.exp(2 * v) / std**2 - 1 - pull * np.exp(v) * z
                m = m - length * unit(case) * of_m / np.linalg.norm(of_m, axis=1, keepdims=True)
                v = v - length * of_v / np.linalg.norm(of_v, axis=1, keepdims=True)
            x = m + np.exp(v) * drawn
    raise AssertionError("the last level is that of the data")


def _pull_of_end(case: Case, x: np.ndarray, abar: float, end: float, w: np.ndarray) -> np.ndarray:
    """The gradient in x of log N(sqrt(end) y; A x_e, noise_std^2 I), x_e = DDIM kernel's mean from x + its std w."""
    a = case.matrix
    if abar == end:
        return (np.sqrt(end) * case.y - x @ a.T) @ a / case.noise_std**2
    x0, cov = denoised(case, x, np.sqrt(abar), np.sqrt(1 - abar))
    mean, std = bridge(x, x0, abar, end, 1.0)
    of_x, of_x0 = (bridge(np.array(one), np.array(1 - one), abar, end, 1.0)[0] for one in (1.0, 0.0))
    g = (np.sqrt(end) * case.y - (mean + std * w) @ a.T) @ a / case.noise_std**2
    return of_x * g + of_x0 * np.sqrt(abar) / (1 - abar) * np.einsum("nji,nj->ni", cov, g)


def mgdm(
    case: Case,
    x: np.ndarray,
    noise: Iterable[np.ndarray],
    *,
    steps: int,
    gradient_steps: int = 3,
    last_gradient_steps: int = 20,
    last_steps: int = 10,
    denoising_steps: int = 20,
    learning_rate: float = 0.03,
) -> np.ndarray:
    """Of levels floor(linspace(999, 0, steps)) of 1000 above the data every triple above, t, below but the last.

    x_t from the bridge between x_0 and the state above; x_tau fitted to the bridge between x_0 and x_t times
    N(y; A E[x_0 | x_tau], noise_std^2 I); x_0 from x_tau; x_t again, from the bridge between x_tau and the state above.
    tau is one for all samples, floor(10 + u (below - 10)) for the first 70 % of the steps and then below. Adam (.9,
    .999) moves m, in units of the prior's standard deviation, and v; a third of its rate for the first 11 %.
    """
    abar, draws = np.append(1.0, abars(case)), iter(noise)
    levels = np.floor(np.linspace(999, 0, steps)).astype(int)
    state, x0 = x, denoised(case, x, np.sqrt(abar[999]), np.sqrt(1 - abar[999]))[0]
    for i, (above, t, below) in enumerate(zip(levels[:-3], levels[1:-2], levels[2:-1], strict=True)):
        u = norm.cdf(next(draws)[0, 0])
        tau = int(10 + u * (below - 10)) if i < 0.7 * steps else below
        z, drawn, again = next(draws), next(draws), next(draws)
        mean, std = bridge(state, x0, abar[above], abar[t], 1.0)
        centre, width = bridge(mean + std * z, x0, abar[t], abar[tau], 1.0)
        fits = [next(draws) for _ in range(gradient_steps if i < steps - last_steps else last_gradient_steps)]
        rate = learning_rate / 3 if i < 0.11 * steps else learning_rate
        m, v = _fitted(case, centre, width, abar[tau], fits, rate)
        x_tau = m + np.exp(v) * drawn
        mean, std = bridge(state, x_tau, abar[above], abar[t], abar[tau])
        state = mean + std * again
        x0 = _to_data(case, x_tau, tau, abar, draws, denoising_steps)
    return x0


def _fitted(
    case: Case, centre: np.ndarray, width: float, abar: float, draws: list[np.ndarray], rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """m and v by Adam on the expectation, by one draw x = m + e^v z a step, of log q(x) - log kernel(x) - log g(x)."""
    length, unused = unit(case), iter(draws)

    def gradient(parameters: np.ndarray) -> np.ndarray:
        m, v, z = centre + length * parameters[0], np.log(width) + parameters[1], next(unused)
        x = m + np.exp(v) * z
        x0, cov = denoised(case, x, np.sqrt(abar), np.sqrt(1 - abar))
        residual = (case.y - x0 @ case.matrix.T) @ case.matrix / case.noise_std**2
        pull = np.sqrt(abar) / (1 - abar) * np.einsum("nji,nj->ni", cov, residual)
        of_x = (x - centre) / width**2 - pull
        return np.array([length * of_x, of_x * np.exp(v) * z - 1])

    moved = adam(np.zeros((2, *centre.shape)), gradient, np.full(len(draws), rate), decay=0.999)
    return centre + length * moved[0], np.log(width) + moved[1]


def _to_data(
    case: Case, x: np.ndarray, tau: int, abar: np.ndarray, draws: Iterator[np.ndarray], count: int
) -> np.ndarray:
    """By the DDIM kernel through floor(tau k / (count - 1)), k = count - 1, ..., 0; nothing moves where two agree."""
    for now, after in pairwise(tau * k // (count - 1) for k in range(count - 1, -1, -1)):
        z = next(draws)
        if after < now:
            x0 = denoised(case, x, np.sqrt(abar[now]), np.sqrt(1 - abar[now]))[0]
            mean, std = bridge(x, x0, abar[now], abar[after], 1.0)
            x = mean + std * z
    return x
