"""The pictures of a training: its loss, its denoising gain over the noise level, and samples beside real pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.prior_quality import LEVELS, Gain

NETWORK, GAUSSIAN, QUIET = "#0072B2", "#E69F00", "#8a8a8a"
"""Okabe and Ito's blue and orange, which colour-blind readers tell apart; and grey."""
_ROW = 8
"""Pictures side by side."""
SHOWN = 2 * _ROW


def loss_curve(losses: list[float], held_out: float, steps: int) -> Figure:
    """The loss of every step in grey, its running mean, and that on held-out pictures after the last."""
    figure = Figure(figsize=(4.5, 2.8), layout="constrained")
    axes = figure.subplots()
    done = np.arange(1, len(losses) + 1)
    axes.plot(done, losses, color=QUIET, linewidth=0.3, label="one step")
    width = max(1, len(losses) // 50)
    mean = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(done[width - 1 :], mean, color=NETWORK, label=f"mean of {width}")
    axes.axhline(held_out, color=GAUSSIAN, linestyle="--", label=f"held out, averaged weights: {held_out:.3f}")
    axes.axhline(1.0, color=QUIET, linestyle=":", label="a network that is zero: 1")
    axes.set(xlabel=f"step of {steps}", ylabel="loss", ylim=(0.0, 1.2))
    axes.legend(fontsize=7, frameon=False, loc="lower left", ncols=2)
    return figure


def gain_curve(gain: Gain) -> Figure:
    """The errors of the learned denoiser and of the best affine one, and below what the first gains, in decibels."""
    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(LEVELS, gain.learned, color=NETWORK, marker="o", markersize=3, label="learned")
    upper.plot(LEVELS, gain.gaussian, color=GAUSSIAN, marker="s", markersize=3, label="Gaussian of the same moments")
    upper.plot(LEVELS, np.minimum(LEVELS, gain.gaussian.max()), color=QUIET, linestyle=":", label="noise itself")
    upper.set(ylabel="rms error, held out", xscale="log", yscale="log")
    upper.legend(fontsize=7, frameon=False)
    lower.axhline(0.0, color=QUIET, linewidth=0.8)
    lower.plot(LEVELS, decibels(gain), color=NETWORK, marker="o", markersize=3)
    lower.set(xlabel="noise level sigma, in units of x", ylabel="gain (dB)", xscale="log")
    return figure


def decibels(gain: Gain) -> np.ndarray:
    """How much smaller the learned denoiser's error is, 20 log10 of the ratio, at LEVELS."""
    return 20 * np.log10(gain.gaussian / gain.learned)


def sample_sheet(drawn: np.ndarray, real: np.ndarray) -> Figure:
    """Draws of the prior above real pictures, (n, h, w) or (n, 3, h, w), in one grey scale; vectors as curves.

    Of pictures with another number of channels the first is shown.
    """
    figure = Figure(figsize=(6.0, 3.4), layout="constrained")
    halves: Any = figure.subfigures(2, 1)
    upper, lower = halves
    low, high = np.quantile(real, [0.001, 0.999])
    for part, pictures, title in ((upper, drawn, "drawn from the learned prior"), (lower, real, "real, held out")):
        part.suptitle(title, fontsize=8)
        for axes, one in zip(part.subplots(2, _ROW).flat, pictures, strict=False):
            axes.set_axis_off()
            if one.ndim == 1:
                axes.plot(one, color=NETWORK, linewidth=0.6)
                axes.set_ylim(low, high)
            elif one.ndim == 3 and len(one) == 3:
                axes.imshow(np.clip((np.moveaxis(one, 0, -1) - low) / (high - low), 0.0, 1.0))
            else:
                axes.imshow(one if one.ndim == 2 else one[0], cmap="gray", vmin=low, vmax=high)
    return figure
