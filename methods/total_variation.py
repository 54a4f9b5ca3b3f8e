"""Total variation regularisation by the primal-dual hybrid gradient (Chambolle and Pock 2011)."""

from __future__ import annotations

from methods.registry import Count, Positive, Samples, method
from problems.arrays import Array, Key, Keys, many, namespace, scan
from problems.contract import Problem


@method("tv", requires={"linear", "gaussian_noise", "image"}, point=True, own_steps=True)
def total_variation(problem: Problem, key: Key, *, n: int, steps: Count = 500, weight: Positive = 1.0) -> Samples:
    """argmin ||y - A x||^2 / (2 noise_std^2) + lam sum |grad x|, lam = weight / std, std the prior's: images only.

    1 / lam is the scale of a Laplace prior on differences as wide as the pixels vary. `steps` of the primal-dual hybrid
    gradient (Chambolle and Pock 2011) on x / std.
    """
    xp, operator = namespace(problem.y), problem.operator
    std = xp.mean(problem.prior.std)
    sharpness = std / problem.noise.std  # of A (x / std)
    x = problem.prior.mean[None] / std
    # steps tau sigma ||K||^2 < 1 for K = (sharpness A, grad), ||grad||^2 <= 8
    step = 0.99 / ((sharpness * operator.norm) ** 2 + 8.0) ** 0.5

    def iterate(state: tuple[Array, Array, Array, Array], _: None, keys: Keys) -> tuple[Array, Array, Array, Array]:  # noqa: ARG001
        x, leading, data, slope = state
        misfit = sharpness * operator(leading) - problem.y[None, :] / problem.noise.std
        data = (data + step * misfit) / (1.0 + step)
        slope = slope + step * _gradient(leading)
        length = xp.sum(slope**2, axis=1, keepdims=True) ** 0.5
        slope = slope * (weight / xp.maximum(length, weight * xp.ones_like(length)))
        new = x - step * (sharpness * operator.adjoint(data) - _divergence(slope))
        return new, 2.0 * new - x, data, slope

    start = (x, x, 0.0 * operator(x), 0.0 * _gradient(x))
    x = scan(iterate, start, None, many(key, steps))[0]
    return Samples(xp.broadcast_to(std * x, (n, *problem.shape)), nfe=0)


def _gradient(x: Array) -> Array:
    """Forward differences along both axes, 0 at the far edge: (1, h, w) -> (1, 2, h, w)."""
    xp = namespace(x)
    down = xp.concat([x[:, 1:, :] - x[:, :-1, :], xp.zeros_like(x[:, :1, :])], axis=1)
    right = xp.concat([x[:, :, 1:] - x[:, :, :-1], xp.zeros_like(x[:, :, :1])], axis=2)
    return xp.stack([down, right], axis=1)


def _divergence(p: Array) -> Array:
    """Minus the adjoint of `_gradient`: (1, 2, h, w) -> (1, h, w)."""
    xp = namespace(p)
    down, right = p[:, 0, :-1, :], p[:, 1, :, :-1]
    no_row, no_column = xp.zeros_like(p[:, 0, :1, :]), xp.zeros_like(p[:, 1, :, :1])
    vertical = xp.concat([down, no_row], axis=1) - xp.concat([no_row, down], axis=1)
    return vertical + xp.concat([right, no_column], axis=2) - xp.concat([no_column, right], axis=2)
