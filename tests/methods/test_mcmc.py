"""Markov kernels leave their target as it is, and annealed chains end in the posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from methods.levels import langevin_levels
from methods.mcmc import Chain, begin, hmc, leapfrog, mala, ula
from problems.arrays import make_key, many, split
from problems.noise import GaussianNoise
from problems.posteriors import make_instance
from tests.methods.affine import sampler, torch_law
from tests.methods.cases import MIXTURE, WIDE, Case, case
from tests.methods.laws import named, obeys

K = 4.5
"""Standard errors: a normal number goes beyond with chance 7e-6."""
N = 40_000
COV = np.array([[1.4, 0.6], [0.6, 0.5]])
MEAN = np.array([0.7, -1.1])


def _tensor(x: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(x), dtype=torch.float64)


def _density(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((x - _tensor(MEAN)) * _gradient(x)).sum(dim=1)


def _gradient(x: torch.Tensor) -> torch.Tensor:
    return (_tensor(MEAN) - x) @ _tensor(np.linalg.inv(COV))


def _begun(x: torch.Tensor) -> Chain:
    return begin(x, _density, _gradient)


def _draws(seed: int, cov: np.ndarray = COV) -> torch.Tensor:
    return _tensor(np.random.default_rng(seed).standard_normal((N, 2)) @ np.linalg.cholesky(cov).T + MEAN)


def _errors(x: torch.Tensor, cov: np.ndarray = COV) -> np.ndarray:
    """How far mean, covariance and fourth moments are off the target's, in standard errors."""
    z = np.linalg.solve(np.linalg.cholesky(cov), (x.numpy() - MEAN).T)
    a, b = z
    moments = [(a, 1), (b, 1), (a**2 - 1, 2), (b**2 - 1, 2), (a * b, 1)]
    moments += [(a**4 - 3, 96), (b**4 - 3, 96), (a**2 * b**2 - 1, 8)]
    return np.array([np.mean(value) * (len(x.numpy()) / variance) ** 0.5 for value, variance in moments])


def _hmc(x: torch.Tensor, *, flip: bool, steps: int, step: float, damping: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Chains started in the target, momentum included; without `flip` a rejection keeps the momentum."""
    keys = many(make_key("torch", [2]), 1 + 2 * steps)
    v = _tensor(np.random.default_rng(5).standard_normal((N, 2)))
    chain = _begun(x)
    for i in range(steps):
        chain, v, moved = hmc(chain, v, _density, _gradient, step, 3, damping, keys[1 + 2 * i : 3 + 2 * i])
        assert 0.3 < moved.double().mean() < 0.95
        if not flip:
            v = torch.where(moved[:, None], v, -v)
    return chain.x, v


def test_mala_leaves_the_target_as_it_is():
    """Steps so long that some are refused. False alarm 8 x 7e-6."""
    chain, keys = _begun(_draws(1)), many(make_key("torch", [1]), 24)
    for i in range(12):
        chain, moved = mala(chain, _density, _gradient, 0.08, keys[2 * i : 2 * i + 2])
        assert 0.4 < moved.double().mean() < 0.95
    np.testing.assert_array_less(np.abs(_errors(chain.x)), K)


@pytest.mark.parametrize("damping", [0.0, 0.8])
def test_hmc_leaves_the_target_and_its_momentum_as_they_are(damping: float):
    """Steps near the limit of stability. False alarm 16 x 7e-6."""
    x, v = _hmc(_draws(3), flip=True, steps=12, step=0.75, damping=damping)
    np.testing.assert_array_less(np.abs(_errors(x)), K)
    np.testing.assert_array_less(np.abs(_errors(v + _tensor(MEAN), np.eye(2))), K)


def test_hmc_that_keeps_its_momentum_after_a_rejection_is_biased():
    """The same test sees it, from far away; with fresh momentum at every step there is nothing to see."""
    x, _ = _hmc(_draws(3), flip=False, steps=12, step=0.75, damping=0.8)
    assert np.abs(_errors(x)).max() > 3 * K
    x, _ = _hmc(_draws(3), flip=False, steps=12, step=0.75, damping=0.0)
    np.testing.assert_array_less(np.abs(_errors(x)), K)


def test_ula_widens_the_target_by_a_known_amount():
    """In a direction of variance c the law that stays is N(0, c / (1 - h / 2 c)). False alarm 8 x 7e-6."""
    h = 0.1
    variances, axes = np.linalg.eigh(COV)
    widened = (axes * (variances / (1 - h / (2 * variances)))) @ axes.T
    x, keys = _draws(4, widened), many(make_key("torch", [6]), 10)
    for i in range(10):
        x = ula(x, _gradient, _tensor(h), keys[i : i + 1])
    np.testing.assert_array_less(np.abs(_errors(x, widened)), K)
    assert np.abs(_errors(x)).max() > 3 * K


def _on_mixture() -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    prior = MIXTURE.problem.to("torch", dtype="float64").prior
    return prior.log_prob, lambda x: prior.score(x, 0.0)


def test_the_leapfrog_is_reversible():
    """There, momentum turned, and back again; on a density that is not Gaussian."""
    _, gradient = _on_mixture()
    x, v = (_tensor(np.random.default_rng(seed).standard_normal((50, 3))) for seed in (7, 8))
    there, momentum, slope = leapfrog(x, v, gradient(x), gradient, 0.1, 7)
    torch.testing.assert_close(slope, gradient(there), rtol=0, atol=0)
    back, turned, _ = leapfrog(there, -momentum, slope, gradient, 0.1, 7)
    assert (there - x).abs().max() > 0.3
    torch.testing.assert_close(back, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(-turned, v, rtol=0, atol=1e-12)


def test_the_leapfrog_conserves_volume():
    _, gradient = _on_mixture()

    def flow(state: torch.Tensor) -> torch.Tensor:
        x, v = state[None, :3], state[None, 3:]
        return torch.cat(leapfrog(x, v, gradient(x), gradient, 0.2, 5)[:2], dim=1)[0]

    jacobian = torch.autograd.functional.jacobian(flow, _tensor(np.random.default_rng(9).standard_normal(6)))
    assert torch.linalg.det(jacobian) == pytest.approx(1.0, abs=1e-10)
    assert (jacobian - torch.eye(6, dtype=torch.float64)).abs().max() > 0.3


def test_the_energy_error_of_the_leapfrog_is_of_second_order():
    """Half the step, twice as many: a quarter of the error."""
    density, gradient = _on_mixture()
    x, v = (_tensor(np.random.default_rng(seed).standard_normal((50, 3))) for seed in (7, 8))
    errors = []
    for halvings in (0, 1, 2):
        there, momentum, _ = leapfrog(x, v, gradient(x), gradient, 0.05 / 2**halvings, 10 * 2**halvings)
        before, after = (0.5 * (p**2).sum(dim=1) - density(q) for q, p in ((x, v), (there, momentum)))
        errors.append(float((after - before).square().mean().sqrt()))
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 4.0, rtol=0.06)


def _kernel(name: str, x: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Everything that a step returns, which of the samples moved last."""
    key = make_key("replay", [11])
    if name == "mala":
        chain, moved = mala(_begun(x), _density, _gradient, 0.2, split(key, 2))
        return *chain, moved
    chain, v, moved = hmc(_begun(x), v, _density, _gradient, 0.9, 3, 0.7, split(key, 2))
    return *chain, v, moved


@pytest.mark.parametrize("name", ["mala", "hmc"])
def test_every_sample_is_decided_on_its_own(name: str):
    """The second half of the batch is so far off that a common decision would be its alone."""
    x, v = _draws(12)[:60], torch.zeros(60, 2, dtype=torch.float64)
    far = torch.cat([x[:30], 1e4 * x[30:]])
    near, disturbed = _kernel(name, x, v), _kernel(name, far, v)
    moved = near[-1][:30]
    assert moved.any()
    assert not moved.all()
    for one, other in zip(near, disturbed, strict=True):
        torch.testing.assert_close(one[:30], other[:30], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mala", "hmc"])
def test_a_chain_knows_its_density_and_gradient_whether_it_moved_or_not(name: str):
    x = _draws(19)[:200]
    state = _kernel(name, x, _tensor(np.random.default_rng(20).standard_normal((200, 2))))
    assert 20 < state[-1].sum() < 180
    torch.testing.assert_close(state[1], _density(state[0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(state[2], _gradient(state[0]), rtol=0, atol=1e-12)


def test_a_rejection_turns_the_momentum():
    x = _draws(13)[:200]
    v = _tensor(np.random.default_rng(14).standard_normal((200, 2)))
    after, momentum, moved = hmc(_begun(x), v, _density, _gradient, 0.9, 3, 1.0, split(make_key("torch", [15]), 2))
    assert 20 < (~moved).sum() < 180
    torch.testing.assert_close(after.x[~moved], x[~moved], rtol=0, atol=0)
    torch.testing.assert_close(momentum[~moved], -v[~moved], rtol=0, atol=0)
    proposed, new, _ = leapfrog(x, v, _gradient(x), _gradient, 0.9, 3)
    torch.testing.assert_close(after.x[moved], proposed[moved], rtol=0, atol=0)
    torch.testing.assert_close(momentum[moved], new[moved], rtol=0, atol=0)


def test_a_proposal_that_is_not_a_number_is_refused():
    x = _draws(16)[:20]
    after, moved = mala(_begun(x), lambda x: x[:, 0] * torch.nan, _gradient, 0.2, split(make_key("torch", [17]), 2))
    assert not moved.any()
    torch.testing.assert_close(after.x, x, rtol=0, atol=0)


def _last_level(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The law of the last level: of x + sigma z given y with the variance of the noise raised by (||A|| sigma)^2."""
    sigma = float(langevin_levels(case.problem, 10, 1, None, None).sigma[-1])
    smoothed = replace(case, covs=case.covs + sigma**2 * np.eye(case.covs.shape[1]))
    raised = (case.noise_std**2 + (np.linalg.norm(case.matrix, 2) * sigma) ** 2) ** 0.5
    problem = replace(smoothed.problem, noise=GaussianNoise(np.array(raised)))
    posterior = make_instance(problem, np.zeros(case.shape)).posterior
    return posterior.mean, posterior.cov()


@pytest.mark.parametrize("name", ["annealed-mala", "annealed-hmc"])
def test_annealed_chains_reach_the_posterior(name: str):
    """Mean and covariance at the last level, which is close to the exact posterior. False alarm 9 x 7e-6 each."""
    n, steps = 3000, 600
    x = sampler(name, steps=steps)(WIDE.problem.to("torch", dtype="float64"), make_key("torch", [18]), n=n).x.numpy()
    exact, level = (WIDE.instance.posterior.mean, WIDE.instance.posterior.cov()), _last_level(WIDE)
    for law, (mean, cov), most in (("last level's law", level, K), ("posterior", exact, 1.5 * K)):
        z = np.linalg.solve(np.linalg.cholesky(cov), (x - mean).T)
        upper = np.triu_indices(3)
        excess = (z @ z.T / n - np.eye(3))[upper] / (1 + np.eye(3)[upper]) ** 0.5
        found = np.hstack([z.mean(axis=1), excess]) * n**0.5
        obeys(named(name, steps=steps), f"{law}, in whitened standard errors", found, 0.0, most)


@pytest.mark.parametrize("name", ["annealed-mala", "annealed-hmc"])
def test_as_many_proposals_are_accepted_in_many_dimensions(name: str):
    """At steps of one length MALA would accept a tenth as many in the second."""
    shares = []
    for d in (2, 200):
        one = case(np.zeros((1, d)), np.eye(d)[None], np.eye(1, d), [0.5], 0.3)
        samples = sampler(name, steps=60)(one.problem.to("torch", dtype="float64"), make_key("torch", [22]), n=100)
        shares.append(float(samples.info["acceptance"]))
    assert 0.75 < min(shares) < max(shares) < 1
    assert abs(shares[1] - shares[0]) < 0.2


def test_annealed_ula_is_close_to_the_posterior():
    mean, cov = torch_law(sampler("annealed-ula", steps=500), WIDE.problem)
    posterior = WIDE.instance.posterior
    z = np.linalg.solve(np.linalg.cholesky(posterior.cov()), mean - posterior.mean)
    obeys("annealed-ula steps=500", "posterior mean, in its std", z, 0.0, 0.1)
    obeys("annealed-ula steps=500", "posterior variances, relative", np.diag(cov) / np.diag(posterior.cov()), 1.0, 0.15)
