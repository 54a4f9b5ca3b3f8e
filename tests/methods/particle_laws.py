"""What the particle methods tend to as particles grow, for a Gaussian prior: the laws of their own discretised models.

Without a measurement they all are a chain x_T ~ N(0, I), x' = F x + b + N(0, Q). Each method sees it through Gaussian
observations of its own, so its limit is Gaussian and a Kalman filter gives it. Plain NumPy, from the formulas of the
papers.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import multivariate_normal, norm

from tests.methods.cases import Case
from tests.methods.formulas import ddpm_grid, denoised
from tests.methods.reference_samplers import Law, ancestral, ddim, propagated


def conditioned(law: Law, matrix: np.ndarray, y: np.ndarray, noise_cov: np.ndarray) -> tuple[Law, float]:
    """N(mean, cov) given y = matrix x + N(0, noise_cov), and log p(y)."""
    mean, cov = law
    innovation = matrix @ cov @ matrix.T + noise_cov
    gain = np.linalg.solve(innovation, matrix @ cov).T
    log_evidence = multivariate_normal(matrix @ mean, innovation).logpdf(y)
    return (mean + gain @ (y - matrix @ mean), cov - gain @ matrix @ cov), float(log_evidence)


def start(case: Case) -> Law:
    d = len(case.means[0])
    return np.zeros(d), np.eye(d)


def data(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, y and the covariance of the noise."""
    return case.matrix, case.y, case.noise_std**2 * np.eye(len(case.y))


def of_tds(case: Case, steps: int) -> tuple[Law, float]:
    """The law of the ancestral chain, conditioned on y; and log p(y) of it."""
    return conditioned(propagated(ancestral(case, steps=steps), *start(case)), *data(case))


def of_mcgdiff(case: Case, steps: int, kappa: float, *, twice: bool, eta: float = 1.0) -> Law:
    """The law of `seen_early`; twice: the last state is weighed by p(y | x_0) on top."""
    law, _ = seen_early(case, steps, kappa, eta)
    return conditioned(law, *data(case))[0] if twice else law


def seen_early(case: Case, steps: int, kappa: float, eta: float = 1.0) -> tuple[Law, float]:
    """The DDIM chain seen through x_j = alpha_tau y_j / s_j with variance kappa, every singular direction j at tau_j.

    tau_j is the level whose abar is closest to s_j^2 / (s_j^2 + noise_std^2). With the law of x_0 comes the log density
    of y: of the states that y stands for, and of its part that no signal reaches.
    """
    u, s, vt = np.linalg.svd(case.matrix)
    s, coordinates = s[s > 1e-12], u.T @ case.y
    abar = np.array([row[0] for row in ddpm_grid(case, steps)])
    tau = [int(np.argmin(np.abs(abar - one**2 / (one**2 + case.noise_std**2)))) for one in s]
    law, log_evidence = start(case), norm.logpdf(coordinates[len(s) :], scale=case.noise_std).sum()
    for level, update in enumerate(ddim(case, steps=steps, eta=eta)):
        for j, place in enumerate(tau):
            if place == level:
                scale = np.sqrt(abar[level]) / s[j]
                law, log_density = conditioned(
                    law, vt[j : j + 1], np.array([scale * coordinates[j]]), np.array([[kappa]])
                )
                log_evidence += log_density + np.log(scale)
        law = propagated([update], *law)
    return law, float(log_evidence)


def of_fps(case: Case, steps: int, c: float, *, shift: int = 0, one_path: bool = False) -> Law:
    """The filter of x_k given y_k, and the law of its mean over the paths of y; its covariance does not depend on them.

    y_T = A z; y' = alpha' y + sqrt(1 - c) (sigma' / sigma) (y_t - alpha y) + sqrt(c) sigma' A z; x' is
    N(alpha' E[x_0 | x] + sqrt(1 - c) sigma' eps, c sigma'^2 I), seen through y' = A x' + alpha' noise_std w.
    shift 1: seen through the y of the level before instead, with the same noise. one_path: that covariance alone.
    """
    a, d = case.matrix, len(case.means[0])
    mean, cov = start(case)  # of x, given the path of y
    root = np.zeros((d, d))  # how the filter's mean depends on the path's standard normal numbers
    path, spread = np.zeros(len(a)), a.copy()  # y: its mean and the same for it
    for abar, after in ddpm_grid(case, steps):
        alpha, sigma, alpha_next, sigma_next = abar**0.5, (1 - abar) ** 0.5, after**0.5, (1 - after) ** 0.5
        keep, before = (1 - c) ** 0.5 * sigma_next / sigma, (path, spread)
        path = alpha_next * case.y + keep * (path - alpha * case.y)
        spread = np.hstack([keep * spread, c**0.5 * sigma_next * a])
        root = np.hstack([root, np.zeros((d, d))])

        def move(x: np.ndarray, alpha=alpha, sigma=sigma, alpha_next=alpha_next, keep=keep) -> np.ndarray:
            x0 = denoised(case, x, alpha, sigma)[0]
            return alpha_next * x0 + keep * (x - alpha * x0)

        origin = move(np.zeros((1, d)))[0]
        f = (move(np.eye(d)) - origin).T
        mean, root = f @ mean + origin, f @ root
        cov = f @ cov @ f.T + c * sigma_next**2 * np.eye(d)
        seen, seen_spread = (path, spread) if shift == 0 else (before[0], np.hstack([before[1], 0 * a]))
        innovation = a @ cov @ a.T + (alpha_next * case.noise_std) ** 2 * np.eye(len(a))
        gain = np.linalg.solve(innovation, a @ cov).T
        mean, root = mean + gain @ (seen - a @ mean), root + gain @ (seen_spread - a @ root)
        cov = cov - gain @ a @ cov
    return mean, cov + (0 if one_path else root @ root.T)
