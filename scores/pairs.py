"""All distances between two sets of points, and means over pairs of independent draws."""

from __future__ import annotations

import numpy as np

from problems.arrays import make_key

SINGLE_PRECISION_LIMIT = 1e15
_SCATTER_STREAM = 3


def squared_distances(a: np.ndarray, b: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """|a_i - b_j|^2 of points a (n, d) and b (m, d), (n, m), from one matrix product.

    In float32: the error is a few 1e-7 of |a_i|^2 + |b_j|^2, both seen from `origin` (d,), which should lie among the
    points. Points too large for the square of a float32 keep float64.
    """
    a, b = a - origin, b - origin
    if max(np.max(np.abs(a)), np.max(np.abs(b))) < SINGLE_PRECISION_LIMIT:
        a, b = a.astype(np.float32), b.astype(np.float32)
    squares = -2 * (a @ b.T)
    squares += np.einsum("nd,nd->n", a, a)[:, None]
    squares += np.einsum("nd,nd->n", b, b)
    return np.maximum(squares, 0, out=squares)


def squared_distances_within(points: np.ndarray) -> np.ndarray:
    """|x_i - x_j|^2 of points (n, d) among themselves, (n, n), zero on the diagonal."""
    squares = squared_distances(points, points, np.mean(points, axis=0))
    np.fill_diagonal(squares, 0)
    return squares


def mean_of_pairs(values: np.ndarray, counts: np.ndarray) -> float:
    """The mean of a kernel over two independent draws, without bias, from its values (n, n) on one sample.

    A U-statistic: the diagonal does not count. If the sample is stratified, `counts` (K,) being its strata in order,
    pairs of one stratum are too few by (n_k - 1) / n_k and weigh as much more; a single stratum is the ordinary
    U-statistic. A stratum of one has no pair and is left out of the mean. nan for one draw.
    """
    n = len(values)
    total = np.sum(values, dtype=np.float64) - np.trace(values, dtype=np.float64)
    pairs = np.float64(n * (n - 1))
    ends = np.cumsum(counts)
    for start, end in zip(ends - counts, ends, strict=True):
        if end - start > 1:
            block = values[start:end, start:end]
            total += (np.sum(block, dtype=np.float64) - np.trace(block, dtype=np.float64)) / (end - start - 1)
            pairs += end - start
    return float(total / pairs)


def scattered(flat: np.ndarray) -> np.ndarray:
    """The rows of (n, d) in an order that depends on the set of them alone, and not on where they lie.

    By a hash of their bits (multiply-shift, Dietzfelbinger et al. 1997), so that a metric that splits its samples into
    folds needs no random stream, and sums in single precision come out the same however the samples are ordered.
    """
    d = flat.shape[1]
    odd = make_key("numpy", [_SCATTER_STREAM, d]).integers(2**64, dtype=np.uint64, size=d) | np.uint64(1)
    return flat[np.argsort(np.sum(np.ascontiguousarray(flat).view(np.uint64) * odd, axis=1))]
