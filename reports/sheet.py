"""Pictures of an image problem: truth and measurement, then mean, std, error and samples of every method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import layout
from reports.columns import number
from reports.ranking import Cell, named
from reports.rows import tried_rows
from reports.run import Arrays, Run
from reports.style import DIVERGING, INK, SEQUENTIAL, TINY

MAX_ROWS = 40
PITCH = 0.5
"""Inches from one picture to the next, at most; lengths within the sheet are in these units."""
HEADER, MARGIN = 0.3, 0.05
SAMPLES = 3
COLUMNS = ("mean", "std", "error / std", *(f"sample {i}" for i in range(1, SAMPLES + 1)), "zoom")
"""The last is the middle of the first sample, twice as large."""
ERROR = 4.0
"""Standard deviations at the two ends of the colours of errors."""
BANDS = ("low", "mid", "high")
EXACT = "exact posterior\n(closed form)"
BAD = (245, 205, 165, 255)
"""The colour of pixels that are not finite."""
FRAME = (190, 190, 190, 255)
NEEDS = {"x_true", "y_image", "prior_std"}
CAPTION = (
    "{problem}, instance {instance}. Grey: {low:.2g} to {high:.2g}; measured, in its own range: the sinogram, the "
    "logarithm of amplitudes in k-space or of visibilities on the plane of baselines, or else the pseudo-inverse of A "
    "times y. std: 0 to {std:.2g}, dark to bright. "
    "Error: mean minus truth, blue to red: -{error:g} to {error:g} std. Orange: not finite. Floors: SW1 / floor95; "
    "90 %: coverage of 90 % intervals minus 90, in points, at low, middle and high spatial frequencies; both over all "
    "instances. Italic: reference rows, † given the exact posterior's score."
)
COLOURED = " std and error are those of the mean of the three channels."


@dataclass(frozen=True)
class Range:
    """The values at the two ends of the grey scale, and at the bright end of the scale of std."""

    low: float
    high: float
    std: float


def draw(rows: pd.DataFrame, run: Run, instance: int, picture: Arrays) -> Figure:
    """The sheet of one problem, in two blocks of rows.

    Args:
        rows: the problem's rows of the leaderboard.
        run: gives the stored samples, (n, *shape).
        instance: the instance that the picture shows.
        picture: x_true and prior_std of the shape (h, w) or (3, h, w), y_image, (rows, columns) or of that shape, and,
            where the posterior is known, posterior_mean, posterior_std of that shape and samples (n, *shape).
    """
    methods, others = tried_rows(rows, MAX_ROWS)
    lines = math.ceil(len(methods) / 2)
    names = [_name(cell) for cell in methods]
    name = layout.text_width([line for text in [*names, EXACT] for line in text.split("\n")], TINY) + 3 * layout.EDGE
    unit = min(PITCH, (layout.PAGE / 2 - name - layout.EDGE) / len(COLUMNS))
    name /= unit  # from here on in units of a picture
    block = name + len(COLUMNS)
    size = 2 * block + MARGIN, lines + 1 + 2 * HEADER
    limits = _range(picture)
    told = CAPTION.format(problem=rows["problem"].iloc[0], instance=instance, error=ERROR, **vars(limits))
    text = layout.caption(told + COLOURED * (picture["x_true"].ndim == 3) + others, size[0] * unit)
    foot = layout.caption_height(text) + 2 * layout.EDGE
    figure = layout.new_figure(size[0] * unit, size[1] * unit + foot)
    panel = layout.axes_at(figure, 0, 0, size[0] * unit, size[1] * unit)
    panel.axis("off")
    _first_line(panel, picture, limits, name, block)
    for half in (0, 1):
        left, top = block * half, 1 + 2 * HEADER
        pictures: list[list[np.ndarray]] = []
        for place in range(half * lines, min((half + 1) * lines, len(methods))):
            cell, line = methods[place], place - half * lines
            samples = run.samples(cell["problem"], instance, cell["method"], cell["config"], cell["framework"])
            style = "italic" if cell["reference"] else "normal"
            _write(panel, left + name - 2 * MARGIN, top + line + 0.5, names[place], ha="right", fontstyle=style)
            if samples is None:
                words = cell["status"].replace("_", " ") if not cell["tasks_ok"] else "no samples kept"
                _write(panel, left + name + len(COLUMNS) / 2, top + line + 0.5, words)
            pictures.append([] if samples is None else _pictures(samples, picture["x_true"], limits))
        if pictures:
            _headers(panel, left + name, top, COLUMNS)
            _mosaic(panel, left + name, top, pictures)
    panel.set(xlim=(0, size[0]), ylim=(size[1], 0), aspect="auto")
    layout.add_caption(figure, text)
    return figure


def _range(picture: Arrays) -> Range:
    values = np.concatenate([picture[name].ravel() for name in ("samples", "x_true") if name in picture])
    low, high = np.quantile(values, [0.005, 0.995])
    std = 1.5 * picture["posterior_std"].max() if "posterior_std" in picture else picture["prior_std"].max()
    return Range(float(low), float(high), float(std))


def _first_line(panel: Axes, picture: Arrays, limits: Range, name: float, block: float) -> None:
    """Truth and measurement at the left, the exact posterior, if it is known, at the right."""
    measured = _resized(picture["y_image"], picture["x_true"].shape[-2:])
    own = Range(float(measured.min()), float(measured.max()), limits.std)
    _headers(panel, name, HEADER, ("truth", "measured"))
    _mosaic(panel, name, HEADER, [[_shown(picture["x_true"], limits), _shown(measured, own)]])
    if "samples" not in picture:
        return
    _headers(panel, block + name, HEADER, COLUMNS)
    _write(panel, block + name - 2 * MARGIN, HEADER + 0.5, EXACT, ha="right", fontweight="bold")
    moments = picture["posterior_mean"], picture["posterior_std"]
    _mosaic(panel, block + name, HEADER, [_line(*moments, picture["samples"], picture["x_true"], limits)])


def drawable(picture: Arrays) -> bool:
    """Whether a picture is one of a grey or coloured image and has what `draw` needs."""
    if not picture.keys() >= NEEDS:
        return False
    shape = picture["x_true"].shape
    return len(shape) == 2 or (len(shape) == 3 and shape[0] == 3)


def _resized(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """As many rows and columns of the pixels of an image (..., rows, columns)."""
    rows, columns = (np.arange(n) * length // n for n, length in zip(size, image.shape[-2:], strict=True))
    return image[..., rows[:, None], columns]


def _pictures(samples: np.ndarray, truth: np.ndarray, limits: Range) -> list[np.ndarray]:
    """The RGBA pictures of one line."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean, std = samples.mean(axis=0), samples.std(axis=0)
    return _line(mean, std, samples, truth, limits)


def _line(mean: np.ndarray, std: np.ndarray, samples: np.ndarray, truth: np.ndarray, limits: Range) -> list[np.ndarray]:
    shown = mean
    if truth.ndim == 3:
        mean, truth = mean.mean(axis=0), truth.mean(axis=0)
        with np.errstate(invalid="ignore", over="ignore"):
            std = samples.mean(axis=1).std(axis=0)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        error = np.where(mean == truth, 0.0, (mean - truth) / std)
    return [
        _shown(shown, limits),
        _colored(std, limits),
        _rgba(DIVERGING, np.clip(error, -ERROR, ERROR), -ERROR, ERROR),  # infinite where there is no spread
        *(_shown(sample, limits) for sample in samples[:SAMPLES]),
        _shown(_zoomed(samples[0]), limits),
    ]


def _zoomed(image: np.ndarray) -> np.ndarray:
    """The middle half of an image at its size."""
    rows, columns = (slice(side // 4, side - side // 4) for side in image.shape[-2:])
    return _resized(image[..., rows, columns], image.shape[-2:])


def _shown(image: np.ndarray, limits: Range) -> np.ndarray:
    """An image (h, w) in grey, or (3, h, w) in colour."""
    channels = [_rgba("gray", one, limits.low, limits.high) for one in (image if image.ndim == 3 else image[None])]
    if len(channels) == 1:
        return channels[0]
    pixels = np.stack([*(one[..., 0] for one in channels), channels[0][..., 3]], axis=-1)
    pixels[~np.isfinite(image).all(axis=0)] = BAD
    return pixels


def _colored(image: np.ndarray, limits: Range) -> np.ndarray:
    return _rgba(SEQUENTIAL, image, 0.0, limits.std)


def _rgba(colors: str, image: np.ndarray, low: float, high: float) -> np.ndarray:
    shade = np.ma.masked_invalid((image.astype(float) - low) / max(high - low, 1e-12))
    pixels = mpl.colormaps[colors](shade.clip(0, 1), bytes=True)
    pixels[~np.isfinite(image)] = BAD
    return pixels


def _mosaic(panel: Axes, left: float, top: float, pictures: list[list[np.ndarray]]) -> None:
    """Lines of pictures as one image: hundreds of images would take seconds to write."""
    side = max((max(line[0].shape[:2]) for line in pictures if line), default=0)
    if not side:
        return
    grain = max(1, round(40 / side))  # so that a margin is a whole number of pixels
    margin = max(1, round(MARGIN * side * grain / (1 - 2 * MARGIN)))
    unit = side * grain + 2 * margin
    columns = max(len(line) for line in pictures)
    canvas = np.zeros((unit * len(pictures), unit * columns, 4), np.uint8)
    for row, line in enumerate(pictures):
        for column, image in enumerate(line):
            y, x = row * unit + margin, column * unit + margin
            height, width = (length * grain for length in image.shape[:2])
            y, x = y + (side * grain - height) // 2, x + (side * grain - width) // 2
            canvas[y - 1 : y + height + 1, x - 1 : x + width + 1] = FRAME
            canvas[y : y + height, x : x + width] = np.kron(image, np.ones((grain, grain, 1), np.uint8))
    extent = (left, left + columns, top + len(pictures), top)
    panel.imshow(canvas, extent=extent, interpolation="nearest", aspect="auto")


def _headers(panel: Axes, left: float, top: float, words: tuple[str, ...]) -> None:
    for column, word in enumerate(words):
        _write(panel, left + column + 0.5, top - 0.02, word, va="bottom")


def _name(cell: Cell) -> str:
    """Label, configuration, SW1 / floor95 and coverage by bands of frequency on lines of their own."""
    base, bracket, config = named(cell).partition("[")
    ratio = cell["sw1_over_floor95"]
    lines = [base, bracket + config, f"{number(ratio)} floors" if cell["tasks_ok"] and np.isfinite(ratio) else ""]
    errors = [100 * cell.get(f"coverage90_{band}", math.nan) for band in BANDS]
    if cell["tasks_ok"] and np.all(np.isfinite(errors)):
        lines.append("90 %: " + " ".join(f"{error:+.0f}" for error in errors))
    return "\n".join(line for line in lines if line)


def _write(panel: Axes, x: float, y: float, text: str, ha: str = "center", va: str = "center", **how: Any) -> None:
    panel.text(x, y, text, ha=ha, va=va, fontsize=TINY, color=INK, **how)
