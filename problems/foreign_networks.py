"""Networks that others have trained, from a user's disk: folders of diffusers, and files of guided-diffusion.

    hf:OWNER/NAME   a diffusers pipeline or U-Net in the user's cache of the Hugging Face hub
    FOLDER          the same in a folder of its own
    FILE.safetensors, FILE.pt, FILE.pth    weights with the names of guided-diffusion
    FILE.safetensors    of `benchmarks.train_prior`

Nothing is downloaded. Pickled files are read as numbers alone: code in them is refused, not run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np

from problems.learned import LearnedPrior
from problems.module_prior import Network, Prediction, module_prior
from problems.names import UsageError
from problems.weight_files import load as load_weights

HUB = "hf:"
OWN = "data.mean"
"""An array that files of train_prior alone have."""
NESTED = ("ema", "state_dict", "model")
"""Under which some files keep their weights; samples are meant to come of their moving average."""
VP = re.compile("(DDPM|DDIM|PNDM|DPMSolver|DEIS|UniPC)")
"""Schedulers of diffusers whose schedule is discrete and preserves the variance."""
LINEAR_BETAS = (1e-4, 2e-2, 1000)
"""First, last and number, of Ho et al. 2020 (arXiv 2006.11239): what guided-diffusion's networks are trained with."""


def load_prior(source: str, shape: tuple[int, ...]) -> Any:
    """The prior of a source, for pictures in [0, 1] of a shape, (h, w) or (channels, h, w).

    Raises:
        UsageError: for a source that does not exist or holds no such network, or one for other pictures.
    """
    path = Path(source)
    if source.startswith(HUB) or path.is_dir():
        return module_prior(_diffusers(source, shape), shape)
    if not path.is_file():
        raise UsageError(
            f"there is no prior {source!r}; give hf:OWNER/NAME, a folder of diffusers, or a file of weights"
        )
    if path.suffix != ".safetensors":
        return module_prior(_guided(_pickled(path), source, shape), shape)
    state = _safetensors(path)
    return _own(path, shape) if OWN in state else module_prior(_guided(state, source, shape), shape)


def _own(path: Path, shape: tuple[int, ...]) -> LearnedPrior:
    prior = load_weights(path)[0]
    if prior.shape != shape:
        raise UsageError(f"{path} is a prior for pictures of {prior.shape}, got a problem with {shape}")
    return prior


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot read weights from {path}: {error}") from None


def _pickled(path: Path) -> dict[str, Any]:
    """The weights of a file of torch.save, by name; perhaps one level down, under a usual name."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its reader meets: of a zip file, of pickles, of the system
        what = "it holds more than numbers, and is not opened" if "weights_only" in str(error) else type(error).__name__
        raise UsageError(f"cannot read weights from {path}: {what}") from None
    inner = next((state[name] for name in NESTED if name in state), state) if isinstance(state, dict) else None
    if not isinstance(inner, dict) or not all(isinstance(value, torch.Tensor) for value in inner.values()):
        raise UsageError(f"{path} holds no weights by name")
    return inner


def _guided(state: dict[str, Any], source: str, shape: tuple[int, ...]) -> Network:
    from problems.guided_diffusion import design_of, guided_unet

    try:
        design, module = design_of(state), guided_unet(state)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    _refuse_misfit(source, shape, design.channels, multiple=2 ** (len(design.widths) - 1))
    return Network(module, "epsilon", np.cumprod(1 - np.linspace(*LINEAR_BETAS)))


def _diffusers(source: str, shape: tuple[int, ...]) -> Network:
    try:
        import diffusers
    except ImportError:
        raise UsageError(
            f"{source} is read by diffusers, which is not installed: pip install -e '.[networks]'"
        ) from None
    folder = _cached(source.removeprefix(HUB)) if source.startswith(HUB) else Path(source)
    unet = folder / "unet" if (folder / "unet").is_dir() else folder
    try:
        module = diffusers.UNet2DModel.from_pretrained(unet, local_files_only=True)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{source} holds no unconditional U-Net of diffusers: {str(error).splitlines()[0]}") from None
    if module.config.num_class_embeds or module.config.class_embed_type:
        raise UsageError(f"the network of {source} was trained with class labels; a prior has none to give")
    side = module.config.sample_size
    sides = (side, side) if isinstance(side, int) else side
    halvings = 2 ** (len(module.config.block_out_channels) - 1)
    _refuse_misfit(
        source, shape, module.config.in_channels, multiple=halvings, sides=None if sides is None else tuple(sides)
    )
    bars: np.ndarray = np.cumprod(1 - np.linspace(*LINEAR_BETAS))
    prediction: Any = "epsilon"
    if (folder / "scheduler").is_dir():
        bars, prediction = _schedule(folder / "scheduler", source)
    if prediction not in get_args(Prediction):
        raise UsageError(f"{source} predicts {prediction!r}; known are {', '.join(get_args(Prediction))}")
    try:
        return Network(_plain(module.eval().requires_grad_(False)), prediction, bars)
    except UsageError as error:
        raise UsageError(f"the scheduler of {source} is none that a prior can use: {error}") from None


def _schedule(folder: Path, source: str) -> tuple[np.ndarray, Any]:
    """abar at every time, and what is predicted, of a folder of a discrete variance-preserving scheduler."""
    import diffusers

    try:
        told = dict(json.loads((folder / "scheduler_config.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{source} has no scheduler that can be read: {str(error).splitlines()[0]}") from None
    kind = told.get("_class_name")
    if not VP.match(str(kind)) or "beta_schedule" not in told:
        raise UsageError(
            f"{source} was trained with {kind}; a prior can use the variance-preserving schedules of DDPM, DDIM, PNDM, "
            "DPM-Solver, DEIS and UniPC"
        )
    try:
        scheduler = diffusers.DDPMScheduler.from_config(told)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UsageError(f"{source} has a scheduler that diffusers refuses: {str(error).splitlines()[0]}") from None
    return scheduler.alphas_cumprod.numpy(), scheduler.config.prediction_type


def _cached(name: str) -> Path:
    """The folder of a model in the user's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError):
        raise UsageError(
            f"{HUB}{name} is not in the cache of the Hugging Face hub, and nothing is downloaded here: "
            f"hf download {name}"
        ) from None


def _plain(unet: Any) -> Any:
    """The U-Net returning an array."""
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unet = unet

        def forward(self, x: Any, times: Any) -> Any:
            return self.unet(x, times, return_dict=False)[0]

    return Plain()


def _refuse_misfit(
    source: str, shape: tuple[int, ...], channels: int, *, multiple: int = 1, sides: tuple[int, ...] | None = None
) -> None:
    """Raises a UsageError unless a network with some channels takes pictures of a shape."""
    own = shape[0] if len(shape) == 3 else 1
    if own != channels:
        kinds = {1: "grey", 3: "in colour"}
        raise UsageError(
            f"the network of {source} takes pictures that are {kinds.get(channels, f'of {channels} channels')}, the "
            f"problem's are {kinds.get(own, f'of {own} channels')}"
        )
    if sides is not None and sides != shape[-2:]:
        raise UsageError(f"the network of {source} takes {sides[0]} x {sides[1]} pixels, the problem has {shape[-2:]}")
    if any(side % multiple for side in shape[-2:]):
        raise UsageError(f"the network of {source} takes sides that are multiples of {multiple}, got {shape[-2:]}")
