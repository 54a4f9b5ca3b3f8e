"""The truth of an instance has the law that the posterior claims, and a measurement the stated noise.

Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788) with the exact distribution function in the place of
ranks: if (x_true, y) are drawn from the joint law, then F(v . x_true | y) is uniform over instances for every v.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from problems import FAMILIES, load
from tests.problems.closed import CLOSED

MODELLED = [name for name in CLOSED if FAMILIES[name].model_truth and FAMILIES[name].dim <= 256]
REAL = [name for name in CLOSED if not FAMILIES[name].model_truth]
INSTANCES = 120
FALSE_ALARM = 1e-4 / (3 * len(MODELLED))


def quantile(parts, direction, x):
    """P(v . X <= v . x) under a mixture."""
    v = direction.ravel()
    z = [v @ (x.ravel() - part.mean) / np.sqrt(v @ part.cov @ v) for part in parts]
    return np.exp([part.log_weight for part in parts]) @ scipy.stats.norm.cdf(z)


@pytest.mark.parametrize("name", MODELLED)
def test_the_truth_is_a_draw_of_the_posterior(name, decompose):
    """Along a direction that the measurement sees, along a generic one, and in the residual of the measurement."""
    rng = np.random.default_rng(2)
    seen, generic, residuals = [], [], []
    for index in range(INSTANCES):
        found = load(name, index)
        problem, parts = found.problem, decompose(found.posterior)
        along = problem.operator.adjoint(rng.standard_normal((1, len(problem.y))))
        seen.append(quantile(parts, along, found.x_true))
        generic.append(quantile(parts, rng.standard_normal(problem.shape), found.x_true))
        residuals.append((problem.y - problem.operator(found.x_true[None])[0]) / problem.noise.std)
    assert scipy.stats.kstest(seen, "uniform").pvalue > FALSE_ALARM
    assert scipy.stats.kstest(generic, "uniform").pvalue > FALSE_ALARM
    assert scipy.stats.kstest(np.concatenate(residuals), "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", REAL)
def test_intervals_cover_real_images_nearly_as_often_as_they_claim(name):
    """Real images are not draws of the model: the 90 % intervals of all pixels cover .90 to .97 of digits.

    Photographs have edges, more of them than a mixture of Gaussians that was fitted to other photographs expects: .88.
    """
    covered = []
    for index in range(60):
        found = load(name, index)
        law = found.posterior
        spread = np.sqrt(np.einsum("dke,ke->kd", law.eigenvectors**2, law.eigenvalues)).reshape(-1, *law.shape)
        z = (found.x_true - law.component_means) / spread
        below = np.einsum("k,kab->ab", np.exp(law.log_weights), scipy.stats.norm.cdf(z))
        covered.append(np.mean((below > 0.05) & (below < 0.95)))
    assert (0.88 if name.startswith("photos-") else 0.90) < np.mean(covered) < 0.97
