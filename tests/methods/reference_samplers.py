"""The samplers a second time: plain NumPy, from the formulas of the papers.

A sampler is a list of updates (number of draws, map of (x, z_1, ..., z_k) to the next x), x and z of shape (n, d); x is
N(0, I) before the first (before that of annealed Langevin, its first level). Run on given noise it is a path; for a
Gaussian prior its updates are x -> F x + b + N(0, Q), and the law is m <- F m + b, P <- F P F^T + Q.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from tests.methods.cases import Case
from tests.methods.formulas import (
    abars,
    ddpm_grid,
    denoised,
    discrete_grid,
    euler_grid,
    karras_ratios,
    likelihood_score,
    powered,
    score,
    spectral,
    ve_top,
)

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
    """x - dt (f x - g^2 s) + sqrt(g^2 dt) z, no noise in the last step."""
    return pc(case, steps=steps, grid=grid, guidance=guidance, corrector_steps=0, **hyper)


def pc(
    case: Case,
    *,
    steps: int,
    grid: str = "karras",
    schedule: str = "vp",
    predictor: str = "euler-maruyama",
    guidance: str = "none",
    corrector: str = "ald",
    snr: float = 0.16,
    corrector_steps: int = 1,
    **hyper: Any,
) -> list[Update]:
    """Corrector steps, then Euler-Maruyama or the step of reverse diffusion on its own levels, at every level."""
    if predictor == "reverse-diffusion":
        levels = discrete_grid(case, steps, "score-sde", schedule)
        kept = [keep for *_, keep in levels]
        predictors = reverse_diffusion(
            case, steps=steps, grid="score-sde", schedule=schedule, guidance=guidance, **hyper
        )
        predictors = predictors[schedule == "ve" :]  # its start is made below
    else:
        levels = euler_grid(case, steps, grid, schedule)
        kept = [max(1 + 2 * f, 0.0) for _, _, f, _ in levels]
        last = len(levels) - 1
        predictors = [
            (1, _affine_step(case, a, s, 1 - f, g, np.sqrt(g) * (i < last), guidance, **hyper))
            for i, (a, s, f, g) in enumerate(levels)
        ]
    updates = _start(case, schedule)
    for (a, s, *_), keep, predict in zip(levels, kept, predictors, strict=True):
        updates += [_langevin(case, a, s, keep, corrector, snr, guidance, **hyper)] * corrector_steps
        updates.append(predict)
    return updates


def reverse_diffusion(
    case: Case, *, steps: int, grid: str = "ddpm", schedule: str = "vp", guidance: str = "none", **hyper: Any
) -> list[Update]:
    """x - (sqrt(1 - beta) - 1) x + beta s + sqrt(beta) z; of 've' x + (sigma^2 - sigma'^2) s + the same noise."""
    levels = discrete_grid(case, steps, grid, schedule)
    last = len(levels) - 1
    return _start(case, schedule) + [
        (1, _affine_step(case, a, s, 2 - np.sqrt(keep), b, np.sqrt(b) * (i < last), guidance, **hyper))
        for i, (a, s, b, keep) in enumerate(levels)
    ]


def ancestral(
    case: Case,
    *,
    steps: int,
    grid: str = "ddpm",
    schedule: str = "vp",
    guidance: str = "none",
    variance: str = "small",
    **hyper: Any,
) -> list[Update]:
    """The posterior q(x_prev | x, x_0) at the denoised x_0, its mean moved by beta / sqrt(1 - beta) g.

    On grid 'score-sde': (x + beta s) / sqrt(1 - beta) + sqrt(beta) z, no noise in the last step. Of 've':
    x + b s + sqrt(b sigma'^2 / sigma^2) z, b = sigma^2 - sigma'^2.
    """
    levels = discrete_grid(case, steps, grid, schedule)
    if schedule == "ve":
        after = [s for _, s, _, _ in levels[1:]] + [0.0]
        shares = [to / s if variance == "small" else to > 0 for (_, s, _, _), to in zip(levels, after, strict=True)]
        return _start(case, schedule) + [
            (1, _affine_step(case, a, s, 1.0, b, np.sqrt(b) * share, guidance, **hyper))
            for (a, s, b, _), share in zip(levels, shares, strict=True)
        ]
    if grid == "ddpm":
        return [
            _ddpm(case, *row, variance, lambda x, row=row: _guidance_shift(case, x, *row, guidance, **hyper))
            for row in ddpm_grid(case, steps)
        ]
    last = len(levels) - 1
    return [
        (1, _affine_step(case, a, s, keep**-0.5, b * keep**-0.5, np.sqrt(b) * (i < last), guidance, **hyper))
        for i, (a, s, b, keep) in enumerate(levels)
    ]


def ddim(
    case: Case, *, steps: int, eta: float = 0.0, schedule: str = "vp", guidance: str = "none", **hyper: Any
) -> list[Update]:
    """alpha' D + sqrt(sigma'^2 - c^2) eps + c z, c = eta sqrt((1 - abar / abar') (1 - abar') / (1 - abar)).

    D and eps are those of the guided score. Of 've' c = eta sqrt((sigma^2 - sigma'^2) sigma'^2 / sigma^2).
    """
    if schedule == "ve":
        sigmas = [s for _, s, _, _ in discrete_grid(case, steps, schedule="ve")] + [0.0]
        rows = [(1.0, s, 1.0, to, (s**2 - to**2) * to**2 / s**2) for s, to in pairwise(sigmas)]
    else:
        rows = [
            (np.sqrt(a), np.sqrt(1 - a), np.sqrt(b), np.sqrt(1 - b), (1 - a / b) * (1 - b) / (1 - a))
            for a, b in ddpm_grid(case, steps)
        ]

    def step(a: float, s: float, a_next: float, s_next: float, largest: float) -> Update:
        c = eta * np.sqrt(largest)

        def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            x0, g = likelihood_score(case, x, a, s, guidance, **hyper)
            eps = (x - a * x0) / s - s * g
            return a_next * (x0 + s**2 / a * g) + np.sqrt(s_next**2 - c**2) * eps + c * z

        return 1, update

    return _start(case, schedule) + [step(*row) for row in rows]


def pigdm_ddim(case: Case, *, steps: int, eta: float = 1.0, prior_std: float = 1.0) -> list[Update]:
    """The DDIM step of the unguided D and eps, plus alpha r^2 g, r^2 = tau^2 v / (tau^2 + v), v = sigma^2 / alpha^2."""
    unguided = ddim(case, steps=steps, eta=eta)

    def step(abar: float, move: Callable[..., np.ndarray]) -> Update:
        a, s = np.sqrt(abar), np.sqrt(1 - abar)
        r_squared = 1 / (1 / prior_std**2 + a**2 / s**2)

        def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            g = likelihood_score(case, x, a, s, "pigdm", prior_std=prior_std)[1]
            return move(x, z) + a * r_squared * g

        return 1, update

    return [step(abar, move) for (abar, _), (_, move) in zip(ddpm_grid(case, steps), unguided, strict=True)]


def ode(case: Case, *, steps: int, guidance: str = "none", **hyper: Any) -> list[Update]:
    """Heun's method on the Karras levels."""
    return probability_flow_heun(case, ratios=karras_ratios(case, steps), guidance=guidance, **hyper)


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

    if predictor == "ancestral":
        rows = ddpm_grid(case, steps)
        levels = discrete_grid(case, steps, "ddpm")
        predictors = [_ddpm(case, *row, "small", np.zeros_like) for row in rows]
    else:
        levels = discrete_grid(case, steps)
        noisy = [np.sqrt(b) * (denoise or i < steps - 1) for i, (_, _, b, _) in enumerate(levels)]
        predictors = [
            (1, _affine_step(case, a, s, 2 - np.sqrt(keep), b, std))
            for (a, s, b, keep), std in zip(levels, noisy, strict=True)
        ]
    updates: list[Update] = []
    for (a, s, _, keep), predict in zip(levels, predictors, strict=True):
        updates += [_replace(case, a, s, lam), _langevin(case, a, s, keep, corrector, snr)] * corrector_steps
        updates += [_replace(case, a, s, lam), predict]
    if denoise and predictor != "ancestral":
        updates.append((0, lambda x: denoised(case, x, *levels[-1][:2])[0]))
    return [*updates, (0, lambda x: _replace(case, 1.0, 0.0, 1.0)[1](x, x))]


def langevin_projection(
    case: Case, *, steps: int, corrector: str = "ald", snr: float = 0.16, lam: float = 1.0
) -> list[Update]:
    """Projection before every Langevin step; at the end Tweedie's step and a merge with coefficient lam."""
    levels = discrete_grid(case, steps)
    updates: list[Update] = []
    for a, s, _, keep in levels:
        updates += [_replace(case, a, s, lam), _langevin(case, a, s, keep, corrector, snr)]
    updates.append((0, lambda x: denoised(case, x, *levels[-1][:2])[0]))
    return [*updates, (0, lambda x: _replace(case, 1.0, 0.0, lam)[1](x, x))]


def probability_flow_euler(case: Case, *, steps: int) -> list[Update]:
    """x - (f - g^2 s / 2) / N at linspace(1, 1e-3, N)."""

    def step(a: float, s: float, f: float, g: float) -> Update:
        return 0, lambda x: x - (f * x - g / 2 * score(case, x, a, s))

    return [step(*row) for row in euler_grid(case, steps, "score-sde")]


def probability_flow_heun(case: Case, *, ratios: np.ndarray, guidance: str = "none", **hyper: Any) -> list[Update]:
    """dx/dr = -r score(x, r) for x = x_t / alpha, r = sigma / alpha: the trapezoidal rule, then the denoised state."""

    def slope(x: np.ndarray, r: float) -> np.ndarray:
        return -r * score(case, x, 1.0, r, guidance, **hyper)

    def step(r: float, after: float) -> Update:
        def update(x: np.ndarray) -> np.ndarray:
            first = slope(x, r)
            second = slope(x + (after - r) * first, after)
            return x + (after - r) * (first + second) / 2

        return 0, update

    alpha, last = 1 / np.sqrt(1 + ratios[0] ** 2), ratios[-1]
    steps = [step(*pair) for pair in pairwise(ratios)]
    return [(0, lambda x: x / alpha), *steps, (0, lambda x: x - last * slope(x, last))]


def mcg(case: Case, *, steps: int, scale: float = 1.0) -> list[Update]:
    """Projection before every step of DPS with the normalised gradient, and once more at the end."""
    updates: list[Update] = []
    moves = dps(case, steps=steps, scale=scale, weight="normalised")
    for (abar, _), move in zip(ddpm_grid(case, steps), moves, strict=True):
        updates += [_replace(case, np.sqrt(abar), np.sqrt(1 - abar), 1.0), move]
    return [*updates, (0, lambda x: _replace(case, 1.0, 0.0, 1.0)[1](x, x))]


def lgd_mc(case: Case, *, steps: int, draws: int = 3, prior_std: float = 1.0) -> list[Update]:
    """Ancestral steps with g = grad log mean_k N(y; A (D + r z_k), noise_std^2 I), r as in `pigdm_ddim`."""
    a, noise_var = case.matrix, case.noise_std**2

    def gradient(x: np.ndarray, zs: tuple[np.ndarray, ...], abar: float) -> np.ndarray:
        alpha, sigma = np.sqrt(abar), np.sqrt(1 - abar)
        x0, cov = denoised(case, x, alpha, sigma)
        r = 1 / np.sqrt(1 / prior_std**2 + alpha**2 / sigma**2)
        residuals = np.array([case.y - (x0 + r * z) @ a.T for z in zs])
        likelihoods = -(residuals**2).sum(axis=2) / (2 * noise_var)
        weights = np.exp(likelihoods - likelihoods.max(axis=0))
        average = np.einsum("kn,knm->nm", weights / weights.sum(axis=0), residuals)
        return alpha / sigma**2 * np.einsum("nji,nj->ni", cov, average @ a) / noise_var

    def step(abar: float, after: float) -> Update:
        move = _ddpm(case, abar, after, "small", np.zeros_like)[1]
        beta = 1 - abar / after
        return draws + 1, lambda x, *z: move(x, z[-1]) + beta / np.sqrt(1 - beta) * gradient(x, z[:-1], abar)

    return [step(*row) for row in ddpm_grid(case, steps)]


def ddrm(case: Case, *, steps: int, eta: float = 0.85, eta_b: float = 1.0) -> list[Update]:
    """Equations 4, 7 and 8 of the paper in the coordinates V^T x, one by one; x_t / alpha, whose noise is sigma."""
    vt, s, u = spectral(case)
    noise_std = case.noise_std
    sigmas = [np.sqrt((1 - abar) / abar) for abar, _ in ddpm_grid(case, steps)]

    def start(x: np.ndarray) -> np.ndarray:
        z, top = x @ vt.T, sigmas[0]
        for j in range(len(s)):
            known = s[j] * top > noise_std
            z[:, j] = u[j] / s[j] + np.sqrt(top**2 - noise_std**2 / s[j] ** 2) * z[:, j] if known else top * z[:, j]
        return z @ vt

    def coordinate(j: int, x0: np.ndarray, eps: np.ndarray, z: np.ndarray, to: float) -> np.ndarray:
        if s[j] == 0:
            return x0 + np.sqrt(1 - eta**2) * to * eps + eta * to * z
        if s[j] * to < noise_std:
            return x0 + np.sqrt(1 - eta**2) * to * (u[j] - s[j] * x0) / noise_std + eta * to * z
        std = np.sqrt(to**2 - (noise_std * eta_b / s[j]) ** 2)
        return (1 - eta_b) * x0 + eta_b * u[j] / s[j] + std * z

    def step(sigma: float, to: float) -> Update:
        def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            x0 = denoised(case, x, 1.0, sigma)[0]
            rows = zip((x0 @ vt.T).T, ((x - x0) @ vt.T / sigma).T, (z @ vt.T).T, strict=True)
            return np.array([coordinate(j, *row, to) for j, row in enumerate(rows)]).T @ vt

        return 1, update

    return [(0, start), *(step(*pair) for pair in pairwise([*sigmas, 0.0]))]


def ddnm(case: Case, *, steps: int, eta: float = 0.85, travel: int = 1, repeats: int = 1) -> list[Update]:
    """alpha' (D - A^+ (A D - y)) + sigma' (eta z + sqrt(1 - eta^2) eps)."""
    inverse = np.linalg.pinv(case.matrix)

    def once(x: np.ndarray, z: np.ndarray, abar: float, after: float) -> tuple[np.ndarray, np.ndarray]:
        x0 = denoised(case, x, np.sqrt(abar), np.sqrt(1 - abar))[0]
        eps = (x - np.sqrt(abar) * x0) / np.sqrt(1 - abar)
        consistent = x0 - (x0 @ case.matrix.T - case.y) @ inverse.T
        noise = eta * z + np.sqrt(1 - eta**2) * eps
        return np.sqrt(after) * consistent + np.sqrt(1 - after) * noise, x0

    return _travelled(ddpm_grid(case, steps), travel, repeats, once)


def ddnm_plus(case: Case, *, steps: int, eta: float = 0.85, travel: int = 1, repeats: int = 1) -> list[Update]:
    """alpha' (D - lambda (D - y / s)) + noise in the coordinates V^T x, with a = alpha' and sigma'.

    sigma' < a noise_std / s: lambda = s sigma' sqrt(1 - eta^2) / (a noise_std), noise eta sigma' z; else lambda = 1,
    noise sqrt(sigma'^2 - a^2 noise_std^2 / s^2) z; s = 0: noise sigma' (eta z + sqrt(1 - eta^2) eps).
    """
    vt, s, u = spectral(case)

    def once(x: np.ndarray, z: np.ndarray, abar: float, after: float) -> tuple[np.ndarray, np.ndarray]:
        x0 = denoised(case, x, np.sqrt(abar), np.sqrt(1 - abar))[0]
        eps = (x - np.sqrt(abar) * x0) / np.sqrt(1 - abar)
        a, sigma = np.sqrt(after), np.sqrt(1 - after)
        columns = []
        for j, (own, e, w) in enumerate(zip((x0 @ vt.T).T, (eps @ vt.T).T, (z @ vt.T).T, strict=True)):
            if s[j] == 0:
                columns.append(a * own + sigma * (eta * w + np.sqrt(1 - eta**2) * e))
                continue
            if sigma < a * case.noise_std / s[j]:
                lam, std = s[j] * sigma * np.sqrt(1 - eta**2) / (a * case.noise_std), eta * sigma
            else:
                lam, std = 1.0, np.sqrt(sigma**2 - (a * case.noise_std / s[j]) ** 2)
            columns.append(a * (own - lam * (own - u[j] / s[j])) + std * w)
        return np.array(columns).T @ vt, x0

    return _travelled(ddpm_grid(case, steps), travel, repeats, once)


def snips(case: Case, *, sigmas: np.ndarray, steps_per_level: int, step_size: float) -> list[Update]:
    """x + a g + sqrt(2 a) z in the coordinates V^T x, c = step_size.

    s sigma > noise_std: g = s (u - s x) / (s^2 sigma^2 - noise_std^2), a = c (sigma^2 - noise_std^2 / s^2);
    0 < s sigma < noise_std: g = score + s (u - s x) / (noise_std^2 - s^2 sigma^2), a = c sigma^2 (1 - s^2 sigma^2 /
    noise_std^2); s = 0: g = score, a = c sigma^2.
    """
    vt, s, u = spectral(case)
    noise_var, c = case.noise_std**2, step_size

    def step(sigma: float) -> Update:
        def coordinate(j: int, x: np.ndarray, gradient: np.ndarray, z: np.ndarray) -> np.ndarray:
            spread = (s[j] * sigma) ** 2
            if s[j] == 0:
                a, g = c * sigma**2, gradient
            elif spread > noise_var:
                a, g = c * (sigma**2 - noise_var / s[j] ** 2), s[j] * (u[j] - s[j] * x) / (spread - noise_var)
            else:
                a = c * sigma**2 * (1 - spread / noise_var)
                g = gradient + s[j] * (u[j] - s[j] * x) / (noise_var - spread)
            return x + a * g + np.sqrt(2 * a) * z

        def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            rows = zip((x @ vt.T).T, (score(case, x, 1.0, sigma) @ vt.T).T, (z @ vt.T).T, strict=True)
            return np.array([coordinate(j, *row) for j, row in enumerate(rows)]).T @ vt

        return 1, update

    return [(0, lambda x: sigmas[0] * x), *(step(sigma) for sigma in np.repeat(sigmas, steps_per_level))]


def diffpir(case: Case, *, steps: int, lam: float = 1.0, zeta: float = 0.1, eta: float = 0.0) -> list[Update]:
    """D' = argmin ||y - A u||^2 + rho ||u - D||^2, rho = lam noise_std^2 alpha^2 / sigma^2, eps of D' and not of D;
    alpha' D' + sqrt(1 - zeta) (sqrt(sigma'^2 - c^2) eps + c z) + sqrt(zeta) sigma' w; D at the last of the levels
    999 - floor(sqrt(linspace(0, 999^2, steps))).
    """
    a, eye = case.matrix, np.eye(case.matrix.shape[1])
    abar = abars(case)[999 - np.floor(np.sqrt(np.linspace(0, 999**2, steps))).astype(int)]

    def step(now: float, after: float) -> Update:
        alpha, sigma = np.sqrt(now), np.sqrt(1 - now)
        rho = lam * case.noise_std**2 * now / (1 - now)
        c = eta * np.sqrt((1 - now / after) * (1 - after) / (1 - now))

        def update(x: np.ndarray, z: np.ndarray, w: np.ndarray) -> np.ndarray:
            x0 = denoised(case, x, alpha, sigma)[0]
            x0 = np.linalg.solve(a.T @ a + rho * eye, (case.y @ a + rho * x0).T).T
            eps = (x - alpha * x0) / sigma
            noise = np.sqrt(1 - zeta) * (np.sqrt(1 - after - c**2) * eps + c * z) + np.sqrt(zeta * (1 - after)) * w
            return np.sqrt(after) * x0 + noise

        return 2, update

    last = np.sqrt(abar[-1]), np.sqrt(1 - abar[-1])
    return [*(step(*pair) for pair in pairwise(abar)), (0, lambda x: denoised(case, x, *last)[0])]


def unit(case: Case) -> float:
    """The mean standard deviation of an entry of x under the prior."""
    mean = case.weights @ case.means
    second = np.array([np.diag(cov) + m**2 for cov, m in zip(case.covs, case.means, strict=True)])
    return float(np.mean(np.sqrt(case.weights @ second - mean**2)))


def daps_exact_inner(
    case: Case, *, steps: int, tau: float = 1.0, sigma_max: float = 100.0, sigma_min: float = 0.1
) -> list[Update]:
    """x_0 ~ N(D, sigma^2 I) N(y; A x_0, tau^2 noise_std^2), then x_0 + sigma' z; x_0 after the last."""

    def inner(sigma: float, k: int) -> Update:  # noqa: ARG001
        conditioned = _given(case, sigma**2 * np.eye(len(case.means[0])), tau * case.noise_std)
        return 1, lambda x, z: conditioned(denoised(case, x, 1.0, sigma)[0], z)

    return _decoupled(powered(sigma_max * unit(case), sigma_min * unit(case), steps + 1), inner)


def daps_covariance(
    case: Case, *, steps: int, tau: float = 1.0, sigma_max: float = 100.0, sigma_min: float = 0.1
) -> list[Update]:
    """The same with Cov[x_0 | x_t], one for all x_t as the prior is Gaussian, in place of sigma^2 I."""

    def inner(sigma: float, k: int) -> Update:  # noqa: ARG001
        conditioned = _given(case, denoised(case, case.means, 1.0, sigma)[1][0], tau * case.noise_std)
        return 1, lambda x, z: conditioned(denoised(case, x, 1.0, sigma)[0], z)

    return _decoupled(powered(sigma_max * unit(case), sigma_min * unit(case), steps + 1), inner)


def daps(
    case: Case,
    *,
    steps: int,
    ode_steps: int,
    inner_steps: int,
    tau: float = 0.2,
    step_size: float = 1.0,
    sigma_max: float = 100.0,
    sigma_min: float = 0.1,
) -> list[Update]:
    """D by Euler's method from sigma_k to .01 units; x_0 from D by Langevin steps eta_k; x_0 + sigma_(k+1) z.

    x_0 + eta [-grad ||A x_0 - y||^2 / t^2 + (D - x_0) / sigma_k^2] + sqrt(2 eta) z, t = tau noise_std, and
    eta_k = step_size t^2 / ||A||^2 (1 + k / (K + 1) (.01 - 1)) of K levels, at most 1.9 over the curvature and half of
    sigma_k^2.
    """
    a, count = case.matrix, steps // ode_steps
    width = tau * case.noise_std

    def inner(sigma: float, k: int) -> Update:
        eta = step_size * (width / np.linalg.norm(a, 2)) ** 2 * (1 + k / (count + 1) * (0.01 - 1))
        eta = min(eta, 1.9 / (2 * (np.linalg.norm(a, 2) / width) ** 2 + 1 / sigma**2), sigma**2 / 2)

        def update(x: np.ndarray, *draws: np.ndarray) -> np.ndarray:
            for level, after in pairwise(powered(sigma, 0.01 * unit(case), ode_steps + 1)):
                x = x + (after - level) * (x - denoised(case, x, 1.0, level)[0]) / level
            centre = x
            for z in draws:
                gradient = 2 * (case.y - x @ a.T) @ a / width**2 + (centre - x) / sigma**2
                x = x + eta * gradient + np.sqrt(2 * eta) * z
            return x

        return inner_steps, update

    return _decoupled(powered(sigma_max * unit(case), sigma_min * unit(case), count + 1), inner)


def pnp_dm(
    case: Case,
    *,
    steps: int,
    prior_steps: int,
    rho_max: float = 10.0,
    rho_min: float = 0.3,
    decay: float = 0.9,
    kernel: str = "sde",
) -> list[Update]:
    """Split Gibbs, rho_k = max(rho_max decay^k, rho_min)."""
    rhos = [unit(case) * max(rho_max * decay**k, rho_min) for k in range(steps // prior_steps)]
    return _split_gibbs(case, rhos, prior_steps, kernel)


def dpnp(case: Case, *, steps: int, prior_steps: int, rho_max: float = 1.0, rho_min: float = 0.1) -> list[Update]:
    """Split Gibbs, rho_max for a fifth of the iterations, then geometric down to rho_min."""
    count = steps // prior_steps
    rhos = [rho_max] * (count // 5) + list(np.geomspace(rho_max, rho_min, count - count // 5))
    return _split_gibbs(case, [unit(case) * rho for rho in rhos], prior_steps, "ancestral")


def annealed_ula(
    case: Case, *, sigmas: np.ndarray, steps_per_level: int, step_size: float = 0.1, gamma: float = 1.0
) -> list[Update]:
    """At every level the ancestral step from the level before, then x + h grad + sqrt(2 h) z, h = step_size sigma^2.

    grad is that of log p_sigma(x) + log N(y; A x, noise_std^2 + (gamma ||A|| sigma)^2).
    """
    a = case.matrix

    def gradient(x: np.ndarray, sigma: float) -> np.ndarray:
        variance = case.noise_std**2 + (gamma * np.linalg.norm(a, 2) * sigma) ** 2
        return score(case, x, 1.0, sigma) + (case.y - x @ a.T) @ a / variance

    def step(sigma: float, gain: float, std: float) -> Update:
        return 1, lambda x, z: x + gain * gradient(x, sigma) + std * z

    updates: list[Update] = [(0, lambda x: sigmas[0] * x)]
    for before, sigma in pairwise([sigmas[0], *sigmas]):
        h, fall = step_size * sigma**2, before**2 - sigma**2
        updates.append(step(before, fall, np.sqrt(sigma**2 * fall / before**2)))
        updates += [step(sigma, h, np.sqrt(2 * h))] * steps_per_level
    return updates


def ascent(case: Case, x: np.ndarray, *, steps: int, learning_rate: float) -> np.ndarray:
    """Adam (.9, .99) on log p(x | y) of a Gaussian prior, its rate learning_rate std, falling linearly to 0."""
    a, cov = case.matrix, case.covs[0]

    def gradient(x: np.ndarray) -> np.ndarray:
        return np.linalg.solve(cov, (case.means[0] - x).T).T + (case.y - x @ a.T) @ a / case.noise_std**2

    rates = learning_rate * (1 - np.arange(steps) / steps)
    return adam(x, gradient, rates[:, None] * np.sqrt(np.diag(cov)), up=True)


def red_diff(
    case: Case,
    noise: np.ndarray,
    *,
    steps: int,
    learning_rate: float = 0.1,
    lam: float = 0.25,
    data_weight: float = 1.0,
) -> np.ndarray:
    """Adam (.9, .99) from A^+ y on data_weight mean (y - A x)^2 / 2 + lam (sigma / alpha) mean sg[eps_hat - eps] x."""
    a = case.matrix
    levels = iter(zip(ddpm_grid(case, steps), noise[:steps], strict=True))

    def gradient(x: np.ndarray) -> np.ndarray:
        (abar, _), eps = next(levels)
        alpha, sigma = np.sqrt(abar), np.sqrt(1 - abar)
        x_t = alpha * x + sigma * eps
        eps_hat = -sigma * score(case, x_t, alpha, sigma)
        data = data_weight * (x @ a.T - case.y) @ a / len(case.y)
        return data + lam * sigma / alpha * (eps_hat - eps) / x.shape[1]

    start = np.broadcast_to(np.linalg.pinv(a) @ case.y, noise[0].shape)
    return adam(start, gradient, np.full((steps, 1), learning_rate * unit(case)))


def adam(
    x: np.ndarray,
    gradient: Callable[[np.ndarray], np.ndarray],
    rates: np.ndarray,
    *,
    up: bool = False,
    decay: float = 0.99,
) -> np.ndarray:
    """Kingma and Ba 2015, algorithm 1, with averages .9 and `decay` and epsilon 1e-8."""
    m, v = np.zeros_like(x), np.zeros_like(x)
    for i, rate in enumerate(rates, start=1):
        g = -gradient(x) if up else gradient(x)
        m, v = 0.9 * m + 0.1 * g, decay * v + (1 - decay) * g * g
        x = x - rate * (m / (1 - 0.9**i)) / (np.sqrt(v / (1 - decay**i)) + 1e-8)
    return x


def _travelled(
    rows: list[tuple[float, float]],
    travel: int,
    repeats: int,
    once: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> list[Update]:
    """Every `travel` rows are walked `repeats` times; the last D, diffused to the first level of them, comes between.

    once(x, z, abar, abar') is one step, and its D. One update for all the walks of a stretch.
    """

    def walks(stretch: list[tuple[float, float]]) -> Update:
        def update(x: np.ndarray, *draws: np.ndarray) -> np.ndarray:
            unused, x0 = iter(draws), x
            for again in range(repeats):
                if again:
                    x = np.sqrt(stretch[0][0]) * x0 + np.sqrt(1 - stretch[0][0]) * next(unused)
                for row in stretch:
                    x, x0 = once(x, next(unused), *row)
            return x

        return repeats * (len(stretch) + 1) - 1, update

    return [walks(rows[i : i + travel]) for i in range(0, len(rows), travel)]


def _given(case: Case, cov: np.ndarray, noise_std: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(centre, z) -> a draw of N(x; centre, cov) N(y; A x, noise_std^2 I), from its precision."""
    a, precision = case.matrix, np.linalg.inv(cov)
    conditional = np.linalg.inv(precision + a.T @ a / noise_std**2)
    root = np.linalg.cholesky((conditional + conditional.T) / 2)
    return lambda centre, z: (centre @ precision + case.y @ a / noise_std**2) @ conditional + z @ root.T


def _decoupled(sigmas: np.ndarray, inner: Callable[[float, int], Update]) -> list[Update]:
    """From N(0, sigma_0^2 I): the inner draw at each level but the last, then the noise of the next; 0 at the end."""

    def diffuse(sigma: float) -> Update:
        return 1, lambda x, z: x + sigma * z

    updates: list[Update] = [(0, lambda x: sigmas[0] * x)]
    for k, after in enumerate([*sigmas[1:-1], 0.0]):
        updates += [inner(sigmas[k], k), diffuse(after)]
    return updates


def _split_gibbs(case: Case, rhos: list[float], prior_steps: int, kernel: str) -> list[Update]:
    """From N(0, rho_0^2 I): z ~ N(z; x, rho^2 I) N(y; A z, noise_std^2 I), then x from z by reverse diffusion.

    Levels from rho to .002; Euler's method on dx = -2 sigma s dsigma + sqrt(2 sigma) dw, or on dx = -sigma s dsigma
    ('flow'), or draws of q(x' | x, x_0 = D) ('ancestral'); D at the end.
    """

    def draw(rho: float) -> Update:
        return 1, _given(case, rho**2 * np.eye(len(case.means[0])), case.noise_std)

    def step(sigma: float, to: float) -> Update:
        h = sigma - to

        def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
            x0 = denoised(case, x, 1.0, sigma)[0]
            s = (x0 - x) / sigma**2
            if to == 0:
                return x0
            if kernel == "sde":
                return x + 2 * sigma * h * s + np.sqrt(2 * sigma * h) * z
            if kernel == "flow":
                return x + sigma * h * s
            return x0 + to**2 / sigma**2 * (x - x0) + np.sqrt(to**2 * (sigma**2 - to**2) / sigma**2) * z

        return 1, update

    updates: list[Update] = [(0, lambda x: rhos[0] * x)]
    for rho in rhos:
        updates += [draw(rho), *(step(*pair) for pair in pairwise([*powered(rho, 0.002, prior_steps), 0.0]))]
    return updates


def _start(case: Case, schedule: str) -> list[Update]:
    """N(0, I), or of 've' N(0, sigma_max^2 I)."""
    return [(0, lambda x: ve_top(case) * x)] if schedule == "ve" else []


def _affine_step(
    case: Case,
    alpha: float,
    sigma: float,
    growth: float,
    gain: float,
    std: float,
    guidance: str = "none",
    **hyper: Any,
) -> Callable[..., np.ndarray]:
    """growth x + gain s + std z."""
    return lambda x, z: growth * x + gain * score(case, x, alpha, sigma, guidance, **hyper) + std * z


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
    case: Case, a: float, s: float, keep: float, rule: str, snr: float, guidance: str = "none", **hyper: Any
) -> Update:
    """A corrector step: epsilon = 2 keep (snr sigma)^2, or 2 keep (snr ||z|| / ||score||)^2, keep = 1 - beta or 1."""

    def update(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        gradient = score(case, x, a, s, guidance, **hyper)
        if rule == "ald":
            epsilon = 2 * keep * (snr * s) ** 2 * np.ones((len(x), 1))
        else:
            ratio = np.linalg.norm(z, axis=1) / np.linalg.norm(gradient, axis=1)
            epsilon = 2 * keep * (snr * ratio[:, None]) ** 2
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
