"""Exact draws of a Gaussian given the measurement, by perturbation (Matheron's rule; Hoffman and Ribak 1991).

A draw u of the Gaussian and a draw of the noise w give u + C A^T (A C A^T + std^2 I)^-1 (y + std w - A u), which has
the conditional law.
"""

from __future__ import annotations

from collections.abc import Sequence

from problems.arrays import Array, Key, eye, namespace, normal, vjp
from problems.contract import Problem


def near(
    problem: Problem, centre: Array, radius: Array, noise_std: Array, keys: Sequence[Key], y: Array | None = None
) -> Array:
    """One draw of N(x; centre, radius^2 I) N(y; A x, noise_std^2 I) for every row of centre, (n, *shape); two keys.

    y: (n, m), for rows with measurements of their own.
    """
    operator = problem.operator
    x = centre + radius * normal(keys[0], centre.shape, centre)
    off = misfit(problem, x, noise_std, keys[1], y)
    return x + radius**2 * operator.damped_inverse(off, radius**2, noise_std**2)


def within(problem: Problem, centre: Array, cov: Array, noise_std: Array, keys: Sequence[Key]) -> Array:
    """The same for N(x; centre, cov), cov (n, d, d): one for every row, positive to rounding."""
    xp, operator = namespace(centre), problem.operator
    n, d = cov.shape[0], cov.shape[1]
    x = centre + xp.reshape(symmetric_root(cov) @ normal(keys[0], (n, d, 1), centre), centre.shape)
    off = misfit(problem, x, noise_std, keys[1])
    seen = xp.reshape(operator(xp.reshape(cov, (n * d, *problem.shape))), (n, d, -1))  # C A^T
    m = seen.shape[2]
    gram = operator(xp.reshape(xp.matrix_transpose(seen), (n * m, *problem.shape)))  # A C A^T
    gram = xp.reshape(gram, (n, m, m)) + noise_std**2 * eye(m, cov)[None]
    return x + xp.reshape(seen @ xp.linalg.solve(gram, off[:, :, None]), centre.shape)


def misfit(problem: Problem, x: Array, noise_std: Array, key: Key, y: Array | None = None) -> Array:
    """y plus a draw of the noise for every sample, minus A x: (n, m)."""
    y = problem.y[None, :] if y is None else y
    return y + noise_std * normal(key, (x.shape[0], y.shape[1]), y) - problem.operator(x)


def symmetric_root(cov: Array) -> Array:
    """The symmetric R with R R = cov, (..., d, d), positive to rounding; it does not see the signs of eigenvectors.

    These differ by machine.
    """
    xp = namespace(cov)
    eigenvalues, vectors = xp.linalg.eigh(cov)
    scaled = vectors * xp.maximum(eigenvalues, xp.zeros_like(eigenvalues))[..., None, :] ** 0.5
    return scaled @ xp.matrix_transpose(vectors)


def denoised_with_cov(problem: Problem, x: Array, sigma: Array) -> tuple[Array, Array]:
    """E[x_0 | x_0 + sigma z = x] and Cov[x_0 | x] = sigma^2 J, (n, d, d), from d backward passes (the rows of J)."""
    xp = namespace(x)
    x0_hat, pull = vjp(lambda x: problem.prior.denoise(x, sigma), x)
    units = xp.reshape(eye(problem.dim, x), (problem.dim, 1, *problem.shape))
    rows = [pull(xp.broadcast_to(unit, x.shape)) for unit in units]
    jacobian = xp.stack([xp.reshape(row, (x.shape[0], -1)) for row in rows], axis=1)
    return x0_hat, 0.5 * sigma**2 * (jacobian + xp.matrix_transpose(jacobian))
