"""Split Gibbs samplers: the data and the prior take turns, coupled by |x - z|^2 / (2 rho^2).

The joint p(x) exp(-|x - z|^2 / (2 rho^2)) p(y | z) has as x-marginal the posterior for noise of covariance
noise_std^2 I + rho^2 A A^T (Vono, Dobigeon and Chainais 2019, arXiv 1804.05809): too wide for any rho > 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from methods.conditioning import near
from methods.levels import SIGMA_MIN, powered, refuse_rising, unit
from methods.registry import Count, Inside, Positive, Samples, method
from problems.arrays import Array, Key, Keys, linspace, namespace, normal, scan, split
from problems.contract import Problem

_REQUIRES = {"linear", "svd", "gaussian_noise"}
Kernel = Literal["sde", "ancestral", "flow"]


class Coupling(NamedTuple):
    """One iteration: the standard deviation rho that couples x and z."""

    rho: Array


@method(
    "pnp-dm",
    requires=_REQUIRES,
    presets={"fine": {"rho_min": 0.1}, "flow": {"kernel": "flow"}, "flow-fine": {"kernel": "flow", "rho_min": 0.1}},
    own_steps=True,
)
def pnp_dm(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 5000,
    prior_steps: Count = 50,
    rho_max: Positive = 10.0,
    rho_min: Positive = 0.3,
    decay: Inside = 0.9,
    kernel: Literal["sde", "flow"] = "sde",
) -> Samples:
    """PnP-DM: exact draws given the data, and reverse diffusion from level rho given the prior.

    Wu et al. 2024 (arXiv 2405.18782), algorithm 1: rho_k = max(rho_max decay^k, rho_min); every sample is the end of a
    chain of its own, where the paper keeps 20 states of one, and rho is in units of the prior's standard deviation.
    kernel 'flow' is the released default, the probability-flow ODE in place of the SDE: no Gibbs step, not the law
    of x given z. steps are denoiser evaluations, prior_steps of them for each iteration, on levels from rho_k to .002;
    the paper takes those below rho_k out of a hundred. With many of these, and iterations enough for rho to reach
    rho_min and for the chain to mix, the law is the posterior for a noise that is wider by rho_min^2 A A^T.
    """
    prior_steps = min(prior_steps, steps)
    iterations = steps // prior_steps
    index = linspace(0.0, iterations - 1.0, iterations, problem.y)
    xp = namespace(index)
    rho = xp.maximum(rho_max * decay**index, rho_min * xp.ones_like(index))
    x = _gibbs(problem, key, n, Coupling(unit(problem) * rho), prior_steps, kernel)
    return Samples(x, nfe=iterations * prior_steps)


@method("dpnp", requires=_REQUIRES, own_steps=True)
def dpnp(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 2000,
    prior_steps: Count = 50,
    rho_max: Positive = 1.0,
    rho_min: Positive = 0.1,
) -> Samples:
    """DPnP: split Gibbs whose prior step is ancestral sampling from level rho.

    Xu and Chi 2024 (arXiv 2403.17042), algorithms 1 and 3 (DDS-DDPM): rho is rho_max for a fifth of the iterations,
    then falls geometrically to rho_min, in units of the prior's standard deviation. steps are denoiser evaluations,
    prior_steps of them for each iteration. With many of these, and iterations enough at rho_min for the chain to mix,
    of which there is one by default, the law is the posterior for a noise that is wider by rho_min^2 A A^T.
    """
    refuse_rising("rho", rho_max, rho_min)
    prior_steps = min(prior_steps, steps)
    iterations = steps // prior_steps
    flat = iterations // 5
    fall = linspace(0.0, 1.0, iterations - flat, problem.y)
    xp = namespace(fall)
    rho = xp.concat([rho_max * xp.ones_like(fall[:flat]), rho_max * (rho_min / rho_max) ** fall])
    x = _gibbs(problem, key, n, Coupling(unit(problem) * rho), prior_steps, "ancestral")
    return Samples(x, nfe=iterations * prior_steps)


def _gibbs(problem: Problem, key: Key, n: int, couplings: Coupling, steps: int, kernel: Kernel) -> Array:
    """x from N(0, rho_max^2 I), then for every rho: z given x and y, and x given z."""
    first, second = split(key, 2)

    def step(x: Array, row: Coupling, keys: Keys) -> Array:
        z = near(problem, x, row.rho, problem.noise.std, keys[:2])
        return denoise_from(problem, z, row.rho, steps, kernel, keys[2:])

    x = couplings.rho[0] * normal(first, (n, *problem.shape), problem.y)
    return scan(step, x, couplings, second, draws=2 + steps)


class Descent(NamedTuple):
    """One step of the prior's reverse diffusion: two noise levels, and 0 in the last, which adds no noise."""

    sigma_from: Array
    sigma_to: Array
    noisy: Array


def denoise_from(problem: Problem, x: Array, sigma: Array, steps: int, kernel: Kernel, keys: Keys) -> Array:
    """A draw of x_0 given x_0 + sigma z = x, by `steps` steps of reverse diffusion: (n, *shape).

    'sde' is Euler's method for dx = -2 sigma score dsigma + sqrt(2 sigma) dw, 'ancestral' the law of the next level
    given x_0 = E[x_0 | x], 'flow' the ODE dx = -sigma score dsigma (Karras et al. 2022, arXiv 2206.00364); the last
    step of each returns the denoised state.
    """
    xp = namespace(x)
    levels = powered(sigma, xp.minimum(SIGMA_MIN * xp.ones_like(sigma), 0.1 * sigma), steps)
    after = xp.concat([levels[1:], xp.zeros_like(levels[:1])])
    noisy = xp.concat([xp.ones_like(levels[1:]), xp.zeros_like(levels[:1])])

    def step(x: Array, row: Descent, keys: Keys) -> Array:
        towards = (problem.prior.denoise(x, row.sigma_from) - x) / row.sigma_from
        h = row.sigma_from - row.sigma_to
        if kernel == "flow":
            return x + h * towards
        if kernel == "sde":
            noise_std = row.noisy * (2.0 * row.sigma_from * h) ** 0.5
            return x + (1.0 + row.noisy) * h * towards + noise_std * normal(keys[0], x.shape, x)
        share = (row.sigma_to / row.sigma_from) ** 2
        noise_std = row.sigma_to * (1.0 - share) ** 0.5
        return x + row.sigma_from * (1.0 - share) * towards + noise_std * normal(keys[0], x.shape, x)

    return scan(step, x, Descent(levels, after, noisy), keys)
