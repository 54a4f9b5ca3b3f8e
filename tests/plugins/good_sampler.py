"""Diffusion posterior sampling in 30 lines: copy this file, change what you like, check it, run it."""

from itertools import pairwise

import torch

from methods import Samples, method


@method("my-sampler", requires={"linear", "gaussian_noise", "differentiable"}, framework="torch")
def my_sampler(problem, key, *, n, steps=200, scale=1.0):
    """Ancestral steps from t = 1 to 0; the denoised state follows the gradient of log N(y; A x0_hat, noise_std^2)."""
    alpha, sigma, y = problem.schedule.alpha, problem.schedule.sigma, problem.y
    like = {"generator": key, "dtype": y.dtype, "device": y.device}
    t = torch.linspace(1.0, 0.0, steps + 1, dtype=y.dtype, device=y.device)
    x = torch.randn((n, *problem.shape), **like)  # x_T ~ N(0, I)
    for now, then in pairwise(t):
        a, s, a_then, s_then = alpha(now), sigma(now), alpha(then), sigma(then)
        x.requires_grad_(True)
        x0_hat = problem.prior.denoise(x / a, s / a)  # E[x_0 | x_t], for x_t = a x_0 + s z
        residual = y - problem.operator(x0_hat)  # (n, m)
        log_likelihood = -(residual**2).sum() / (2 * problem.noise.std**2)  # a sum: row i has its own gradient
        (guidance,) = torch.autograd.grad(log_likelihood, x)
        x0_hat = (x0_hat + scale * s**2 / a * guidance).detach()  # Tweedie's formula with the guided score
        var = (s_then / s) ** 2 * (1 - (a / a_then) ** 2)  # of q(x_then | x_t, x_0)
        z_hat = (x.detach() - a * x0_hat) / s
        x = a_then * x0_hat + (s_then**2 - var).clamp(min=0) ** 0.5 * z_hat
        x = x + var**0.5 * torch.randn(x.shape, **like)
    return Samples(x, nfe=steps, vjp=steps)
