"""Conditioning by the prior's first two moments alone: exact for Gaussian priors, the linear answer for others."""

from __future__ import annotations

from methods.registry import Samples, method
from problems.arrays import Array, Key, eye, namespace, normal, split
from problems.contract import Problem

_REQUIRES = {"linear", "gaussian_noise", "prior_cov"}


def kalman(problem: Problem, misfit: Array) -> Array:
    """C A^T (A C A^T + noise_std^2 I)^-1 misfit with the prior's covariance C, (n, *shape)."""
    operator, cov = problem.operator, problem.prior.cov()
    xp = namespace(misfit)
    seen = operator(xp.reshape(cov, (-1, *problem.shape)))  # C A^T, (d, m)
    gram = operator(xp.reshape(seen.T, (-1, *problem.shape))) + problem.noise.std**2 * eye(seen.shape[1], seen)
    return xp.reshape(xp.linalg.solve(gram, misfit.T).T @ seen.T, (-1, *problem.shape))


@method("conditional-gaussian", requires=_REQUIRES, max_dim=1024)
def conditional_gaussian(problem: Problem, key: Key, *, n: int) -> Samples:
    """The Gaussian with the prior's mean and covariance, given y."""
    first, second = split(key, 2)
    cov = problem.prior.cov()
    xp = namespace(cov)
    eigenvalues, vectors = xp.linalg.eigh(cov)
    z = normal(first, (n, problem.dim), cov)
    root = (vectors * xp.maximum(eigenvalues, xp.zeros_like(eigenvalues))[None, :] ** 0.5) @ vectors.T
    x = problem.prior.mean[None] + xp.reshape(z @ root, (n, *problem.shape))
    return Samples(x + kalman(problem, _misfit(problem, x, second)), nfe=0)


@method("perturb-and-optimise", requires=_REQUIRES | {"prior_sample"}, max_dim=4096)
def perturb_and_optimise(problem: Problem, key: Key, *, n: int) -> Samples:
    """A draw of the prior moved to perturbed data by the best linear update (Orieux et al. 2012, arXiv 1105.5887)."""
    first, second = split(key, 2)
    x = problem.prior.sample(first, n)
    return Samples(x + kalman(problem, _misfit(problem, x, second)), nfe=0)


def _misfit(problem: Problem, x: Array, key: Key) -> Array:
    """Perturbed data minus those of x, (n, m)."""
    noise = problem.noise.std * normal(key, (x.shape[0], problem.y.shape[0]), x)
    return problem.y[None, :] + noise - problem.operator(x)
