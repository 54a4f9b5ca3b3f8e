"""Makes the files in problems/data: `python -m problems.make_data`.

Fitted mixtures and random matrices differ in their last bits between linear algebra libraries, so they are shipped
and read, not made anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from problems.pictures import patches

DATA = Path(__file__).parent / "data"
COMPONENTS = 10
COVARIANCE_FLOOR = 0.02**2
"""Added to every fitted covariance: a third of one grey level (1/16), squared, so that constant pixels have a law."""


PHOTO_COMPONENTS = {8: 20, 16: 8}
PHOTO_STRIDE = {8: 3, 16: 4}
PHOTO_FLOOR = 0.01**2
"""Between two and three grey levels (1/255), squared."""


def linear_gaussian(d: int) -> dict[str, np.ndarray]:
    """A prior whose covariance has condition number 100, and a (d/2, d) matrix with singular values .2 to 1."""
    rng = np.random.Generator(np.random.Philox(d))
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    m = max(d // 2, 1)
    u = np.linalg.qr(rng.standard_normal((m, m)))[0]
    v = np.linalg.qr(rng.standard_normal((d, m)))[0]
    cov = (q * np.geomspace(0.02, 2.0, d)) @ q.T
    return {
        "mean": 0.5 * rng.standard_normal(d),
        "cov": (cov + cov.T) / 2,
        "matrix": (u * np.geomspace(1.0, 0.2, m)) @ v.T,
        "noise_std": np.array(0.15),
    }


def digits() -> dict[str, np.ndarray]:
    """The mixture fitted on the training images (4 of every 6), and the held-out images in 0..16."""
    from sklearn.datasets import load_digits
    from sklearn.mixture import GaussianMixture

    images = load_digits().images.astype(np.uint8)
    turn = np.arange(len(images)) % 6
    train = images[turn > 1].reshape(-1, 64) / 16.0
    fit = GaussianMixture(COMPONENTS, reg_covar=COVARIANCE_FLOOR, n_init=5, random_state=0).fit(train)
    return {
        "weights": fit.weights_,
        "means": fit.means_,
        "covs": fit.covariances_,
        "test": images[turn == 0],
        "tune": images[turn == 1],
    }


def photo_patches(side: int, components: int) -> dict[str, np.ndarray]:
    """The mixture fitted on patches of the photographs for training; covariances to single precision."""
    from sklearn.mixture import GaussianMixture

    train = patches("train", side, PHOTO_STRIDE[side]).reshape(-1, side**2)
    fit = GaussianMixture(components, reg_covar=PHOTO_FLOOR, random_state=0, max_iter=200).fit(train)
    return {"weights": fit.weights_, "means": fit.means_, "covs": fit.covariances_.astype(np.float32)}


def digit_atoms() -> dict[str, np.ndarray]:
    """Two of every six images, of those that the mixture is fitted to."""
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.uint8)
    return {"images": images[np.isin(np.arange(len(images)) % 6, (2, 4))]}


if __name__ == "__main__":
    for dim in (2, 16, 128):
        np.savez_compressed(DATA / f"linear_gaussian_{dim}.npz", **linear_gaussian(dim))  # type: ignore[arg-type]
    np.savez_compressed(DATA / "digits.npz", **digits())  # type: ignore[arg-type]
    for side, count in PHOTO_COMPONENTS.items():
        np.savez_compressed(DATA / f"photos_{side}.npz", **photo_patches(side, count))  # type: ignore[arg-type]
    np.savez_compressed(DATA / "digit_atoms.npz", **digit_atoms())  # type: ignore[arg-type]
