"""The no-U-turn sampler on the exact posterior (Hoffman and Gelman 2014, arXiv 1111.4246), as a reference chain."""

from __future__ import annotations

from methods.registry import Count, Inside, Samples, method
from problems.arrays import Array, Key
from problems.contract import Problem


@method(
    "nuts",
    framework="jax",
    requires={"likelihood", "differentiable", "prior_log_prob", "prior_sample"},
    compiled=True,
    own_steps=True,
)
def nuts(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 50,
    warmup: Count = 200,
    acceptance: Inside = 0.8,
) -> Samples:
    """Chains from draws of the prior, each tuned on its own, and of each the last state: by blackjax.

    What general Markov chains reach on log p(x) + log p(y | x), without a diffusion: it converges within a mode, and
    the weights of modes are those of the starts. No-U-turn sampler, Hoffman and Gelman 2014 (arXiv 1111.4246).
    """
    import blackjax
    import jax

    def log_density(x: Array) -> Array:
        return problem.prior.log_prob(x[None])[0] + problem.log_likelihood(x[None])[0]

    def chain(key: Key, x: Array) -> tuple[Array, Array]:
        tuning, running = jax.random.split(key)
        adapt = blackjax.window_adaptation(blackjax.nuts, log_density, target_acceptance_rate=acceptance)
        (state, parameters), tuned = adapt.run(tuning, x, num_steps=warmup)
        kernel = blackjax.nuts(log_density, **parameters)
        state, ran = jax.lax.scan(lambda state, key: kernel.step(key, state), state, jax.random.split(running, steps))
        evaluations = sum(info.num_integration_steps.sum() for info in (tuned.info, ran))
        return state.position, evaluations

    start, chains = jax.random.split(key)
    x = problem.prior.sample(start, n)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # blackjax promotes
        x, evaluations = jax.vmap(chain)(jax.random.split(chains, n), x)
    mean = 1 + evaluations.sum() / n  # of the log density and its gradient, at the start and after every leapfrog step
    return Samples(x, nfe=mean, vjp=mean)
