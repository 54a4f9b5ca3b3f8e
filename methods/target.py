"""The densities that Markov chains, tempering and optimisation climb: a diffused prior times a Gaussian likelihood."""

from __future__ import annotations

from dataclasses import dataclass

from problems.arrays import Array, namespace
from problems.contract import Problem


@dataclass(frozen=True)
class Target:
    """p_sigma(x) N(y; A x, variance I), up to a constant: the posterior for sigma = 0 and variance noise_std^2."""

    problem: Problem
    sigma: Array | float
    variance: Array

    def gradient(self, x: Array) -> Array:
        """Of the log density, (n, *shape)."""
        operator = self.problem.operator
        pull = operator.adjoint(self.problem.y[None, :] - operator(x))
        return self.problem.prior.score(x, self.sigma) + pull / self.variance

    def log_density(self, x: Array) -> Array:
        """(n,)."""
        residual = self.problem.y[None, :] - self.problem.operator(x)
        misfit = namespace(x).sum(residual**2, axis=-1) / self.variance
        return self.problem.prior.log_prob(x, self.sigma) - 0.5 * misfit


def posterior(problem: Problem) -> Target:
    """Of the noise-free signal given y."""
    return Target(problem, 0.0, problem.noise.std**2)


def softened(problem: Problem, sigma: Array, gamma: float) -> Target:
    """At noise level sigma, the variance of the measurement raised by (gamma ||A|| sigma)^2.

    Jalal et al. 2021 (arXiv 2108.01368); not the diffused posterior.
    """
    return Target(problem, sigma, problem.noise.std**2 + (gamma * problem.operator.norm * sigma) ** 2)
