"""The registry of families: names, metadata, purity, and what the definitions promise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats
from sklearn.datasets import load_digits

from problems import FAMILIES, TUNING_START, load
from problems.families import instance_key, register
from problems.make_data import linear_gaussian
from problems.names import UsageError
from tests.problems.closed import KNOWN

every = pytest.mark.parametrize("name", FAMILIES)


def test_the_families_are_those_announced():
    assert set(FAMILIES) == {
        "seed2d",
        *(f"linear-gaussian-{d}" for d in (2, 16, 128)),
        *(f"gmm25-{d}-{m}" for d in (8, 80, 800) for m in (1, 2, 4)),
        *(f"gaussian-field-{end}" for end in ("16", "64", "128", "64-inpaint")),
        *(f"digits-{task}{end}" for task in ("denoise", "inpaint", "blur", "superres") for end in ("", "-model")),
        *(f"atoms-digits-{task}" for task in ("inpaint", "superres", "phase", "poisson")),
        *(f"atoms-faces-{task}" for task in ("inpaint", "superres", "phase")),
        "atoms-blackhole-closure",
        *(f"gmm-bipsda-{task}" for task in ("inpaint", "inpaint-noisy", "xray", "phase")),
        *(f"digits-inpaint-model-{end}" for end in ("net", "perturbed-5", "perturbed-20")),
        "gaussian-field-16-net",
        *(f"photos-32-{task}" for task in ("denoise", "deblur", "inpaint", "superres")),
        "phase-retrieval-32",
        *(f"blackhole-32-{task}" for task in ("visibilities", "closure")),
        *(f"ct-ellipses-64-{task}" for task in ("sparse", "limited")),
        "mri-phantom-64",
        *(f"photos-{side}-{task}" for side in (8, 16) for task in ("denoise", "deblur", "inpaint", "superres")),
        *(
            f"levy-{law}-{task}"
            for law in ("gauss", "laplace", "bl", "st1", "st2", "st3")
            for task in ("denoise", "deconv", "impute", "fourier")
        ),
    }


def test_a_name_is_taken_once():
    with pytest.raises(UsageError, match="problem 'seed2d' is already taken; choose another name"):
        register(FAMILIES["seed2d"])


@every
def test_metadata_describes_the_instances(name, instance):
    family, found = FAMILIES[name], instance(name, 0)
    problem = found.problem
    assert family.name == name
    assert family.shape == problem.shape == problem.prior.shape == found.x_true.shape
    assert family.dim == problem.dim == found.x_true.size
    assert family.kind == ("image" if len(family.shape) == 2 else "vector")
    assert problem.y.shape == problem.operator(found.x_true[None])[0].shape
    assert all(array.dtype == np.float64 for array in (problem.y, found.x_true, problem.prior.mean))
    assert np.ptp(found.x_true) < 2 * family.data_range or name.startswith(
        "levy"
    )  # a draw of the digits prior leaves [0, 1] on both sides
    assert 20 < len(family.summary) < 100
    assert len(family.stresses) > 150
    assert family.stresses.endswith(".")


@pytest.mark.parametrize("name", KNOWN)
def test_a_posterior_has_the_shape_of_a_signal(name, instance):
    found = instance(name, 0)
    assert found.posterior.mean.shape == FAMILIES[name].shape
    assert np.isfinite(found.log_evidence)


@every
def test_what_a_family_provides_is_there(name, instance):
    provides, problem = FAMILIES[name].provides, instance(name, 0).problem
    known = {
        "linear",
        "svd",
        "gaussian_noise",
        "likelihood",
        "differentiable",
        "image",
        "prior_log_prob",
        "prior_sample",
        "prior_cov",
        "posterior",
    }
    assert ("image" in provides) == (FAMILIES[name].kind == "image")
    assert ("likelihood" in provides) == hasattr(problem.noise, "log_likelihood")
    assert provides <= known
    assert ("linear" in provides) == problem.operator.linear
    assert ("svd" in provides) == hasattr(problem.operator, "gram_solve")
    assert ("posterior" in provides) == (instance(name, 0).known is not None)
    assert ("gaussian_noise" in provides) == hasattr(problem.noise, "std")
    assert "gaussian_noise" not in provides or hasattr(problem.operator, "norm")
    assert ("prior_log_prob" in provides) == hasattr(problem.prior, "log_prob")
    assert ("prior_sample" in provides) == hasattr(problem.prior, "sample")
    assert ("prior_cov" in provides) == hasattr(problem.prior, "cov")


def made(name, index):
    """All that an instance holds."""
    found = load(name, index)
    return found.problem, found.x_true, found.posterior if name in KNOWN else 0.0


def arrays(node, path=""):
    """All arrays of what an instance holds with where they are."""
    if isinstance(node, tuple):
        return {k: v for i, part in enumerate(node) for k, v in arrays(part, f"{path}[{i}]").items()}
    if dataclasses.is_dataclass(node):
        return {
            k: v for f in dataclasses.fields(node) for k, v in arrays(getattr(node, f.name), f"{path}.{f.name}").items()
        }
    return {path: np.asarray(node)}


@every
@pytest.mark.parametrize("index", [3, TUNING_START])
def test_an_index_gives_one_instance_whatever_came_before(name, index):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = arrays(made(name, index))
    load(name, index + 1)
    again = arrays(made(name, index))
    assert first.keys() == again.keys()
    for path in first:
        np.testing.assert_array_equal(first[path], again[path], err_msg=path)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@every
def test_instances_differ_also_between_scoring_and_tuning(name):
    found = [load(name, index) for index in (0, 1, 2, 17, TUNING_START, TUNING_START + 1, TUNING_START + 17)]
    assert len({instance.x_true.tobytes() for instance in found}) == len(found)
    assert len({instance.problem.y.tobytes() for instance in found}) == len(found)


def test_streams_of_randomness_are_separate():
    keys = [
        (name, index, stream) for name in ("seed2d", "gmm25-8-1") for index in (0, 1) for stream in ("truth", "noise")
    ]
    assert len({instance_key(*key).random() for key in keys}) == len(keys)
    assert instance_key("seed2d", 11, "truth").random() != instance_key("seed2d1", 1, "truth").random()


def test_digits_are_the_held_out_images():
    """Of every six images of the set, the first scores and the second tunes; then the images come round again."""
    images = load_digits().images / 16.0
    for index in (0, 1, 2, 150, 299):
        np.testing.assert_array_equal(load("digits-inpaint", index).x_true, images[6 * index])
        np.testing.assert_array_equal(load("digits-blur", TUNING_START + index).x_true, images[6 * index + 1])
    first, again = load("digits-denoise", 4), load("digits-denoise", 304)
    np.testing.assert_array_equal(first.x_true, again.x_true)
    assert np.all(first.problem.y != again.problem.y)


def test_a_twin_differs_from_its_sibling_in_truth_and_measurement_alone():
    """Truths are fresh draws of the prior; tuning indices draw other ones."""
    for task in ("denoise", "inpaint", "blur", "superres"):
        real, twin, other = (load(name, 3) for name in (f"digits-{task}", f"digits-{task}-model", "digits-blur-model"))
        assert twin.problem.prior is real.problem.prior
        assert twin.problem.operator is real.problem.operator
        assert twin.problem.noise.std == real.problem.noise.std
        key = instance_key(f"digits-{task}-model", 3, "truth")
        np.testing.assert_array_equal(twin.x_true, twin.problem.prior.sample(key, 1)[0])
        assert not np.allclose(twin.x_true, load(f"digits-{task}-model", TUNING_START + 3).x_true, atol=0.1)
        assert task == "blur" or not np.allclose(twin.x_true, other.x_true, atol=0.1)


def test_the_digits_prior_is_a_smoothed_mixture_of_ten(components):
    parts = components("digits-denoise", "prior")
    assert len(parts) == 10
    assert all(np.linalg.eigvalsh(part.cov)[0] > 0.99 * 0.02**2 for part in parts)
    assert all(part.mean.min() > -1e-9 and part.mean.max() < 1 for part in parts)


@pytest.mark.parametrize("d", [2, 16, 128])
def test_linear_gaussian_is_as_defined(d, components, instance):
    """Condition number 100; singular values from 1 down to .2 in geometric steps; noise .15."""
    (prior,) = components(f"linear-gaussian-{d}", "prior")
    np.testing.assert_allclose(np.linalg.eigvalsh(prior.cov), np.geomspace(0.02, 2.0, d), rtol=1e-9)
    for index in (0, 1):
        problem = instance(f"linear-gaussian-{d}", index).problem
        np.testing.assert_allclose(problem.operator.s, np.geomspace(1.0, 0.2, max(d // 2, 1)), rtol=1e-12)
        assert problem.noise.std == 0.15


@pytest.mark.parametrize("d", [2, 16, 128])
def test_shipped_numbers_are_those_of_the_command_that_made_them(d, components, instance):
    """Up to the signs that a QR decomposition is free to choose."""
    made = linear_gaussian(d)
    (prior,) = components(f"linear-gaussian-{d}", "prior")
    np.testing.assert_allclose(prior.mean, made["mean"], rtol=1e-14)
    np.testing.assert_allclose(prior.cov, made["cov"], atol=1e-12)
    found, matrix = instance(f"linear-gaussian-{d}", 0).problem.operator.matrix, made["matrix"]
    np.testing.assert_allclose(found @ found.T, matrix @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(found.T @ found, matrix.T @ matrix, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name.startswith("gmm25")])
def test_gmm25_is_as_defined(name, instance):
    """Means (8i, 8j) repeated, i, j in -2..2; unit covariance; standard normals squared as weights."""
    _, d, m = (int(part) if part.isdigit() else part for part in name.split("-"))
    problem = instance(name, 2).problem
    prior = problem.prior
    expected = {tuple([8.0 * i, 8.0 * j] * (d // 2)) for i in range(-2, 3) for j in range(-2, 3)}
    assert {tuple(mean) for mean in prior.component_means.tolist()} == expected
    assert prior.basis.shape == (d, 0)
    assert float(prior.variance) == 1.0
    draws = instance_key(name, 2, "prior").standard_normal(25) ** 2
    np.testing.assert_allclose(np.exp(prior.log_weights), draws / draws.sum(), rtol=1e-12)
    assert problem.operator.matrix.shape == (m, d)


def test_levels_of_gmm25_are_uniform():
    """Singular values are sorted uniforms and the noise level a uniform share of the largest."""
    problems = [load("gmm25-8-2", index).problem for index in range(300)]
    values = np.array([problem.operator.s for problem in problems])
    shares = np.array([float(problem.noise.std) for problem in problems]) / values[:, 0]
    assert scipy.stats.kstest(values.ravel(), "uniform").pvalue > 1e-4
    assert scipy.stats.kstest(shares, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("side", [16, 64])
def test_fields_are_as_defined(side, instance):
    """By the formula on the whole grid: unit variance, max(k, 1)^(.96 - 4) exp(-(k / kcut)^2)."""
    prior = instance(f"gaussian-field-{side}", 0).problem.prior
    k = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(side, 1 / side)], indexing="ij"))
    power = np.maximum(k, 1.0) ** -3.04 * np.exp(-((k / (0.7 * side / 2)) ** 2))
    power *= side**2 / power.sum()
    np.testing.assert_allclose(prior.spectrum, power[:, : side // 2 + 1], rtol=1e-12)
    np.testing.assert_allclose(prior.std, 1.0, rtol=1e-12)
    assert not prior.mean.any()
    assert instance(f"gaussian-field-{side}", 0).problem.noise.std == 0.5
