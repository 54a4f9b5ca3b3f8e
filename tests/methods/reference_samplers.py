"""The samplers a second time: plain NumPy, from the formulas of the papers.

A sampler is a list of updates (number of draws, map of (x, z_1, ..., z_k) to the next x), x and z of shape (n, d). Run
on given noise it is a path; for a Gaussian prior its updates are x -> F x + b + N(0, Q), and the law is m <- F m + b,
P <- F P F^T + Q.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from tests.methods.cases import Case
from tests.methods.formulas import ddpm_grid, denoised, discrete_grid, euler_grid, likelihood_score, score

Update = tuple[int, Callable[..., np.ndarray]]
Law = tuple[np.ndarray, np.ndarray]


def path(updates: Iterable[Update], x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """x after all updates; noise is (number of draws, n, d), used in order."""
    used = 0
    for draws, update in updates:
        x = update(x, *noise[used : used + draws])
        used += draws
    return x


def propagated(updates: Iterable[Update], mean: np.ndarray, cov: np.ndarray) -> Law:
    """The law after all updates, from N(mean, cov); exact if the updates are affine."""
    eye = np.eye(len(mean))
    silence = np.zeros_like(eye)
    for draws, update in updates:
        b = update(silence, *[silence] * draws)
        f = (update(eye, *[silence] * draws) - b).T
        mean, cov = f @ mean + b[0], f @ cov @ f.T
        for k in range(draws):
            g = (update(silence, *[eye if j == k else silence for j in range(draws)]) - b).T
            cov = cov + g @ g.T
    return mean, cov


def em(case: Case, *, steps: int, grid: str = "karras", guidance: str = "none", **hyper: Any) -> list[Update]:
    """x + beta dt (x / 2 + s) + sqrt(beta dt) z, no noise in the last step."""
    return pc(case, steps=steps, grid=grid, guidance=guidance, corrector_steps=0, **hyper)


def pc(
    case: Case,
    *,
    steps: int,
    grid: str = "karras",
    guidance: str = "none",
    corrector: str = "ald",
    snr: float = 0.16,
    corrector_steps: int = 1,
    **hyper: Any,
) -> list[Update]:
    """Corrector steps, then Euler-Maruyama, at every level."""

    def predictor(a: float, s: float, b: float, std: float) -> Update:
        def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            drift = -b * x / 2 - b * score(case, x, a, s, guidance, **hyper)
            return x - drift + std * z

        return 1, update

    updates: list[Update] = []
    for a, s, b, std in _with_noise(euler_grid(case, steps, grid)):
        updates += [_langevin(case, a, s, b, corrector, snr, guidance, **hyper)] * corrector_steps
        updates.append(predictor(a, s, b, std))
    return updates


def ancestral(
    case: Case,
    *,
    steps: int,
    grid: str = "ddpm",
    guidance: str = "none",
    variance: str = "small",
    **hyper: Any,
) -> list[Update]:
    """The posterior q(x_prev | x, x_0) at the denoised x_0, its mean moved by beta / sqrt(1 - beta) g.

    On grid 'score-sde': (x + beta s) / sqrt(1 - beta) + sqrt(beta) z, no noise in the last step.
    """
    if grid == "ddpm":
        return [
            _ddpm(case, *row, variance, lambda x, row=row: _guidance_shift(case, x, *row, guidance, **hyper))
            for row in ddpm_grid(case, steps)
        ]

    def step(a: float, s: float, b: float, std: float) -> Update:
        return 1, lambda x, z: (x + b * score(case, x, a, s, guidance, **hyper)) / np.sqrt(1 - b) + std * z

    return [step(*row) for row in _with_noise(discrete_grid(case, steps))]


def dps(case: Case, *, steps: int, scale: float, weight: str) -> list[Update]:
    """Ancestral; weight 'likelihood' is its guidance, 'normalised' moves by -scale grad ||y - A E[x_0 | x_t]||."""
    if weight == "likelihood":
        return ancestral(case, steps=steps, guidance="dps", scale=scale)

    def shift(x: np.ndarray, abar: float) -> np.ndarray:
        x0, cov = denoised(case, x, np.sqrt(abar), np.sqrt(1 - abar))
        residual = case.y - x0 @ case.matrix.T
        gradient = -np.sqrt(abar) / (1 - abar) * np.einsum("nji,nj->ni", cov, residual @ case.matrix)
        return -scale * gradient / np.linalg.norm(residual, axis=1, keepdims=True)

    return [_ddpm(case, *row, "small", lambda x, row=row: shift(x, row[0])) for row in ddpm_grid(case, steps)]


def annealed_langevin(
    case: Case,
    *,
    sigmas: np.ndarray,
    steps_per_level: int,
    step_size: float = 1 / 9,
    gamma: float = 1.0,
    likelihood: str = "gaussian",
    data_weight: float = 5.0,
) -> list[Update]:
    """x + eta [s + A^T (y - A x) / (noise_std^2 + gamma^2 ||A||^2 sigma^2)] + sqrt(2 eta) z, eta = step_size sigma^2.

    likelihood 'normalised': x + eta [s - data_weight ||s|| g / ||g||] + sqrt(2 eta) z, g = A^T (A x - y).
    """
    a = case.matrix
    norm = np.linalg.norm(a, 2)

    def step(sigma: float) -> Update:
        eta = step_size * sigma**2

        def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            s = score(case, x, 1.0, sigma)
            g = (x @ a.T - case.y) @ a
            if likelihood == "gaussian":
                data = g / (case.noise_std**2 + (gamma * norm * sigma) ** 2)
            else:
                lengths = np.linalg.norm(s, axis=1) / np.linalg.norm(g, axis=1)
                data = data_weight * lengths[:, None] * g
            return x + eta * (s - data) + np.sqrt(2 * eta) * z

        return 1, update

    return [step(sigma) for sigma in np.repeat(sigmas, steps_per_level)]


def projection(
    case: Case,
    *,
    steps: int,
    predictor: str = "reverse-diffusion",
    corrector_steps: int = 1,
    corrector: str = "ald",
    snr: float = 0.16,
    lam: float = 1.0,
    denoise: bool = True,
) -> list[Update]:
    """Projection before every update; at the end the measured part is set to that of A^+ y.

    Before that Tweedie's step, unless the last predictor step, that of DDPM, has already returned E[x_0 | x].
    """

    def reverse_diffusion(a: float, s: float, b: float, std: float) -> Update:
        return 1, lambda x, z: x - (np.sqrt(1 - b) - 1) * x + b * score(case, x, a, s) + std * z

    if predictor == "ancestral":
        rows = ddpm_grid(case, steps)
        levels = [(np.sqrt(abar), np.sqrt(1 - abar), 1 - abar / after) for abar, after in rows]
        predictors = [_ddpm(case, *row, "small", np.zeros_like) for row in rows]
    else:
        levels = discrete_grid(case, steps)
        noisy = [(*row, np.sqrt(row[2])) for row in levels] if denoise else _with_noise(levels)
        predictors = [reverse_diffusion(*row) for row in noisy]
    updates: list[Update] = []
    for (a, s, b), last in zip(levels, predictors, strict=True):
        updates += [_replace(case, a, s, lam), _langevin(case, a, s, b, corrector, snr)] * corrector_steps
        updates += [_replace(case, a, s, lam), last]
    if denoise and predictor != "ancestral":
        updates.append((0, lambda x: denoised(case, x, *levels[-1][:2])[0]))
    return [*updates, (0, lambda x: _replace(case, 1.0, 0.0, 1.0)[1](x, x))]


def langevin_projection(
    case: Case, *, steps: int, corrector: str = "ald", snr: float = 0.16, lam: float = 1.0
) -> list[Update]:
    """Projection before every Langevin step; at the end Tweedie's step and a merge with coefficient lam."""
    levels = discrete_grid(case, steps)
    updates: list[Update] = []
    for a, s, b in levels:
        updates += [_replace(case, a, s, lam), _langevin(case, a, s, b, corrector, snr)]
    updates.append((0, lambda x: denoised(case, x, *levels[-1][:2])[0]))
    return [*updates, (0, lambda x: _replace(case, 1.0, 0.0, lam)[1](x, x))]


def probability_flow_euler(case: Case, *, steps: int) -> list[Update]:
    """x - (f - g^2 s / 2) / N at linspace(1, 1e-3, N)."""

    def step(a: float, s: float, b: float) -> Update:
        return 0, lambda x: x + b / 2 * (x + score(case, x, a, s))

    return [step(*row) for row in euler_grid(case, steps, "score-sde")]


def probability_flow_heun(case: Case, *, ratios: np.ndarray) -> list[Update]:
    """dx/dr = -r score(x, r) for x = x_t / alpha, r = sigma / alpha: the trapezoidal rule, then the denoised state."""

    def step(r: float, after: float) -> Update:
        def update(x: np.ndarray) -> np.ndarray:
            first = -r * score(case, x, 1.0, r)
            second = -after * score(case, x + (after - r) * first, 1.0, after)
            return x + (after - r) * (first + second) / 2

        return 0, update

    alpha = 1 / np.sqrt(1 + ratios[0] ** 2)
    steps = [step(*pair) for pair in pairwise(ratios)]
    return [(0, lambda x: x / alpha), *steps, (0, lambda x: denoised(case, x, 1.0, ratios[-1])[0])]


def _with_noise(levels: list[tuple[float, float, float]]) -> list[tuple[float, float, float, float]]:
    """Rows (alpha, sigma, beta) with sqrt(beta), but no noise in the last."""
    return [(a, s, b, np.sqrt(b) * (i < len(levels) - 1)) for i, (a, s, b) in enumerate(levels)]


def _ddpm(case: Case, abar: float, after: float, variance: str, shift: Callable[[np.ndarray], np.ndarray]) -> Update:
    """A draw of q(x_prev | x, x_0 = E[x_0 | x]) plus shift(x); no noise when abar of the next level is 1."""
    beta = 1 - abar / after
    std = np.sqrt(beta * (1 - after) / (1 - abar) if variance == "small" else beta) * (after < 1)

    def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        x0 = denoised(case, x, np.sqrt(abar), np.sqrt(1 - abar))[0]
        mean = np.sqrt(after) * beta / (1 - abar) * x0 + np.sqrt(1 - beta) * (1 - after) / (1 - abar) * x
        return mean + shift(x) + std * z

    return 1, update


def _guidance_shift(case: Case, x: np.ndarray, abar: float, after: float, guidance: str, **hyper: Any) -> np.ndarray:
    beta = 1 - abar / after
    g = likelihood_score(case, x, np.sqrt(abar), np.sqrt(1 - abar), guidance, **hyper)[1]
    return beta / np.sqrt(1 - beta) * g


def _langevin(
    case: Case, a: float, s: float, b: float, rule: str, snr: float, guidance: str = "none", **hyper: Any
) -> Update:
    """A corrector step: epsilon = 2 (1 - beta) (snr sigma)^2, or 2 (1 - beta) (snr ||z|| / ||score||)^2."""

    def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        gradient = score(case, x, a, s, guidance, **hyper)
        if rule == "ald":
            epsilon = 2 * (1 - b) * (snr * s) ** 2 * np.ones((len(x), 1))
        else:
            ratio = np.linalg.norm(z, axis=1) / np.linalg.norm(gradient, axis=1)
            epsilon = 2 * (1 - b) * (snr * ratio[:, None]) ** 2
        return x + epsilon * gradient + np.sqrt(2 * epsilon) * z

    return 1, update


def _replace(case: Case, alpha: float, sigma: float, lam: float) -> Update:
    """V [lam L V^T (alpha A^+ y + sigma z) + (1 - lam) L V^T x + (I - L) V^T x], L the measured coordinates."""
    vt = np.linalg.svd(case.matrix)[2]
    seen = (np.arange(len(vt)) < np.linalg.matrix_rank(case.matrix))[:, None]
    data = np.linalg.pinv(case.matrix) @ case.y

    def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        merged, own = vt @ (alpha * data + sigma * z).T, vt @ x.T
        return (vt.T @ (lam * seen * merged + (1 - lam) * seen * own + ~seen * own)).T

    return 1, update
