"""Planted fault: sigma instead of sigma^2 in Tweedie's formula."""

from itertools import pairwise

import torch

from methods import Samples, method


@method("std-in-tweedie", framework="torch", requires={"linear", "gaussian_noise"})
def std_in_tweedie(problem, key, *, n, steps=200):
    """Ancestral steps; the residual of the denoised state is sent back through the adjoint."""
    alpha, sigma, y = problem.schedule.alpha, problem.schedule.sigma, problem.y
    t = torch.linspace(1.0, 0.0, steps + 1)
    x = torch.randn((n, *problem.shape), generator=key)
    for now, then in pairwise(t):
        a, s, a_then, s_then = alpha(now), sigma(now), alpha(then), sigma(then)
        score = problem.prior.score(x / a, s / a) / a
        x0_hat = (x + s * score) / a  # the fault
        residual = y - problem.operator(x0_hat)
        guidance = problem.operator.adjoint(residual) / (problem.noise.std**2 + (s / a) ** 2) / a
        x0_hat = (x + s**2 * (score + guidance)) / a
        var = (s_then / s) ** 2 * (1 - (a / a_then) ** 2)
        x = a_then * x0_hat + (s_then**2 - var).clamp(min=0) ** 0.5 * (x - a * x0_hat) / s
        x = x + var**0.5 * torch.randn(x.shape, generator=key)
    return Samples(x, nfe=steps, vjp=0)
