"""How the measurement enters a reverse-time sampler: estimates of the score of p(y | x_t).

Every guidance is `(problem, x, alpha, sigma, **hyper) -> (x0_hat, g)` for x = alpha x_0 + sigma z, (n, *shape): the
denoised x0_hat = E[x_0 | x_t] and g, an estimate of the gradient of log p(y | x_t) with respect to x. The guided score
is (alpha x0_hat - x) / sigma^2 + g. J denotes the Jacobian of x0_hat with respect to x; J^T is a vjp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from methods.levels import unit
from methods.registry import Count, Positive, keywords
from problems.arrays import Array, namespace, vjp
from problems.contract import Problem
from problems.krylov import conjugate_gradient, gmres

Guidance = Callable[..., tuple[Array, Array]]


def denoiser(problem: Problem, alpha: Array, sigma: Array) -> Callable[[Array], Array]:
    """x_t -> E[x_0 | x_t]: the prior's denoiser in the scaling of the schedule."""
    return lambda x: problem.prior.denoise(x / alpha, sigma / alpha)


def tweedie(x: Array, x0_hat: Array, alpha: Array, sigma: Array) -> Array:
    """The score of x = alpha x_0 + sigma z whose denoised state is x0_hat."""
    return (alpha * x0_hat - x) / sigma**2


def guided_score(guide: Guidance, problem: Problem, x: Array, alpha: Array, sigma: Array) -> Array:
    """The estimate of the gradient of log p_t(x | y), (n, *shape)."""
    x0_hat, g = guide(problem, x, alpha, sigma)
    return tweedie(x, x0_hat, alpha, sigma) + g


def none(problem: Problem, x: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """No guidance: samples the prior. g = 0."""
    return denoiser(problem, alpha, sigma)(x), 0.0 * x


def jalal(problem: Problem, x: Array, alpha: Array, sigma: Array, *, gamma: Positive = 1.0) -> tuple[Array, Array]:
    """Jalal et al. 2021 (arXiv 2108.01368): the likelihood of the noisy state itself, with extra variance.

    g = A^T (y - A x / alpha) / (alpha (noise_std^2 + gamma_t^2)), gamma_t = gamma ||A|| sigma / alpha, A^T the adjoint
    of the derivative where A is not linear. Published for annealed Langevin; in a reverse SDE, as here, it is biased
    even for a Gaussian prior.
    """
    residual = problem.y[None, :] - problem.operator(x / alpha)
    pulled = problem.operator.pull(x / alpha, residual)
    variance = problem.noise.std**2 + (gamma * problem.operator.norm * sigma / alpha) ** 2
    return denoiser(problem, alpha, sigma)(x), pulled / (alpha * variance)


def dps(problem: Problem, x: Array, alpha: Array, sigma: Array, *, scale: Positive = 1.0) -> tuple[Array, Array]:
    """Chung et al. 2023 (arXiv 2209.14687), eq. 16: g = scale J^T times the gradient of log p(y | x_0) at x0_hat.

    For Gaussian noise scale J^T A^T (y - A x0_hat) / noise_std^2. The uncertainty of x_0 given x_t is ignored.
    """
    x0_hat, pull = vjp(denoiser(problem, alpha, sigma), x)
    return x0_hat, pull(scale * problem.likelihood_score(x0_hat))


def pigdm(
    problem: Problem, x: Array, alpha: Array, sigma: Array, *, prior_std: Positive | None = 1.0
) -> tuple[Array, Array]:
    """Song et al. 2023 (Pseudoinverse-guided diffusion, ICLR), as a score: Cov[x_0 | x_t] is taken to be r_t^2 I.

    g = J^T A^T (r_t^2 A A^T + noise_std^2 I)^-1 (y - A x0_hat), r_t^2 = v prior_std^2 / (v + prior_std^2) with
    v = sigma^2 / alpha^2. Exact for a prior N(m, prior_std^2 I) alone. prior_std = 1 is published, for images; None is
    the mean standard deviation of an entry of x.
    """
    x0_hat, pull = vjp(denoiser(problem, alpha, sigma), x)
    residual = problem.y[None, :] - problem.operator(x0_hat)
    variance = r_squared(problem, alpha, sigma, prior_std)
    return x0_hat, pull(problem.operator.damped_inverse(residual, variance, problem.noise.std**2))


def r_squared(problem: Problem, alpha: Array, sigma: Array, prior_std: float | None) -> Array:
    """v prior_std^2 / (v + prior_std^2), v = sigma^2 / alpha^2: Var[x_0 | x_t] for x_0 ~ N(0, prior_std^2).

    prior_std = 1 gives the published 1 - alpha^2 of a variance-preserving schedule; None is that of the problem.
    """
    v, width = (sigma / alpha) ** 2, unit(problem) if prior_std is None else prior_std
    return v * width**2 / (v + width**2)


def log_marginal(
    problem: Problem, x: Array, variance: Array, *, y: Array | None = None, noise_std: Array | None = None
) -> Array:
    """log N(y; A x, noise_std^2 I + variance A A^T), (n,): the likelihood of a state known to within `variance`.

    y: (n, m), for rows with measurements of their own; noise_std: if it is not the problem's.
    """
    operator = problem.operator
    noise_variance = (problem.noise.std if noise_std is None else noise_std) ** 2
    residual = (problem.y[None, :] if y is None else y) - operator(x)
    squared = namespace(residual).sum(residual * operator.gram_solve(residual, variance, noise_variance), axis=-1)
    log_det = operator.gram_log_det(variance, noise_variance) + residual.shape[1] * math.log(2 * math.pi)
    return -0.5 * (squared + log_det)


def tmpd(problem: Problem, x: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """Boys et al. 2023 (Tweedie moment projected diffusions, arXiv 2310.06721), with the covariance by its row sums.

    g = J^T A^T (noise_std^2 + v)^-1 (y - A x0_hat), v = A Cov[x_0 | x_t] A^T 1 in place of the matrix. For
    a Gaussian prior exact if there is one measurement or A Cov A^T is diagonal. Negative sums, which a network or
    correlations give, count as zero.
    """
    x0_hat, pull = vjp(denoiser(problem, alpha, sigma), x)
    operator, xp = problem.operator, namespace(x)
    residual = problem.y[None, :] - operator(x0_hat)
    sums = sigma**2 / alpha * operator(pull(operator.adjoint(xp.ones_like(residual))))
    variance = problem.noise.std**2 + xp.maximum(sums, xp.zeros_like(sums))
    return x0_hat, pull(operator.adjoint(residual / variance))


def mmps(
    problem: Problem,
    x: Array,
    alpha: Array,
    sigma: Array,
    *,
    iterations: Count = 3,
    solver: Literal["cg", "gmres"] = "cg",
) -> tuple[Array, Array]:
    """Rozet et al. 2024 (moment matching posterior sampling, arXiv 2405.13712), eq. 13 and algorithm 3.

    g = J^T A^T (noise_std^2 I + A Cov[x_0 | x_t] A^T)^-1 (y - A x0_hat), Cov[x_0 | x_t] = (sigma^2 / alpha) J; the
    system is solved by `iterations` steps of conjugate gradients, one vjp each, or of GMRES, which does not need J to
    be symmetric, as that of a network is not; 1 is published, 3 is ours. Exact for Gaussian priors once the iterations
    reach the number of measurements (the rank of A does not suffice when y has more entries than that).
    """
    x0_hat, pull = vjp(denoiser(problem, alpha, sigma), x)
    operator = problem.operator

    def covariance(v: Array) -> Array:
        return problem.noise.std**2 * v + sigma**2 / alpha * operator(pull(operator.adjoint(v)))

    solve = conjugate_gradient if solver == "cg" else gmres
    weighted = solve(covariance, problem.y[None, :] - operator(x0_hat), iterations)
    return x0_hat, pull(operator.adjoint(weighted))


GUIDANCES: dict[str, Guidance] = {"none": none, "jalal": jalal, "dps": dps, "pigdm": pigdm, "tmpd": tmpd, "mmps": mmps}
_LINEAR = frozenset({"linear", "gaussian_noise", "differentiable"})
NEEDS: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "jalal": frozenset({"gaussian_noise"}),
    "dps": frozenset({"likelihood", "differentiable"}),
    "pigdm": _LINEAR | {"svd"},
    "tmpd": _LINEAR,
    "mmps": _LINEAR,
}
"""What each requires of a problem, see `methods.registry.REQUIREMENTS`."""


def backward_passes(guide: Guidance) -> int:
    """Passes through the denoiser's Jacobian in one evaluation of a guidance, for loops whose length nobody knows."""
    hyper: dict[str, Any] = getattr(guide, "keywords", {})
    base = getattr(guide, "func", guide)
    if base is mmps:
        return 1 + int(hyper.get("iterations", keywords(mmps)[0]["iterations"]))
    return {none: 0, jalal: 0, dps: 1, pigdm: 1, tmpd: 2}[base]
