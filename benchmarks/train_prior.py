"""Trains the network of a learned prior: `python -m benchmarks.train_prior digits --minutes 20`.

On a named set of pictures, a folder of images, or a .npy file (n, *shape). The folder --out, runs/prior-<data> if not
given, gets prior.safetensors with the averaged weights, card.md, and pictures of the loss, the denoising gain and
samples. A second run of the same command goes on from the last checkpoint, as if it had not been stopped.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.devices import missing_device
from benchmarks.prior_card import write
from benchmarks.prior_data import SETS, Pictures, pictures_of
from benchmarks.prior_training import Recipe, Training, checkpoint
from problems.learned import LearnedPrior, learned_prior
from problems.mlp import MLP
from problems.names import UsageError
from problems.networks import initial
from problems.unet import UNet

COARSEST = 4
"""Pixels that the coarsest level of a U-Net has in a row at least, where --widths does not say."""
MINUTES = 20.0
SAVE_SECONDS = 60.0
_WARM_STEPS, _TIMED_STEPS = 5, 20
_PLAIN_SECONDS = 10.0
"""Where no terminal shows a bar, lines come at most this often."""
_SHOWN_LOSSES = 100
"""The loss that is shown is the mean of so many."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def train_prior(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help=f"A named set ({', '.join(SETS)}), a folder of images, or a .npy file.",
        ),
    ],
    minutes: Annotated[float | None, typer.Option(min=0.001, help="About how long; 20 unless --steps says.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How many steps, instead of --minutes.")] = None,
    network: Annotated[Literal["auto", "unet", "mlp"], typer.Option(help="auto: an MLP for vectors.")] = "auto",
    widths: Annotated[str | None, typer.Option(help="Channels per level, '32,40,48'; of an MLP one number.")] = None,
    blocks: Annotated[int | None, typer.Option(min=1, help="Residual blocks, of a U-Net per level.")] = None,
    attention: Annotated[bool, typer.Option("--attention", help="On the coarsest level of a U-Net.")] = False,
    patch: Annotated[int, typer.Option(min=1, help="A U-Net takes squares of patch x patch pixels as one.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = Recipe.batch,
    rate: Annotated[float, typer.Option(min=1e-9, help="The highest learning rate.")] = Recipe.rate,
    decay: Annotated[float, typer.Option(min=0.0, help="Of the weights; more against few pictures.")] = Recipe.decay,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and of all draws.")] = Recipe.seed,
    crop: Annotated[int | None, typer.Option(min=1, help="Side of the squares to cut images into.")] = None,
    colour: Annotated[bool, typer.Option("--colour", help="Read images as three channels.")] = False,
    licence: Annotated[str, typer.Option(help="Of images of your own.")] = "not stated",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="The folder to write.")] = None,
) -> None:
    """Train a network to denoise pictures, as a prior for samplers."""
    if minutes is not None and steps is not None:
        raise UsageError("--minutes and --steps both say how long to train; give one")
    if missing := missing_device(device, {"torch"}):
        raise UsageError(missing)
    console = Console(highlight=False)
    pictures = pictures_of(source, crop=crop, colour=colour, licence=licence)
    architecture = architecture_for(pictures.shape, network, widths, blocks, attention, patch)
    start = learned_prior(initial(architecture, seed), pictures.train)
    folder = out or Path("runs") / f"prior-{Path(source).stem}"
    _make(folder)
    saved = folder / "checkpoint.pt"
    recipe = Recipe(steps=steps or 1, batch=batch, rate=rate, decay=decay, seed=seed)
    if steps is None:
        known = json.loads(checkpoint(saved)["settings"]).get("steps") if saved.exists() else None
        chosen = known or steps_in(60 * (minutes or MINUTES), start, pictures, recipe, device)
        recipe = dataclasses.replace(recipe, steps=chosen)
    training = Training(start, pictures.train, recipe, device)
    if saved.exists():
        training.resume(saved, pictures.described)
        console.print(f"goes on after step {len(training.losses)} of {recipe.steps}")
    try:
        descend(training, saved, pictures.described, console)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from the last checkpoint")
        raise typer.Exit(130) from None
    write(folder, training, pictures, command_of(context, recipe.steps), device)
    console.print(f"in {folder}: prior.safetensors, card.md, loss.png, gain.png, samples.png")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write the folder {folder}: {error.strerror}") from None


def architecture_for(
    shape: tuple[int, ...], network: str, widths: str | None, blocks: int | None, attention: bool, patch: int
) -> Any:
    """The network that the options name, for pictures of a shape.

    Raises:
        UsageError: for options that do not go together, or a shape that the network does not take.
    """
    try:
        sizes = tuple(int(word) for word in widths.split(",")) if widths else None
    except ValueError:
        raise UsageError(f"--widths takes whole numbers separated by commas, got {widths!r}") from None
    chosen: dict[str, Any] = {} if blocks is None else {"blocks": blocks}
    architecture: Any
    if network == "mlp" or (network == "auto" and len(shape) == 1):
        if attention or patch > 1 or (sizes and len(sizes) > 1):
            raise UsageError("an MLP has one width, no --attention and no --patch; --network unet has them")
        architecture = MLP(dim=math.prod(shape), **chosen, **({"width": sizes[0]} if sizes else {}))
    else:
        chosen["widths"] = sizes or UNet.widths[: _levels([side // patch for side in shape[-2:]])]
        channels = shape[0] if len(shape) == 3 else 1
        architecture = UNet(channels=channels, attention=attention, patch=patch, **chosen)
    architecture.check(shape)
    return architecture


def _levels(sides: list[int]) -> int:
    """How often sides can be halved so that COARSEST pixels are left, and one more."""
    levels = 1
    while all(side % 2**levels == 0 and side >= COARSEST * 2**levels for side in sides):
        levels += 1
    return levels


def steps_in(seconds: float, start: LearnedPrior, pictures: Pictures, recipe: Recipe, device: str) -> int:
    """How many steps fit into a time, measured on a few that are thrown away."""
    trial = Training(start, pictures.train, dataclasses.replace(recipe, steps=_WARM_STEPS + _TIMED_STEPS), device)
    for _ in range(_WARM_STEPS):
        trial.step()
    began = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        trial.step()
    return max(1, int(seconds * _TIMED_STEPS / (time.perf_counter() - began)))


def descend(training: Training, saved: Path, about: str, console: Console) -> None:
    """Takes the steps that are left, with a bar on a terminal or lines elsewhere; saves every minute and at the end."""
    written = time.monotonic()
    with _shown(training, console) as tell:
        while len(training.losses) < training.recipe.steps:
            training.step()
            tell()
            if time.monotonic() - written > SAVE_SECONDS:
                training.save(saved, about)
                written = time.monotonic()
    training.save(saved, about)


@contextmanager
def _shown(training: Training, console: Console) -> Iterator[Callable[[], None]]:
    """What is called after every step."""
    total = training.recipe.steps

    def loss() -> str:
        last = training.losses[-_SHOWN_LOSSES:]
        return f"loss {sum(last) / len(last):.3f}"

    if console.is_terminal:
        columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=total, completed=len(training.losses))
            yield lambda: bar.update(task, completed=len(training.losses), description=loss())
        return
    spoke = time.monotonic()

    def line() -> None:
        nonlocal spoke
        if time.monotonic() - spoke > _PLAIN_SECONDS:
            spoke = time.monotonic()
            console.print(f"step {len(training.losses)}/{total}, {loss()}")

    yield line


def command_of(context: typer.Context, steps: int) -> str:
    """The command that gives the same weights again: with the number of steps in the place of the time."""
    words = ["python", "-m", "benchmarks.train_prior", context.params["source"]]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if option.name not in ("source", "minutes", "steps", "out") and value != option.default:
            words += [option.opts[0]] if value is True else [option.opts[0], str(value)]
    return shlex.join([*words, "--steps", str(steps)])


def main(words: list[str]) -> None:
    """The command line; a mistake of the user is one sentence on stderr and exit code 2."""
    try:
        app(words, prog_name="python -m benchmarks.train_prior")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
