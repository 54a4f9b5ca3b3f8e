"""The U-Net of Dhariwal and Nichol 2021 (arXiv 2105.05233), with the names of weights of its published checkpoints.

Written for their files: what the network is, number of heads apart, is read off the names and shapes of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from problems.names import UsageError

GROUPS = 32
HEAD_CHANNELS = 64
"""Of attention, where nobody says: that of the published networks of 256 pixels."""


@dataclass(frozen=True)
class Design:
    """What a checkpoint tells of its network.

    Attributes:
        channels, outputs: of the pictures and of what is returned. times: sines and cosines of a time.
        widths: channels per level, finest first.
        blocks: residual blocks per level. attends: which levels have attention. resizes_in_blocks: whether residual
            blocks halve and double pixels, or layers of their own. scales: whether times scale as well as shift.
    """

    channels: int
    outputs: int
    times: int
    widths: tuple[int, ...]
    blocks: int
    attends: tuple[bool, ...]
    resizes_in_blocks: bool
    scales: bool


def design_of(state: Mapping[str, Tensor]) -> Design:
    """The design of a checkpoint.

    Raises:
        UsageError: if its names are not those of such a network, or if it is one for labelled classes.
    """
    if "label_emb.weight" in state:
        raise UsageError("the network was trained with class labels; a prior has none to give")
    try:
        stem, head, times = (state[f"{name}.weight"] for name in ("input_blocks.0.0", "out.2", "time_embed.0"))
        last = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("output_blocks."))
        doubles = [j for j in range(last) if _resized(state, f"output_blocks.{j}")]
        period = 1 + (doubles[0] if doubles else last - 1)  # blocks + 1 of them on the way up in each level
        levels = range(0, last, period)
        finest = [f"input_blocks.{1 + i}" for i in levels]
        widths = tuple(int(state[f"{name}.0.out_layers.3.weight"].shape[0]) for name in finest)
        scales = state[f"{finest[0]}.0.emb_layers.1.weight"].shape[0] == 2 * widths[0]
    except (KeyError, ValueError, IndexError) as error:
        told = f"{error} is missing" if isinstance(error, KeyError) else "its blocks are not told"
        raise UsageError(f"no weights of a guided-diffusion network: {told}") from None
    return Design(
        channels=int(stem.shape[1]),
        outputs=int(head.shape[0]),
        times=int(times.shape[1]),
        widths=widths,
        blocks=period - 1,
        attends=tuple(f"{name}.1.qkv.weight" in state for name in finest),
        resizes_in_blocks=len(widths) > 1 and f"input_blocks.{period}.0.op.weight" not in state,
        scales=bool(scales),
    )


def _resized(state: Mapping[str, Tensor], block: str) -> bool:
    """Whether a block on the way up ends by doubling pixels: in a layer, or in a second residual block."""
    return any(f"{block}.{i}.{kind}.weight" in state for i in (1, 2) for kind in ("conv", "in_layers.2"))


class Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the second norm moved by the time; `resize` is applied to both."""

    def __init__(self, inputs: int, outputs: int, embedding: int, scales: bool, resize: nn.Module) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs * (2 if scales else 1)))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, outputs), nn.SiLU(), nn.Identity(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.resize, self.scales = resize, scales

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.in_layers[2](self.resize(self.in_layers[1](self.in_layers[0](x))))
        moved = self.emb_layers(embedding)[:, :, None, None]
        if self.scales:
            scale, shift = moved.chunk(2, dim=1)
            h = self.out_layers[0](h) * (1 + scale) + shift
            h = self.out_layers[3](self.out_layers[1](h))
        else:
            h = self.out_layers(h + moved)
        return self.skip_connection(self.resize(x)) + h


class Attention(nn.Module):
    """x + projection of what every pixel reads from all pixels, in heads of some channels."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        self.heads = channels // head_channels

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        flat = x.reshape(n, channels, -1)
        # the channels of a head are neighbours, in the order queries, keys, values
        heads = self.qkv(self.norm(flat)).reshape(n, self.heads, 3, channels // self.heads, height * width)
        q, k, v = heads.transpose(-1, -2).unbind(dim=2)
        read = functional.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, channels, -1)
        return (flat + self.proj_out(read)).reshape(x.shape)


class Halved(nn.Module):
    """A convolution that keeps every second pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Doubled(nn.Module):
    """Every pixel four times, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))


class GuidedUNet(nn.Module):
    """The network, (n, channels, h, w) and times (n,) -> (n, outputs, h, w)."""

    def __init__(self, design: Design, head_channels: int = HEAD_CHANNELS) -> None:
        super().__init__()
        self.times = design.times
        embedding = 4 * design.times

        def residual(inputs: int, outputs: int, resize: nn.Module | None = None) -> Residual:
            return Residual(inputs, outputs, embedding, design.scales, resize or nn.Identity())

        self.time_embed = nn.Sequential(nn.Linear(design.times, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(design.channels, design.widths[0], 3, padding=1)])])
        channels, kept = design.widths[0], [design.widths[0]]
        for level, (wide, attends) in enumerate(zip(design.widths, design.attends, strict=True)):
            for _ in range(design.blocks):
                layers: list[nn.Module] = [residual(channels, wide)]
                self.input_blocks.append(nn.ModuleList(layers + [Attention(wide, head_channels)] * attends))
                channels = wide
                kept.append(channels)
            if level + 1 < len(design.widths):
                down = residual(channels, channels, nn.AvgPool2d(2)) if design.resizes_in_blocks else Halved(channels)
                self.input_blocks.append(nn.ModuleList([down]))
                kept.append(channels)
        middle = [residual(channels, channels), Attention(channels, head_channels), residual(channels, channels)]
        self.middle_block = nn.ModuleList(middle)
        self.output_blocks = nn.ModuleList()
        for level, (wide, attends) in reversed(list(enumerate(zip(design.widths, design.attends, strict=True)))):
            for i in range(design.blocks + 1):
                layers = [residual(channels + kept.pop(), wide)]
                layers += [Attention(wide, head_channels)] * attends
                channels = wide
                if level and i == design.blocks:
                    doubled = nn.Upsample(scale_factor=2, mode="nearest")
                    layers.append(residual(wide, wide, doubled) if design.resizes_in_blocks else Doubled(wide))
                self.output_blocks.append(nn.ModuleList(layers))
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, design.outputs, 3, padding=1)
        )

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        embedding = self.time_embed(time_embedding(times, self.times))
        kept = []
        for block in self.input_blocks:
            x = _through(block, x, embedding)
            kept.append(x)
        x = _through(self.middle_block, x, embedding)
        for block in self.output_blocks:
            x = _through(block, torch.cat([x, kept.pop()], dim=1), embedding)
        return self.out(x)


def guided_unet(state: Mapping[str, Tensor], head_channels: int = HEAD_CHANNELS) -> GuidedUNet:
    """The network of a checkpoint, ready to denoise.

    Raises:
        UsageError: for names or shapes that are not those of such a network.
    """
    design = design_of(state)
    attending = [w for w, attends in zip(design.widths, design.attends, strict=True) if attends] + [design.widths[-1]]
    if any(width % GROUPS for width in design.widths) or any(width % head_channels for width in attending):
        raise UsageError(
            f"a guided-diffusion network has widths that are multiples of {GROUPS}, and of {head_channels} where it "
            f"attends, got {', '.join(map(str, design.widths))}"
        )
    network = GuidedUNet(design, head_channels)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        told = [line.strip() for line in str(error).splitlines()[1:]]
        raise UsageError(f"the weights do not fit a guided-diffusion network: {' '.join(told)[:300]}") from None
    return network.eval().requires_grad_(False)


def time_embedding(times: Tensor, width: int) -> Tensor:
    """cos and sin of the times times frequencies from 1 down to 1e-4, (n, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / half * torch.arange(half, dtype=times.dtype, device=times.device))
    angles = times[:, None] * frequencies[None, :]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)


def _through(layers: Any, x: Tensor, embedding: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x, embedding) if isinstance(layer, Residual) else layer(x)
    return x
