"""How the measurement enters a reverse-time sampler: estimates of the score of p(y | x_t).

Every guidance is `(problem, x, alpha, sigma, **hyper) -> (x0_hat, g)` for x = alpha x_0 + sigma z, (n, *shape): the
denoised x0_hat = E[x_0 | x_t] and g, an estimate of the gradient of log p(y | x_t) with respect to x. The guided score
is (alpha x0_hat - x) / sigma^2 + g. J denotes the Jacobian of x0_hat with respect to x; J^T is a vjp.
"""

from __future__ import annotations

from collections.abc import Callable

from methods.conjugate_gradient import conjugate_gradient
from methods.registry import Count, Positive
from problems.arrays import Array, vjp
from problems.contract import Problem

Guidance = Callable[..., tuple[Array, Array]]


def denoiser(problem: Problem, alpha: Array, sigma: Array) -> Callable[[Array], Array]:
    """x_t -> E[x_0 | x_t]: the prior's denoiser in the scaling of the schedule."""
    return lambda x: problem.prior.denoise(x / alpha, sigma / alpha)


def guided_score(guide: Guidance, problem: Problem, x: Array, alpha: Array, sigma: Array) -> Array:
    """The estimate of the gradient of log p_t(x | y), (n, *shape)."""
    x0_hat, g = guide(problem, x, alpha, sigma)
    return (alpha * x0_hat - x) / sigma**2 + g


def none(problem: Problem, x: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """No guidance: samples the prior. g = 0."""
    return denoiser(problem, alpha, sigma)(x), 0.0 * x


def jalal(problem: Problem, x: Array, alpha: Array, sigma: Array, *, gamma: Positive = 1.0) -> tuple[Array, Array]:
    """Jalal et al. 2021 (arXiv 2108.01368): the likelihood of the noisy state itself, with extra variance.

    g = A^T (y - A x / alpha) / (alpha (noise_std^2 + gamma_t^2)), gamma_t = gamma ||A|| sigma / alpha. Published for
    annealed Langevin; in a reverse SDE, as here, it is biased even for a Gaussian prior.
    """
    residual = problem.y[None, :] - problem.operator(x / alpha)
    variance = problem.noise.std**2 + (gamma * problem.operator.norm * sigma / alpha) ** 2
    return denoiser(problem, alpha, sigma)(x), problem.operator.adjoint(residual) / (alpha * variance)


def dps(problem: Problem, x: Array, alpha: Array, sigma: Array, *, scale: Positive = 1.0) -> tuple[Array, Array]:
    """Chung et al. 2023 (arXiv 2209.14687), eq. 16 with the likelihood's weight: g = scale J^T A^T r / noise_std^2.

    r = y - A x0_hat: the gradient of -||r||^2 / (2 noise_std^2). The uncertainty of x_0 given x_t is ignored.
    """
    x0_hat, pull = vjp(denoiser(problem, alpha, sigma), x)
    residual = problem.y[None, :] - problem.operator(x0_hat)
    return x0_hat, pull(scale * problem.operator.adjoint(residual) / problem.noise.std**2)


def pigdm(problem: Problem, x: Array, alpha: Array, sigma: Array, *, prior_std: Positive = 1.0) -> tuple[Array, Array]:
    """Song et al. 2023 (Pseudoinverse-guided diffusion, ICLR), as a score: Cov[x_0 | x_t] is taken to be r_t^2 I.

    g = J^T A^T (r_t^2 A A^T + noise_std^2 I)^-1 (y - A x0_hat), r_t^2 = v prior_std^2 / (v + prior_std^2) with
    v = sigma^2 / alpha^2; prior_std = 1 gives the published 1 - alpha^2 of a variance-preserving schedule.
    """
    x0_hat, pull = vjp(denoiser(problem, alpha, sigma), x)
    residual = problem.y[None, :] - problem.operator(x0_hat)
    v = (sigma / alpha) ** 2
    r_squared = v * prior_std**2 / (v + prior_std**2)
    weighted = problem.operator.gram_solve(residual, r_squared, problem.noise.std**2)
    return x0_hat, pull(problem.operator.adjoint(weighted))


def mmps(problem: Problem, x: Array, alpha: Array, sigma: Array, *, iterations: Count = 3) -> tuple[Array, Array]:
    """Rozet et al. 2024 (moment matching posterior sampling, arXiv 2405.13712), eq. 13 and algorithm 3.

    g = J^T A^T (noise_std^2 I + A Cov[x_0 | x_t] A^T)^-1 (y - A x0_hat), Cov[x_0 | x_t] = (sigma^2 / alpha) J; the
    system is solved by `iterations` steps of conjugate gradients, one vjp each. Exact for Gaussian priors once the
    iterations reach the number of measurements (the rank of A does not suffice when y has more entries than that).
    """
    x0_hat, pull = vjp(denoiser(problem, alpha, sigma), x)
    operator = problem.operator

    def covariance(v: Array) -> Array:
        return problem.noise.std**2 * v + sigma**2 / alpha * operator(pull(operator.adjoint(v)))

    weighted = conjugate_gradient(covariance, problem.y[None, :] - operator(x0_hat), iterations)
    return x0_hat, pull(operator.adjoint(weighted))


GUIDANCES: dict[str, Guidance] = {"none": none, "jalal": jalal, "dps": dps, "pigdm": pigdm, "mmps": mmps}
