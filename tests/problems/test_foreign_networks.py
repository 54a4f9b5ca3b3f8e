"""Networks of others: what they predict is converted, files of two kinds load, and what does not fit is refused."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from methods import METHODS
from problems import load
from problems.arrays import make_key
from problems.contract import to
from problems.foreign_networks import _schedule, load_prior
from problems.guided_diffusion import Attention, Design, GuidedUNet, design_of, time_embedding
from problems.module_prior import Network, module_prior
from problems.names import UsageError

SHAPE = (16, 16)
BARS = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))
SIGMAS = np.sqrt((1 - BARS) / BARS)
DESIGN = Design(
    channels=1,
    outputs=2,
    times=32,
    widths=(32, 64),
    blocks=2,
    attends=(False, True),
    resizes_in_blocks=True,
    scales=True,
)


class Told(torch.nn.Module):
    """Remembers what it was asked, and returns an affine function of it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.3), requires_grad=False)
        self.asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        self.asked.append((x.detach(), times.detach()))
        return torch.cat([self.weight * x + 0.01 * times[:, None, None, None], x], dim=1)


def pictures(n: int = 3, dtype: str = "float32") -> np.ndarray:
    return make_key("numpy", [3]).random((n, *SHAPE)).astype(dtype)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("time", [0, 37, 999])
def test_predictions_are_converted_at_the_times_of_the_training(prediction: Any, time: int) -> None:
    """Pixels in [0, 1] with noise sigma are pixels in [-1, 1] with 2 sigma; the module sees sqrt(abar) times these."""
    module = Told()
    x = torch.tensor(pictures())
    sigma = torch.tensor(SIGMAS[time] / 2, dtype=torch.float32)
    denoised = to(module_prior(Network(module, prediction, BARS), SHAPE), "torch").denoise(x, sigma)
    (asked, times) = module.asked[-1]
    z = (2 * x - 1)[:, None]
    torch.testing.assert_close(asked, BARS[time] ** 0.5 * z.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(times, torch.full((3,), float(time)), rtol=0, atol=2e-3)
    returned = 0.3 * asked + 0.01 * time
    clean = {
        "epsilon": (asked - (1 - BARS[time]) ** 0.5 * returned) / BARS[time] ** 0.5,
        "v_prediction": BARS[time] ** 0.5 * asked - (1 - BARS[time]) ** 0.5 * returned,
        "sample": returned,
    }[prediction]
    torch.testing.assert_close(denoised, (clean[:, 0] + 1) / 2, rtol=1e-3, atol=1e-3 * float(clean.abs().max()))


def test_between_times_the_logarithm_of_sigma_is_interpolated_and_beyond_them_the_nearest_told() -> None:
    module = Told()
    prior = to(module_prior(Network(module, "epsilon", BARS), SHAPE), "torch", dtype="float64")
    x = torch.tensor(pictures(4, "float64"))
    sigma = torch.tensor([(SIGMAS[99] * SIGMAS[100]) ** 0.5 / 2, SIGMAS[500] / 2, 1e-4, 1e4], dtype=torch.float64)
    prior.denoise(x, sigma)
    np.testing.assert_allclose(module.asked[-1][1], [99.5, 500, 0, 999], atol=2e-3)


def test_schedules_that_do_not_fall_are_refused() -> None:
    for bars in ([0.5, 0.6], [0.5], [1.0, 0.0], [1.2, 0.5]):
        with pytest.raises(UsageError, match="alphas_cumprod falls"):
            Network(Told(), "epsilon", np.array(bars))


@pytest.fixture(scope="module")
def guided() -> GuidedUNet:
    """A network with weights none of which is zero."""
    torch.manual_seed(5)
    return GuidedUNet(DESIGN, head_channels=32).eval().requires_grad_(False)


def test_the_design_is_read_off_the_weights(guided: GuidedUNet) -> None:
    assert design_of(guided.state_dict()) == DESIGN
    for other in (
        Design(3, 3, 64, (32, 32, 64), 1, (False, True, True), False, True),
        Design(3, 6, 32, (32,), 2, (True,), False, False),
        Design(1, 1, 32, (64, 32), 3, (True, False), False, False),
    ):
        state = GuidedUNet(other).state_dict() if 64 in other.widths else GuidedUNet(other, 32).state_dict()
        assert design_of(state) == other


def test_names_of_weights_are_those_of_the_published_files(guided: GuidedUNet) -> None:
    names = set(guided.state_dict())
    assert {
        *("time_embed.0.weight", "time_embed.2.bias", "input_blocks.0.0.weight", "out.0.weight", "out.2.bias"),
        *("input_blocks.1.0.in_layers.0.weight", "input_blocks.1.0.in_layers.2.weight"),
        *("input_blocks.1.0.emb_layers.1.weight", "input_blocks.1.0.out_layers.0.weight"),
        *("input_blocks.1.0.out_layers.3.weight", "input_blocks.3.0.in_layers.2.weight"),
        *("input_blocks.4.0.skip_connection.weight", "input_blocks.4.1.norm.weight", "input_blocks.4.1.qkv.weight"),
        *("input_blocks.5.1.proj_out.weight", "middle_block.0.in_layers.2.weight", "middle_block.1.qkv.bias"),
        *("middle_block.2.out_layers.3.weight", "output_blocks.0.0.skip_connection.weight"),
        *(
            "output_blocks.2.1.qkv.weight",
            "output_blocks.2.2.in_layers.2.weight",
            "output_blocks.5.0.out_layers.3.bias",
        ),
    } <= names
    assert not any(name.startswith(("input_blocks.6", "output_blocks.6", "output_blocks.3.1")) for name in names)


def test_attention_reads_from_all_pixels() -> None:
    """Against the sums written out, head by head."""
    layer = Attention(64, 32)
    x = torch.randn(2, 64, 3, 3, generator=torch.Generator().manual_seed(1))
    flat = layer.norm(x.reshape(2, 64, 9))
    qkv = torch.einsum("oc,ncl->nol", layer.qkv.weight[:, :, 0], flat) + layer.qkv.bias[None, :, None]
    read = torch.zeros(2, 64, 9)
    for head in range(2):
        q, k, v = (qkv[:, 96 * head + 32 * i : 96 * head + 32 * (i + 1)] for i in range(3))
        weights = torch.softmax(torch.einsum("ncl,ncm->nlm", q, k) / 32**0.5, dim=-1)
        read[:, 32 * head : 32 * (head + 1)] = torch.einsum("nlm,ncm->ncl", weights, v)
    expected = x + (layer.proj_out(read)).reshape(x.shape)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_times_become_cosines_then_sines() -> None:
    found = time_embedding(torch.tensor([0.0, 250.5]), 8)
    frequencies = 10_000 ** (-np.arange(4) / 4)
    np.testing.assert_allclose(found[0], [1, 1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(found[1, :4], np.cos(250.5 * frequencies), atol=1e-4)
    np.testing.assert_allclose(found[1, 4:], np.sin(250.5 * frequencies), atol=1e-4)


@pytest.mark.parametrize("kind", ["safetensors", "pt", "nested"])
def test_a_file_of_guided_diffusion_loads_and_denoises(kind: str, tmp_path: Path) -> None:
    big = GuidedUNet(Design(1, 2, 64, (64, 64), 1, (False, True), True, True)).eval()
    path = tmp_path / ("net.safetensors" if kind == "safetensors" else "net.pt")
    state = big.state_dict()
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if kind == "nested" else state, path)
    prior = to(load_prior(str(path), SHAPE), "torch")
    x, sigma = torch.tensor(pictures()), torch.tensor(SIGMAS[300] / 2, dtype=torch.float32)
    z = (2 * x - 1)[:, None]
    with torch.no_grad():
        epsilon = big(BARS[300] ** 0.5 * z, torch.full((3,), 300.0))[:, :1]
    torch.testing.assert_close(
        prior.denoise(x, sigma), ((z - SIGMAS[300] * epsilon + 1) / 2)[:, 0], rtol=1e-3, atol=1e-3
    )


class Hostile:
    """What a pickle can do when it is opened: here, write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "opened")


def test_a_pickle_with_code_in_it_is_refused_unopened(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({"weights": Hostile(mark)}, tmp_path / "bad.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Hostile(mark)))
    for name in ("bad.pt", "plain.pt"):
        with pytest.raises(UsageError, match=f"cannot read weights from .*{name}"):
            load_prior(str(tmp_path / name), SHAPE)
        assert not mark.exists()
    pickle.loads((tmp_path / "plain.pt").read_bytes())  # the file is what it is said to be
    assert mark.read_text() == "opened"


def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path: Path) -> None:
    def refused(state: Any, shape: tuple[int, ...], words: str) -> None:
        torch.save(state, tmp_path / "net.pt")
        with pytest.raises(UsageError, match=words):
            load_prior(str(tmp_path / "net.pt"), shape)

    state = GuidedUNet(Design(1, 1, 64, (64, 64), 1, (False, True), True, True)).state_dict()
    refused({**state, "more.weight": torch.zeros(3)}, SHAPE, "do not fit a guided-diffusion network: .*more.weight")
    lacking = {name: value for name, value in state.items() if name != "middle_block.1.norm.weight"}
    refused(lacking, SHAPE, "do not fit a guided-diffusion network: .*middle_block.1.norm.weight")
    refused({**state, "out.2.bias": torch.zeros(7)}, SHAPE, "do not fit .*out.2.bias")
    refused({"a.weight": torch.zeros(3)}, SHAPE, "no weights of a guided-diffusion network")
    refused({**state, "label_emb.weight": torch.zeros(3)}, SHAPE, "class labels")
    refused(state, (3, 16, 16), "takes pictures that are grey, the problem's are in colour")
    refused(state, (15, 16), "multiples of 2")
    refused({"state_dict": [1, 2]}, SHAPE, r"holds no weights by name|cannot read")
    refused([torch.zeros(3)], SHAPE, "holds no weights by name")
    with pytest.raises(UsageError, match="there is no prior 'nowhere'"):
        load_prior("nowhere", SHAPE)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"cannot read weights from .*broken"):
        load_prior(str(tmp_path / "broken.safetensors"), SHAPE)
    shipped = Path("problems/data/prior-photos-32.safetensors")
    assert load_prior(str(shipped), (32, 32)).shape == (32, 32)
    with pytest.raises(UsageError, match=r"a prior for pictures of \(32, 32\), got a problem with \(16, 16\)"):
        load_prior(str(shipped), SHAPE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as diffusers saves it."""
    import diffusers

    torch.manual_seed(6)
    unet = diffusers.UNet2DModel(
        sample_size=16,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    path = tmp_path_factory.mktemp("ddpm")
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(prediction_type="v_prediction")).save_pretrained(path)
    return path


def test_a_folder_of_diffusers_loads_and_denoises(folder: Path) -> None:
    import diffusers

    prior = to(load_prior(str(folder), SHAPE), "torch")
    unet = diffusers.UNet2DModel.from_pretrained(folder / "unet")
    x, sigma = torch.tensor(pictures()), torch.tensor(SIGMAS[300] / 2, dtype=torch.float32)
    seen = (BARS[300] ** 0.5 * (2 * x - 1)[:, None]).float()
    with torch.no_grad():
        v = unet(seen, torch.tensor(300.0)).sample
    expected = (BARS[300] ** 0.5 * seen - (1 - BARS[300]) ** 0.5 * v + 1) / 2
    torch.testing.assert_close(prior.denoise(x, sigma), expected[:, 0].float(), rtol=1e-3, atol=1e-3)
    alone = load_prior(str(folder / "unet"), SHAPE)
    assert alone.network.prediction == "epsilon"


def test_folders_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes 16 x 16 pixels, the problem has"):
        load_prior(str(folder), (32, 32))
    with pytest.raises(UsageError, match="takes pictures that are grey, the problem's are in colour"):
        load_prior(str(folder), (3, 16, 16))
    with pytest.raises(UsageError, match="holds no unconditional U-Net of diffusers"):
        load_prior(str(tmp_path), SHAPE)
    with pytest.raises(UsageError, match=r"not in the cache of the Hugging Face hub"):
        load_prior("hf:nobody/nothing", SHAPE)


def test_jax_reaches_the_network_and_its_derivative(folder: Path) -> None:
    """Values and vector-Jacobian products, compiled, are those of torch; one level for all rows or one for each."""
    prior = load_prior(str(folder), SHAPE)
    in_torch, in_jax = (to(prior, framework) for framework in ("torch", "jax"))
    x, v = pictures(2), pictures(2)[::-1].copy()
    for sigma in (np.float32(0.3), np.array([0.2, 1.5], np.float32)):
        at = torch.tensor(x, requires_grad=True)
        value = in_torch.denoise(at, torch.tensor(sigma))
        (pulled,) = torch.autograd.grad(value, at, torch.tensor(v))
        found, pull = jax.vjp(jax.jit(lambda x, sigma=sigma: in_jax.denoise(x, jnp.asarray(sigma))), jnp.asarray(x))
        np.testing.assert_allclose(found, value.detach(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(pull(jnp.asarray(v))[0], pulled, rtol=1e-4, atol=1e-4)
        score = in_torch.score(torch.tensor(x), torch.tensor(sigma))
        rows = np.broadcast_to(sigma, (2,))[:, None, None]
        np.testing.assert_allclose(score, (value.detach().numpy() - x) / rows**2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_sampler_runs_with_it(framework: str, folder: Path) -> None:
    prior = load_prior(str(folder), SHAPE)
    problem = dataclasses.replace(load("gaussian-field-16", 0).problem, prior=prior).to(framework)
    samples = METHODS["dps"].run(problem, make_key(framework, [1]), n=2, steps=3)
    assert np.isfinite(np.asarray(samples.x)).all()


class Gaussian(torch.nn.Module):
    """The exact noise prediction of pixels N(.2, .25^2) in [-1, 1]."""

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        bars = torch.tensor(BARS, dtype=x.dtype)[times.round().long()][:, None, None, None]
        variance = bars * 0.25**2 + 1 - bars
        return torch.sqrt(1 - bars) * (x - torch.sqrt(bars) * 0.2) / variance


@pytest.mark.parametrize("sigma", [60.0, 90.0, 152.0])
def test_beyond_the_noise_of_the_training_the_denoised_state_stays_with_the_data(sigma: float) -> None:
    """Its last level is 78.7 for pixels in [0, 1]; samplers start at 152."""
    network = Network(Gaussian(), "epsilon", BARS)
    x = torch.tensor(0.6 + sigma * make_key("numpy", [4]).standard_normal((50, 4, 4)))
    found = network.denoise(x, torch.tensor(sigma, dtype=torch.float64)).numpy()
    assert np.max(np.abs(found - 0.6)) < 0.12


@pytest.mark.parametrize("kind", ["ScoreSdeVeScheduler", "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", None])
def test_schedules_that_are_not_variance_preserving_are_refused(tmp_path: Path, kind: str | None) -> None:
    import json

    folder = tmp_path / "scheduler"
    folder.mkdir()
    (folder / "scheduler_config.json").write_text(json.dumps({"_class_name": kind, "beta_schedule": "linear"}))
    with pytest.raises(UsageError, match=f"X was trained with {kind}; a prior can use"):
        _schedule(folder, "X")
    (folder / "scheduler_config.json").write_text("{")
    with pytest.raises(UsageError, match="X has no scheduler that can be read"):
        _schedule(folder, "X")


def test_in_jax_a_network_is_called_row_by_row_under_vmap() -> None:
    prior = to(module_prior(Network(Told(), "epsilon", BARS), SHAPE), "jax")
    x, sigma = jnp.asarray(pictures()), jnp.float32(0.4)
    expected = prior.denoise(x, sigma)
    found = jax.vmap(lambda row: prior.denoise(row[None], sigma)[0])(x)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
