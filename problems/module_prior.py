"""Networks of others as priors: a torch module, what it predicts, and in which units, converted once, here.

In torch a module is called as it is. JAX reaches it through callbacks to the host, forward and backward (the backward
pass repeats the forward one, as a program that is compiled carries no graph of torch's); run methods in torch where
both can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal

import numpy as np

from problems.arrays import Array, framework_of, namespace
from problems.contract import data, static
from problems.names import UsageError

Prediction = Literal["epsilon", "v_prediction", "sample"]
"""The noise, sqrt(abar) eps - sqrt(1 - abar) x_0 (Salimans and Ho 2022, arXiv 2202.00512), or x_0."""


@dataclass(frozen=True, eq=False)
class Network:
    """A torch module that was trained to denoise z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) eps.

    Attributes:
        module: a torch.nn.Module, (n, channels, h, w), times (n,) -> (n, channels or more, h, w); further channels, as
            of learned variances, are not read.
        prediction: what it returns.
        alphas_cumprod: abar_t at times 0, 1, ..., (T,), falling. low, high: the range of the pixels of z_0.
    """

    module: Any
    prediction: Prediction
    alphas_cumprod: np.ndarray
    low: float = -1.0
    high: float = 1.0
    _sigmas: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bar = np.asarray(self.alphas_cumprod, np.float64)
        if bar.ndim != 1 or len(bar) < 2 or not np.all(np.diff(bar) < 0) or not 0 < bar[-1] < bar[0] < 1:
            raise UsageError("alphas_cumprod falls from below 1 to above 0, at two times or more")
        object.__setattr__(self, "_sigmas", np.sqrt((1 - bar) / bar))

    def denoise(self, x: Any, sigma: Any) -> Any:
        """E[x_0 | x_0 + sigma z = x] for pixels in [0, 1], torch: x (n, h, w) or (n, channels, h, w), sigma () or (n,).

        Between the noise levels of the training the time is interpolated in log sigma; beyond them the network is told
        the nearest one, and x in the variance that it had there.
        """
        import torch

        self.module.to(x.device)
        span = self.high - self.low
        images = x if x.ndim == 4 else x[:, None]
        level = torch.broadcast_to(sigma.reshape(-1), (len(x),)) * span
        known = torch.as_tensor(np.log(self._sigmas), dtype=x.dtype, device=x.device)
        told = torch.clamp(torch.log(level), known[0], known[-1])
        above = torch.clamp(torch.searchsorted(known, told), 1, len(known) - 1)
        time = above - (known[above] - told) / (known[above] - known[above - 1])
        noise = level[:, None, None, None]
        scale = 1 / torch.sqrt(1 + noise**2)  # sqrt(abar)
        z = self.low + span * images
        kind = _dtype_of(self.module)
        predicted = self.module((scale * z).to(kind), time.to(kind))[:, : images.shape[1]].to(x.dtype)
        if self.prediction == "epsilon":
            clean = z - noise * predicted
        elif self.prediction == "sample":
            clean = predicted
        else:
            clean = scale * (scale * z) - torch.sqrt(1 - scale**2) * predicted
        return ((clean - self.low) / span).reshape(x.shape)


def _dtype_of(module: Any) -> Any:
    """Of the module's weights, in which it computes."""
    import torch

    return next((weights.dtype for weights in module.parameters()), torch.float32)


@data
class ModulePrior:
    """A network of somebody else: a denoiser and the score made of it. It has no density and no sampler.

    Attributes:
        mean, std: of every entry of x in [0, 1], `shape`. diameter: the largest distance of two pictures.
        network: what denoises.
    """

    mean: Array
    std: Array
    diameter: Array
    network: Network = static()

    def denoise(self, x: Array, sigma: Array | float) -> Array:
        """E[x_0 | x_0 + sigma z = x] as the network has learned it, (n, *shape); sigma is a scalar, or (n,)."""
        xp, kind = namespace(x), framework_of(x)
        level = xp.zeros_like(self.diameter) + sigma
        if kind == "torch":
            return self.network.denoise(x, level)
        if kind == "jax":
            return _bridge(self.network)(x, level)
        return _on_host(self.network, x, level)

    def score(self, x: Array, sigma: Array | float) -> Array:
        """(D(x, sigma) - x) / sigma^2, (n, *shape), for sigma > 0."""
        rows = namespace(x).reshape(namespace(x).zeros_like(self.diameter) + sigma, (-1, *(1,) * (x.ndim - 1)))
        return (self.denoise(x, sigma) - x) / rows**2

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one x."""
        return tuple(self.mean.shape)


def module_prior(network: Network, shape: tuple[int, ...]) -> ModulePrior:
    """The prior of a network for pictures in [0, 1] of a shape, of which nothing else is known.

    Mean and deviation of a pixel are those of the uniform law.
    """
    mean, std = np.full(shape, 0.5), np.full(shape, 12**-0.5)
    return ModulePrior(mean, std, np.array(np.sqrt(mean.size)), network)


def _on_host(network: Network, x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return network.denoise(_tensor(x), _tensor(sigma)).numpy()


def _pulled(network: Network, x: np.ndarray, sigma: np.ndarray, v: np.ndarray) -> np.ndarray:
    """J(x)^T v of the denoiser."""
    import torch

    at = _tensor(x).requires_grad_()
    (pulled,) = torch.autograd.grad(network.denoise(at, _tensor(sigma)), at, _tensor(v))
    return pulled.numpy()


def _tensor(x: Any) -> Any:
    import torch

    return torch.tensor(np.asarray(x))


@cache
def _bridge(network: Network) -> Callable[[Array, Array], Array]:
    """The denoiser as a function of JAX arrays with a derivative with respect to x."""
    import jax

    def shaped(x: Any) -> Any:
        return jax.ShapeDtypeStruct(x.shape, x.dtype)

    @jax.custom_vjp
    def denoise(x: Any, sigma: Any) -> Any:
        return jax.pure_callback(partial(_on_host, network), shaped(x), x, sigma, vmap_method="sequential")

    def forward(x: Any, sigma: Any) -> tuple[Any, tuple[Any, Any]]:
        return denoise(x, sigma), (x, sigma)

    def backward(kept: tuple[Any, Any], v: Any) -> tuple[Any, Any]:
        x, sigma = kept
        call = partial(_pulled, network)
        pulled = jax.pure_callback(call, shaped(x), x, sigma, v, vmap_method="sequential")
        return pulled, jax.numpy.zeros_like(sigma)

    denoise.defvjp(forward, backward)
    return denoise
