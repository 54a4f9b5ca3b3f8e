"""Denoising score matching: trains the network of a learned prior, in torch.

The loss is that of Karras et al. 2022 (arXiv 2206.00364), eq. 8: with their preconditioning it is the squared error of
the network's own output, at unit weight for every noise level. AdamW, and a rate that falls along a
cosine; the prior gets a running average of the weights.

Every step draws from a key of its own, made of the seed and its number, so a training that is continued from a
checkpoint takes the steps that it would have taken.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from problems.arrays import Array, Key, make_key, normal, uniform
from problems.contract import to
from problems.learned import SIGMA_MAX, SIGMA_MIN, LearnedPrior, preconditioning
from problems.names import UsageError
from problems.networks import Weights, apply
from problems.weight_files import described

UNIFORM_SHARE = 0.25
"""The share of the noise levels that is log-uniform over all of them. The others are log-normal as published: median
.6 sigma_data, factor e^1.2. Those alone would hardly ever reach the levels at which samplers start."""
MEDIAN, SPREAD = 0.6, 1.2
"""Karras et al. 2022, table 1: P_mean = -1.2 = log(.6 x .5), P_std = 1.2."""
WARM_UP = 0.02
"""The share of the steps over which the rate rises to its plateau."""
AVERAGED = 1000
"""Steps that the average of the weights goes back; a ninth of those taken while these are fewer than 9000."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps: of AdamW. batch: pictures per step. rate: the highest learning rate. decay: of the weights, as in AdamW.
        seed: of the first weights and of all draws. sigma_min, sigma_max: the noise levels.
    """

    steps: int
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.01
    seed: int = 0
    sigma_min: float = SIGMA_MIN
    sigma_max: float = SIGMA_MAX

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: up along a line, down along a cosine."""
        warm_up = max(1, int(WARM_UP * self.steps))
        return self.rate * min(1.0, (step + 1) / warm_up) * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


class Training:
    """A training under way.

    Attributes:
        recipe: how. losses: of the steps so far.
    """

    def __init__(self, prior: LearnedPrior, pictures: np.ndarray, recipe: Recipe, device: str = "cpu") -> None:
        """Starts from the weights of a prior (NumPy), whose mean and sigma_data are those of the pictures."""
        self.recipe = recipe
        self.losses: list[float] = []
        self._device = device
        self._start = prior
        self._prior: Any = to(prior, "torch", device=device)
        self._clean = to(np.asarray(pictures, dtype=np.float64) - prior.mean[None], "torch", device=device)
        self._flat = self._prior.weights.flat.clone().requires_grad_(True)
        self._average = self._prior.weights.flat.clone()
        self._optimizer = torch.optim.AdamW([self._flat], lr=recipe.rate, weight_decay=recipe.decay)

    def step(self) -> float:
        """One step; returns its loss.

        Raises:
            UsageError: if the loss is not finite.
        """
        done = len(self.losses)
        key = make_key("torch", [self.recipe.seed, done], self._device)
        chosen = torch.randint(len(self._clean), (self.recipe.batch,), generator=key, device=self._device)
        weights = dataclasses.replace(self._prior.weights, flat=self._flat)
        loss = matching_loss(weights, self._clean[chosen], key, self._prior.sigma_data, self.recipe)
        self._optimizer.param_groups[0]["lr"] = self.recipe.rate_at(done)
        self._optimizer.zero_grad()
        loss.backward()
        value = loss.item()
        if not math.isfinite(value):
            raise UsageError(f"the loss of step {done} is {value}: try a lower --rate than {self.recipe.rate:g}")
        self._optimizer.step()
        with torch.no_grad():
            self._average.lerp_(self._flat, max(1 / AVERAGED, 9 / (done + 10)))
        self.losses.append(value)
        return value

    def prior(self) -> LearnedPrior:
        """The prior with the averaged weights, NumPy."""
        flat = self._average.cpu().numpy().astype(np.float64)
        return dataclasses.replace(self._start, weights=dataclasses.replace(self._start.weights, flat=flat))

    def save(self, path: Path, about: str) -> None:
        """Writes all that a continuation needs; `about` names the data. A file is there whole or not at all."""
        state = {
            "settings": self._settings(about),
            "flat": self._flat.detach(),
            "average": self._average,
            "optimizer": self._optimizer.state_dict(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
        }
        beside = path.with_suffix(".part")
        torch.save(state, beside)
        beside.replace(path)

    def resume(self, path: Path, about: str) -> None:
        """Goes back to where `save` was called.

        Raises:
            UsageError: for a file that is no checkpoint, or that of other data, another network or another recipe.
        """
        state = checkpoint(path)
        own, other = (json.loads(text) for text in (self._settings(about), state["settings"]))
        differing = [f"{name} {other.get(name)} and not {own[name]}" for name in own if own[name] != other.get(name)]
        if differing:
            raise UsageError(f"{path} is of another training, with {'; '.join(differing)}; give another --out")
        with torch.no_grad():
            self._flat.copy_(state["flat"])
            self._average.copy_(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"].tolist()

    def _settings(self, about: str) -> str:
        architecture = described(self._start.weights.architecture)
        return json.dumps(
            {"data": about, "network": json.loads(architecture), "device": self._device, **asdict(self.recipe)}
        )


def checkpoint(path: Path) -> dict[str, Any]:
    """What `Training.save` has written. It is read as numbers alone: code in the file is refused.

    Raises:
        UsageError: for anything else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        complete = {"settings", "flat", "average", "optimizer", "losses"} <= set(state)
    except Exception as error:  # torch raises what its reader meets: of a zip file, of pickles, of the system
        raise UsageError(f"cannot read the checkpoint {path}: {type(error).__name__}") from error
    if not complete:
        raise UsageError(f"{path} is no checkpoint of a training")
    return state


def matching_loss(weights: Weights, clean: Array, key: Key, sigma_data: Array, recipe: Recipe) -> Array:
    """The mean over a batch of clean pictures, (n, *shape) around 0, of |F - (x_0 - skip x) / out|^2 per entry.

    That is (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 |D - x_0|^2. The network that is zero has 1 in the mean.
    """
    rows = (-1, *(1,) * (clean.ndim - 1))
    sigma = noise_levels(key, len(clean), recipe, sigma_data).reshape(rows)
    c = preconditioning(sigma, sigma_data)
    noisy = clean + sigma * normal(key, clean.shape, clean)
    return torch.mean((apply(weights, c.into * noisy, c.noise) - (clean - c.skip * noisy) / c.out) ** 2)


def noise_levels(key: Key, count: int, recipe: Recipe, sigma_data: Array) -> Array:
    """count noise levels, (count,): at equal steps of their distribution function from one random start."""
    place = torch.arange(count, dtype=sigma_data.dtype, device=sigma_data.device)
    u = (place + uniform(key, (1,), sigma_data)) / count
    low, high = math.log(recipe.sigma_min), math.log(recipe.sigma_max)
    evenly = low + (high - low) * u / UNIFORM_SHARE
    quantile = torch.special.ndtri(torch.clamp((u - UNIFORM_SHARE) / (1.0 - UNIFORM_SHARE), 1e-6, 1.0 - 1e-6))
    published = torch.log(MEDIAN * sigma_data) + SPREAD * quantile
    return torch.exp(torch.where(u < UNIFORM_SHARE, evenly, torch.clamp(published, low, high)))
