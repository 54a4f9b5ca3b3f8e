"""seed2d: the two-mode demonstration of Feng et al. 2023 (arXiv 2304.11751), y = a^T x + noise in two dimensions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from problems.contract import Instance, Problem
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.posteriors import make_instance, measured
from problems.schedules import VP
from problems.shared_mixture import SharedMixture


def build(index: int) -> Instance:
    """Index 0 observes y = .3 and draws x_true from the posterior; other indices draw x and y from the joint."""
    prior = SharedMixture(
        log_weights=np.log([0.5, 0.5]),
        component_means=np.array([[-0.5, -0.5], [0.5, 0.5]]),
        variance=np.array(0.01),
        basis=np.zeros((2, 0)),
        eigenvalues=np.zeros(0),
        shape=(2,),
    )
    operator = matrix_operator(np.array([[-2.0, 1.7]]), (2,))
    noise = GaussianNoise(np.array(0.2))
    truth = instance_key("seed2d", index, "truth")
    if index == 0:
        problem = Problem(prior, operator, noise, np.array([0.3]), VP(), (2,))
        instance = make_instance(problem, np.zeros(2))
        return replace(instance, x_true=instance.posterior.sample(truth, 1)[0])
    return measured(prior, operator, noise, VP(), prior.sample(truth, 1)[0], instance_key("seed2d", index, "noise"))


register(
    Family(
        name="seed2d",
        build=build,
        kind="vector",
        shape=(2,),
        data_range=2.0,
        summary="two far-apart modes in the plane, one noisy projection",
        stresses=(
            "Mode weights. The two posterior modes lie fourteen standard deviations apart and their weights are "
            "decided by the likelihood alone, so a sampler must weigh them while they are still merged, at high noise; "
            "a guidance that is wrong there returns .5/.5 or drops the lighter mode, and nothing later repairs it."
        ),
        provides=LINEAR_GAUSSIAN,
        model_truth=True,
    )
)
