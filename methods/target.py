"""The densities that Markov chains, tempering and optimisation climb: a diffused prior times likelihood^power."""

from __future__ import annotations

from dataclasses import dataclass

from problems.arrays import Array
from problems.contract import Problem


@dataclass(frozen=True)
class Target:
    """p_sigma(x) p(y | x)^power, up to a constant: the posterior for sigma = 0 and power 1."""

    problem: Problem
    sigma: Array | float
    power: Array | float

    def gradient(self, x: Array) -> Array:
        """Of the log density, (n, *shape)."""
        return self.problem.prior.score(x, self.sigma) + self.power * self.problem.likelihood_score(x)

    def log_density(self, x: Array) -> Array:
        """(n,)."""
        return self.problem.prior.log_prob(x, self.sigma) + self.power * self.problem.log_likelihood(x)


def posterior(problem: Problem) -> Target:
    """Of the noise-free signal given y."""
    return Target(problem, 0.0, 1.0)


def softened(problem: Problem, sigma: Array, gamma: float) -> Target:
    """At noise level sigma, the variance of Gaussian noise raised by (gamma ||A|| sigma)^2.

    Jalal et al. 2021 (arXiv 2108.01368); not the diffused posterior.
    """
    variance = problem.noise.std**2
    return Target(problem, sigma, variance / (variance + (gamma * problem.operator.norm * sigma) ** 2))
