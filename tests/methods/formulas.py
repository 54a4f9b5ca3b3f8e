"""Scores, guidances and time grids a second time: plain NumPy on explicit matrices, from the formulas of the papers.

States x are (n, d), x_t = alpha x_0 + sigma z.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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
    else:
        system = noise_var * np.eye(len(gram)) + np.einsum("ij,njk,lk->nil", a, cov, a)
        weighted = np.array([krylov(s, r, hyper["iterations"]) for s, r in zip(system, residual, strict=True)])
    jacobian = alpha / sigma**2 * cov
    return x0, np.einsum("nji,nj->ni", jacobian, weighted @ a)


def krylov(matrix: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """The element of span(b, M b, ..., M^(k-1) b) nearest to M^-1 b in the norm of M: k conjugate gradient steps."""
    basis = np.zeros((len(b), 0))
    vector = b
    for _ in range(min(k, len(b))):
        vector = vector - basis @ (basis.T @ vector)
        vector = vector - basis @ (basis.T @ vector)
        if np.linalg.norm(vector) <= 1e-12 * np.linalg.norm(b):
            break
        basis = np.column_stack([basis, vector / np.linalg.norm(vector)])
        vector = matrix @ basis[:, -1]
    return basis @ np.linalg.solve(basis.T @ matrix @ basis, basis.T @ b)


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


def karras_ratios(case: Case, steps: int) -> np.ndarray:
    """sigma / alpha = (a + i / (N - 1) (b - a))^7, from its value at t = 1 down to .002."""
    top, bottom = np.sqrt(np.expm1(integral(case, 1.0))) ** (1 / 7), 0.002 ** (1 / 7)
    return (top + np.arange(steps) / (steps - 1) * (bottom - top)) ** 7


def euler_grid(case: Case, steps: int, grid: str) -> list[tuple[float, float, float]]:
    """Rows alpha, sigma, beta(t) dt.

    'karras': t where sigma / alpha has the Karras values, dt to the next of them, the last one to 0. 'score-sde':
    t = linspace(1, 1e-3, N), dt = 1 / N.
    """
    low, high = case.beta
    if grid == "karras":
        b = np.log(1 + karras_ratios(case, steps) ** 2)
        t = (-low + np.sqrt(low**2 + 2 * (high - low) * b)) / (high - low)
        dt = t - np.append(t[1:], 0.0)
    else:
        t = np.linspace(1, 1e-3, steps)
        dt = np.full(steps, 1 / steps)
    return list(zip(*levels_at(case, t), (low + (high - low) * t) * dt, strict=True))


def discrete_grid(case: Case, steps: int) -> list[tuple[float, float, float]]:
    """Rows alpha, sigma at t = linspace(1, 1e-3, N), beta = linspace(beta_min, beta_max, N)[floor(t (N - 1))] / N."""
    t = np.linspace(1, 1e-3, steps)
    betas = np.linspace(case.beta[0], case.beta[1], steps) / steps
    return list(zip(*levels_at(case, t), betas[np.floor(t * (steps - 1)).astype(int)], strict=True))


def ddpm_grid(case: Case, steps: int) -> list[tuple[float, float]]:
    """Rows abar, abar of the level after it (1 at the end); every (1000 / steps)-th of 1000 levels, noisiest first."""
    abar = np.cumprod(1 - np.linspace(case.beta[0] / 1000, case.beta[1] / 1000, 1000))[:: 1000 // steps][::-1]
    return list(zip(abar, np.append(abar[1:], 1.0), strict=True))
