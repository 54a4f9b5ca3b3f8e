"""What a training leaves: the weights, a card that says what they are and how good, and three pictures."""

from __future__ import annotations

from pathlib import Path

from benchmarks.prior_data import Pictures
from benchmarks.prior_pictures import SHOWN, decibels, gain_curve, loss_curve, sample_sheet
from benchmarks.prior_quality import LEVELS, gain, held_out_loss, samples
from benchmarks.prior_training import Training
from problems.weight_files import CARD, load, save


def write(folder: Path, training: Training, pictures: Pictures, command: str, device: str) -> None:
    """Writes prior.safetensors, card.md, loss.png, gain.png and samples.png of a training that is done."""
    prior, seed = training.prior(), training.recipe.seed
    path = folder / "prior.safetensors"
    save(path, prior, dict(zip(CARD, (pictures.described, command, pictures.licence), strict=True)))
    _, card = load(path)
    loss = held_out_loss(prior, pictures.held_out, seed, device)
    found = gain(prior, pictures.train, pictures.held_out, seed, device)
    lines = ["# Learned prior", ""]
    lines += [f"- {name}: {card[name]}" for name in (*CARD, "architecture", "digest")]
    lines += [
        f"- size: {prior.weights.flat.size} weights, {path.stat().st_size / 1e6:.2f} MB",
        f"- noise levels of training: {training.recipe.sigma_min:g} to {training.recipe.sigma_max:g}, in units of x",
        f"- loss on {len(pictures.held_out)} held-out pictures: {loss:.4f} (a network that is zero: 1)",
        "",
        "| sigma | rms error | of a Gaussian | gain, dB |",
        "|---|---|---|---|",
    ]
    for row in zip(LEVELS, found.learned, found.gaussian, decibels(found), strict=True):
        lines.append("| {:.3g} | {:.4f} | {:.4f} | {:+.2f} |".format(*row))
    (folder / "card.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, figure in (
        ("loss", loss_curve(training.losses, loss, training.recipe.steps)),
        ("gain", gain_curve(found)),
        ("samples", sample_sheet(samples(prior, SHOWN, seed, device), pictures.held_out)),
    ):
        figure.savefig(folder / f"{name}.png", dpi=150)
