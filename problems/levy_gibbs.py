"""Draws of a Levy process given a linear measurement, by block Gibbs sampling, with how well the chains have mixed.

Increments are Gaussian given their variances (Andrews and Mallows 1974), so that u | w, y is Gaussian and w | u
factorises; beside an atom at zero, whether there is a jump is drawn with u integrated out, one entry after the other,
as in Bohra et al. 2023.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from problems.levy_laws import Law

CHAINS, BURN = 32, 250
KEPT = 4_000
MIXED, ENOUGH = 1.02, 1_500
"""The largest R-hat of an entry of x, and the least effective sample size; until then the chains are made longer."""
LONGEST = 8_000


class Reference(NamedTuple):
    """Draws (KEPT, d) of x, and of each entry of x split R-hat and effective sample size, (d,)."""

    x: np.ndarray
    r_hat: np.ndarray
    effective: np.ndarray


def reference(law: Law, matrix: np.ndarray, y: np.ndarray, noise_std: float, key: np.random.Generator) -> Reference:
    """Draws of x = cumulative sum of u given y = matrix x + noise_std z; matrix is (m, d).

    Raises:
        RuntimeError: if the chains have not mixed when they are as long as they may be.
    """
    matrix, y = matrix / noise_std, y / noise_std
    sums = np.cumsum(matrix[:, ::-1], axis=1)[:, ::-1]  # matrix @ (lower triangle of ones)
    u = _start(sums, y, key)
    sweeps = 2 * KEPT // CHAINS
    _, u = _sweep(law, matrix, sums, y, u, BURN, key)
    chains = np.empty((0, *u.shape))
    while True:
        found, u = _sweep(law, matrix, sums, y, u, sweeps, key)
        chains = np.concatenate([chains[len(chains) // 2 :], np.cumsum(found, axis=-1)])  # the first half is burn-in
        r_hat, effective = mixing(chains)
        if np.max(r_hat) < MIXED and np.min(effective) > ENOUGH:
            rows = chains.reshape(-1, chains.shape[-1])
            return Reference(rows[key.permutation(len(rows))[:KEPT]], r_hat, effective)
        if sweeps > LONGEST:
            raise RuntimeError(
                f"{CHAINS} chains of {len(chains)} sweeps have an R-hat of {np.max(r_hat):.3f} and "
                f"{np.min(effective):.0f} effective draws, where {MIXED} and {ENOUGH} are asked for"
            )
        sweeps *= 2


def _start(sums: np.ndarray, y: np.ndarray, key: np.random.Generator) -> np.ndarray:
    """Dispersed: increments of variances from 1/10 to 10, given y."""
    w = 10.0 ** key.uniform(-1, 1, (CHAINS, 1)) * np.ones(sums.shape[1])
    return _increments(sums, y, w, key)


def _sweep(
    law: Law, matrix: np.ndarray, sums: np.ndarray, y: np.ndarray, u: np.ndarray, kept: int, key: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws (kept, chains, d), and the last of them; noise of std 1."""
    found = np.empty((kept, *u.shape))
    for draw in found:
        w = law.variances(key, u)
        if law.atom > 0:
            w = np.where(_jumps(law.atom, sums, y, w, u != 0, key), w, 0.0)
        u = draw[:] = _exchanged(matrix, sums, y, _increments(sums, y, w, key), key)
    return found, u


def _exchanged(
    matrix: np.ndarray, sums: np.ndarray, y: np.ndarray, u: np.ndarray, key: np.random.Generator
) -> np.ndarray:
    """Neighbouring increments change places, one pair after the other, by Metropolis decisions, (chains, d).

    The prior does not see it, and of x one entry moves. Between entries that no measurement sees this is what moves
    a large increment from one gap to the next, which the variances do only where both are of a size.
    """
    u = u.copy()
    residual = y - u @ sums.T
    thresholds = -key.exponential(size=u.shape)
    for i in key.permutation(u.shape[1] - 1):
        change = u[:, i + 1] - u[:, i]
        effect = change[:, None] * matrix[:, i]
        gain = np.sum(effect * (residual - 0.5 * effect), axis=1)
        taken = gain > thresholds[:, i]
        residual -= taken[:, None] * effect
        u[:, i] += taken * change
        u[:, i + 1] -= taken * change
    return u


def _increments(matrix: np.ndarray, y: np.ndarray, w: np.ndarray, key: np.random.Generator) -> np.ndarray:
    """Draws of u | w, y, (chains, d): a draw of the prior, moved by the gain onto a perturbed measurement."""
    u = np.sqrt(w) * key.standard_normal(w.shape)
    gain = w[:, :, None] * matrix.T
    missing = y + key.standard_normal((len(w), len(y))) - u @ matrix.T
    return u + (gain @ np.linalg.solve(np.eye(len(y)) + matrix @ gain, missing[:, :, None]))[:, :, 0]


def _jumps(
    atom: float, matrix: np.ndarray, y: np.ndarray, w: np.ndarray, jumps: np.ndarray, key: np.random.Generator
) -> np.ndarray:
    """Draws of which increments are not zero, (chains, d), given their variances if they are not, u integrated out.

    With S = cov(y) without entry i and m its column, the odds of a jump are those of N(y; 0, S + w m m^T) to
    N(y; 0, S). In the code h = S^-1 m.
    """
    jumps = jumps.copy()
    inverse = np.linalg.inv(np.eye(len(y)) + (matrix * (w * jumps)[:, None, :]) @ matrix.T)
    thresholds = np.log(1 / key.random(w.shape) - 1)
    for i in key.permutation(w.shape[1]):
        h, own = inverse @ matrix[:, i], w[:, i]
        quadratic, fit = h @ matrix[:, i], h @ y
        # Without entry i: the terms of S alone, by Sherman and Morrison's formula.
        left = np.where(jumps[:, i], 1 - own * quadratic, 1.0)
        quadratic, fit = quadratic / left, fit / left
        log_odds = np.log(1 / atom - 1) - 0.5 * np.log1p(own * quadratic) + 0.5 * own * fit**2 / (1 + own * quadratic)
        new = log_odds > thresholds[:, i]
        change = own * (new.astype(float) - jumps[:, i])
        inverse -= (change / (1 + change * (left * quadratic)))[:, None, None] * h[:, :, None] * h[:, None, :]
        jumps[:, i] = new
    return jumps


def mixing(chains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R-hat and effective sample size of every entry of chains (draws, chains, d), each (d,).

    Of ranks, because tails are heavy (Vehtari et al. 2021).
    """
    from blackjax.diagnostics import ess_bulk, rhat
    from jax import numpy_dtype_promotion, numpy_rank_promotion

    single = chains.astype(np.float32)
    with numpy_dtype_promotion("standard"), numpy_rank_promotion("allow"):  # blackjax promotes
        return np.asarray(rhat(single, 1, 0), np.float64), np.asarray(ess_bulk(single, 1, 0), np.float64)
