"""Conditioning by the prior's first two moments alone: exact for Gaussian priors, the linear answer for others."""

from __future__ import annotations

from methods.conditioning import misfit, symmetric_root
from methods.registry import Samples, method
from problems.arrays import Array, Key, eye, namespace, normal, split
from problems.contract import Problem

_REQUIRES = {"linear", "gaussian_noise", "prior_cov"}


def kalman(problem: Problem, off: Array) -> Array:
    """C A^T (A C A^T + noise_std^2 I)^-1 off with the prior's covariance C, (n, *shape)."""
    operator, cov = problem.operator, problem.prior.cov()
    xp = namespace(off)
    seen = operator(xp.reshape(cov, (-1, *problem.shape)))  # C A^T, (d, m)
    gram = operator(xp.reshape(seen.T, (-1, *problem.shape))) + problem.noise.std**2 * eye(seen.shape[1], seen)
    return xp.reshape(xp.linalg.solve(gram, off.T).T @ seen.T, (-1, *problem.shape))


@method("conditional-gaussian", requires=_REQUIRES, max_dim=1024)
def conditional_gaussian(problem: Problem, key: Key, *, n: int) -> Samples:
    """The Gaussian with the prior's mean and covariance, given y."""
    first, second = split(key, 2)
    cov = problem.prior.cov()
    z = normal(first, (n, problem.dim), cov)
    x = problem.prior.mean[None] + namespace(cov).reshape(z @ symmetric_root(cov), (n, *problem.shape))
    return Samples(x + kalman(problem, misfit(problem, x, problem.noise.std, second)), nfe=0)


@method("perturb-and-optimise", requires=_REQUIRES | {"prior_sample"}, max_dim=4096)
def perturb_and_optimise(problem: Problem, key: Key, *, n: int) -> Samples:
    """A draw of the prior moved to perturbed data by the best linear update (Orieux et al. 2012, arXiv 1105.5887)."""
    first, second = split(key, 2)
    x = problem.prior.sample(first, n)
    return Samples(x + kalman(problem, misfit(problem, x, problem.noise.std, second)), nfe=0)
