"""Loss-guided diffusion by Monte Carlo (LGD-MC: Song et al. 2023, ICML), algorithm 1."""

from __future__ import annotations

from functools import partial

from methods.guidance import denoiser, r_squared, tweedie
from methods.integrators import Steps, advance, ancestral_steps
from methods.levels import ddpm_levels
from methods.registry import Count, Positive, Samples, method
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, logsumexp, namespace, normal, scan, split, vjp
from problems.contract import Problem


@method(
    "lgd-mc",
    requires={"likelihood", "differentiable"},
    presets={"calibrated": {"prior_std": None}},
)
def lgd_mc(
    problem: Problem, key: Key, *, n: int, steps: Count = 1000, draws: Count = 3, prior_std: Positive | None = 1.0
) -> Samples:
    """LGD-MC: the likelihood averaged over draws of x_0 around the denoised state, in ancestral steps.

    g = grad log mean_k p(y | x0_hat + r_t z_k), r_t as in PiGDM (`ancestral-pigdm`), whose guidance it becomes with
    many draws, linear measurements and Gaussian noise: the mean over x_0 ~ N(x0_hat, r_t^2 I) is then exact. With few,
    in many dimensions, the largest term is all, and the guidance is as stiff as the likelihood: it diverges where steps
    are few and the noise is low. The default number of draws is that of InverseBench (Zheng et al. 2025, ICLR).
    """
    first, second = split(key, 2)

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        x0_hat, pull = vjp(denoiser(problem, row.alpha, row.sigma), x)
        radius = r_squared(problem, row.alpha, row.sigma, prior_std) ** 0.5
        log_mean, back = vjp(partial(_log_mean, problem, radius, keys[:draws]), x0_hat)
        g = pull(back(namespace(x).ones_like(log_mean)))
        score = tweedie(x, x0_hat, row.alpha, row.sigma) + g
        return advance(row, x, score, normal(keys[draws], x.shape, x))

    tables = ancestral_steps(ddpm_levels(problem, steps))
    x = scan(step, start_normal(problem, first, n), tables, second, draws=draws + 1)
    return Samples(x, nfe=steps, vjp=steps)


def _log_mean(problem: Problem, radius: Array, keys: Keys, x0_hat: Array) -> Array:
    """log sum_k p(y | x0_hat + radius z_k), (n,)."""
    draws = [x0_hat + radius * normal(k, x0_hat.shape, x0_hat) for k in keys]
    return logsumexp(namespace(x0_hat).stack([problem.log_likelihood(x0) for x0 in draws], axis=1))
