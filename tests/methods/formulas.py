"""Scores, guidances and time grids a second time: plain NumPy on explicit matrices, from the formulas of the papers.

States x are (n, d), x_t = alpha x_0 + sigma z.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import brentq

from tests.methods.cases import Case


def denoised(case: Case, x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """E[x_0 | x_t] (n, d) and Cov[x_0 | x_t] (n, d, d) for x_t = alpha x_0 + sigma z."""
    logs, centres, spreads = [], [], []
    for weight, m, c in zip(case.weights, case.means, case.covs, strict=True):
        p = alpha**2 * c + sigma**2 * np.eye(len(m))
        off = x - alpha * m
        quadratic = (off * np.linalg.solve(p, off.T).T).sum(axis=1)
        logs.append(np.log(weight) - 0.5 * quadratic - 0.5 * np.linalg.slogdet(p)[1])
        gain = alpha * np.linalg.solve(p, c).T
        centres.append(m + off @ gain.T)
        spreads.append(c - alpha * gain @ c)
    r = np.exp(np.array(logs) - np.max(logs, axis=0))
    r /= r.sum(axis=0)
    centre = np.einsum("kn,kni->ni", r, centres)
    second = np.einsum("kn,kij->nij", r, spreads) + np.einsum("kn,kni,knj->nij", r, centres, centres)
    return centre, second - np.einsum("ni,nj->nij", centre, centre)


def likelihood_score(
    case: Case, x: np.ndarray, alpha: float, sigma: float, guidance: str, **hyper: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The denoised state and the estimate g of the gradient of log p(y | x_t)."""
    a, noise_var = case.matrix, case.noise_std**2
    x0, cov = denoised(case, x, alpha, sigma)
    if guidance == "none":
        return x0, np.zeros_like(x)
    if guidance == "jalal":
        extra = (hyper.get("gamma", 1.0) * np.linalg.norm(a, 2) * sigma / alpha) ** 2
        return x0, (case.y - x @ a.T / alpha) @ a / (noise_var + extra) / alpha
    residual = case.y - x0 @ a.T
    gram = a @ a.T
    if guidance == "dps":
        weighted = hyper.get("scale", 1.0) * residual / noise_var
    elif guidance == "pigdm":
        tau, ratio = hyper.get("prior_std", 1.0) ** 2, (sigma / alpha) ** 2
        weighted = np.linalg.solve(tau * ratio / (tau + ratio) * gram + noise_var * np.eye(len(gram)), residual.T).T
    elif guidance == "tmpd":
        row_sums = np.einsum("ij,njk,lk->nil", a, cov, a).sum(axis=2)
        weighted = residual / (noise_var + np.maximum(row_sums, 0.0))
    else:
        system = noise_var * np.eye(len(gram)) + np.einsum("ij,njk,lk->nil", a, cov, a)
        solve = krylov if hyper.get("solver", "cg") == "cg" else least_residual
        weighted = np.array([solve(s, r, hyper["iterations"]) for s, r in zip(system, residual, strict=True)])
    jacobian = alpha / sigma**2 * cov
    return x0, np.einsum("nji,nj->ni", jacobian, weighted @ a)


def krylov(matrix: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """The element of span(b, M b, ..., M^(k-1) b) nearest to M^-1 b in the norm of M: k conjugate gradient steps."""
    basis = _krylov_space(matrix, b, k)
    return basis @ np.linalg.solve(basis.T @ matrix @ basis, basis.T @ b)


def least_residual(matrix: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """The element x of the same space with the least ||M x - b||: k steps of GMRES."""
    basis = _krylov_space(matrix, b, k)
    return basis @ np.linalg.lstsq(matrix @ basis, b, rcond=None)[0]


def _krylov_space(matrix: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    basis = np.zeros((len(b), 0))
    vector = b
    for _ in range(min(k, len(b))):
        vector = vector - basis @ (basis.T @ vector)
        vector = vector - basis @ (basis.T @ vector)
        if np.linalg.norm(vector) <= 1e-12 * np.linalg.norm(b):
            break
        basis = np.column_stack([basis, vector / np.linalg.norm(vector)])
        vector = matrix @ basis[:, -1]
    return basis


def score(case: Case, x: np.ndarray, alpha: float, sigma: float, guidance: str = "none", **hyper: Any) -> np.ndarray:
    """The guided score at x_t = alpha x_0 + sigma z."""
    x0, g = likelihood_score(case, x, alpha, sigma, guidance, **hyper)
    return (alpha * x0 - x) / sigma**2 + g


def integral(case: Case, t: float | np.ndarray) -> np.ndarray:
    """B(t) = beta_min t + (beta_max - beta_min) t^2 / 2."""
    low, high = case.beta
    return np.asarray(low * t + (high - low) * t**2 / 2)


def levels_at(case: Case, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alpha = exp(-B / 2), sigma = sqrt(1 - exp(-B))."""
    return np.exp(-integral(case, t) / 2), np.sqrt(-np.expm1(-integral(case, t)))


def sde_at(case: Case, t: float | np.ndarray, schedule: str = "vp") -> tuple[np.ndarray, ...]:
    """alpha, sigma, f, g^2 of dx = f x dt + g dw, started at x_0.

    'subvp': sigma = 1 - exp(-B), g^2 = beta (1 - exp(-2 B)). 've': sigma^2 = .01^2 (r^(2 t) - 1), r = top / .01.
    """
    t = np.asarray(t)
    low, high = case.beta
    b, beta = integral(case, t), low + (high - low) * t
    if schedule == "ve":
        growth = (ve_top(case) / 0.01) ** (2 * t)
        g_squared = 0.01**2 * growth * 2 * np.log(ve_top(case) / 0.01)
        return np.ones_like(t), 0.01 * np.sqrt(growth - 1), np.zeros_like(t), g_squared
    if schedule == "subvp":
        return np.exp(-b / 2), -np.expm1(-b), -beta / 2, -beta * np.expm1(-2 * b)
    return np.exp(-b / 2), np.sqrt(-np.expm1(-b)), -beta / 2, beta


def ve_top(case: Case) -> float:
    """The largest distance between two means plus twice the largest root of a trace."""
    apart = max(np.linalg.norm(m - other) for m in case.means for other in case.means)
    return float(apart + 2 * max(np.trace(c) for c in case.covs) ** 0.5)


def karras_ratios(case: Case, steps: int, schedule: str = "vp") -> np.ndarray:
    """sigma / alpha = (a + i / (N - 1) (b - a))^7, from its value at t = 1 down to .002."""
    alpha, sigma = sde_at(case, 1.0, schedule)[:2]
    return powered(float(sigma / alpha), 0.002, steps)


def powered(top: float, bottom: float, count: int) -> np.ndarray:
    """Levels from top to bottom, their seventh roots equally spaced."""
    return (top ** (1 / 7) + np.arange(count) / (count - 1) * (bottom ** (1 / 7) - top ** (1 / 7))) ** 7


def euler_grid(case: Case, steps: int, grid: str, schedule: str = "vp") -> list[tuple[float, ...]]:
    """Rows alpha, sigma, f dt, g^2 dt.

    'karras': t where sigma / alpha has the Karras values, dt to the next of them, the last one to 0. 'score-sde':
    t = linspace(1, end, N), dt = 1 / N, end = 1e-3, or 1e-5 of 've'.
    """

    def time(ratio: float) -> float:
        def excess(t: float) -> float:
            alpha, sigma = sde_at(case, t, schedule)[:2]
            return float(sigma / alpha - ratio)

        return brentq(excess, 0.0, 1.0 + 1e-9, xtol=1e-18, rtol=1e-15)

    if grid == "karras":
        t = np.array([time(ratio) for ratio in karras_ratios(case, steps, schedule)])
        dt = t - np.append(t[1:], 0.0)
    else:
        t = np.linspace(1, 1e-5 if schedule == "ve" else 1e-3, steps)
        dt = np.full(steps, 1 / steps)
    alpha, sigma, f, g_squared = sde_at(case, t, schedule)
    return list(zip(alpha, sigma, f * dt, g_squared * dt, strict=True))


def discrete_grid(case: Case, steps: int, grid: str = "score-sde", schedule: str = "vp") -> list[tuple[float, ...]]:
    """Rows alpha, sigma, beta, 1 - beta: what a forward step adds to the variance and keeps of it.

    'score-sde': t = linspace(1, 1e-3, N), beta = linspace(beta_min, beta_max, N)[floor(t (N - 1))] / N. 'ddpm': see
    `ddpm_grid`. On the schedule 've' a step keeps all, and sigma is geometric down to .01, then 0.
    """
    if schedule == "ve":
        sigmas = np.geomspace(ve_top(case), 0.01, steps)
        beta = sigmas**2 - np.append(sigmas[1:], 0.0) ** 2
        return list(zip(np.ones(steps), sigmas, beta, np.ones(steps), strict=True))
    if grid == "ddpm":
        rows = ddpm_grid(case, steps)
        return [(np.sqrt(abar), np.sqrt(1 - abar), 1 - abar / after, abar / after) for abar, after in rows]
    t = np.linspace(1, 1e-3, steps)
    betas = np.linspace(case.beta[0], case.beta[1], steps) / steps
    beta = betas[np.floor(t * (steps - 1)).astype(int)]
    return list(zip(*levels_at(case, t), beta, 1 - beta, strict=True))


def ddpm_grid(case: Case, steps: int) -> list[tuple[float, float]]:
    """Rows abar, abar of the level after it (1 at the end); every (1000 / steps)-th of 1000 levels, noisiest first."""
    abar = abars(case)[:: 1000 // steps][::-1]
    return list(zip(abar, np.append(abar[1:], 1.0), strict=True))


def abars(case: Case) -> np.ndarray:
    """prod (1 - beta_i) of the 1000 levels, beta_i linear."""
    return np.cumprod(1 - np.linspace(case.beta[0] / 1000, case.beta[1] / 1000, 1000))


def posterior(case: Case) -> Case:
    """The exact posterior of a Gaussian case, in information form, as the prior of a case."""
    precision = np.linalg.inv(case.covs[0]) + case.matrix.T @ case.matrix / case.noise_std**2
    cov = np.linalg.inv(precision)
    mean = cov @ (np.linalg.solve(case.covs[0], case.means[0]) + case.matrix.T @ case.y / case.noise_std**2)
    return replace(case, means=mean[None], covs=cov[None])


def spectral(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V^T (d, d), the singular values and U^T y of A = U S V^T, (d,) with zeros where nothing is measured."""
    u, s, vt = np.linalg.svd(case.matrix)
    values, seen = np.zeros(len(vt)), np.zeros(len(vt))
    values[: len(s)], seen[: len(s)] = s, (u.T @ case.y)[: len(s)]
    return vt, values, seen
