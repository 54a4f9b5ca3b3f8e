"""Every mistake that a user can make at the command line: one clear sentence on stderr, exit code 2, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import run_benchmark
from benchmarks.store import open_run

ROOT = Path(run_benchmark.__file__).parent
NO_SUITE = (
    "no suite 'ful'; did you mean 'full'? there are: calibration, ci, exhaustive, full, gmm25, images, learned, levy, "
    "quick"
)
SMALL = ["--problems", "gmm25-8-1", "--methods", "exact", "--n", "16", "--instances", "1"]
GOOD = "from methods import method, Samples\n@method('{name}')\ndef f(problem, key, *, n): ...\n"


def called(*words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["posterior-bench", *words])
    code: object = 0
    try:
        run_benchmark.main()
    except SystemExit as end:
        code = end.code or 0
    out, err = capsys.readouterr()
    assert isinstance(code, int)
    return code, out, err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["plan", "--problems", "seed3d"],
            "no problem 'seed3d'; did you mean 'seed2d'? there are: atoms-blackhole-closure, ",
        ),
        (["plan", "--problems", "zz*"], "no problem 'zz*'; there are: "),
        (["plan", "--problems", ","], "--problems takes names separated by commas, got ','"),
        (["plan", "--methods", "dsp"], "no method 'dsp'; did you mean 'dps' or 'tds'? there are: "),
        (["plan", "--methods", "dps[papr]"], "no preset of dps 'papr'; did you mean 'paper'? there are: "),
        (
            ["plan", "--suite", "ful"],
            NO_SUITE,
        ),
        (["plan", "--suite", "absent.toml"], "cannot read the suite absent.toml: No such file or directory"),
        (["list", "metric"], "no list 'metric'; did you mean 'metrics'? there are: "),
        (["plan", "--set", "dps.step=5"], "no hyper-parameter of dps 'step'; did you mean 'steps'? there are: "),
        (["plan", "--set", "dps.steps=0"], "dps: steps is out of range: "),
        (["plan", "--set", "dps.steps=many"], "dps: steps is out of range: "),
        (["plan", "--set", "dps.steps=true"], "dps: steps is out of range: Input should be a number, got True"),
        (["plan", "--set", "steps=5"], "--set takes METHOD.NAME=VALUE, for example dps.steps=500, got 'steps=5'"),
        (
            ["run", "--suite", "calibration", "--precision", "bfloat16"],
            "--precision bfloat16 is not for suites that test",
        ),
        (["run", "--precision", "tf32"], "--precision tf32 is of products on a GPU: give --device cuda"),
        (["plan", "--set", "dps.steps=5", "--methods", "exact"], "--set names 'dps', which is not among the methods"),
        (
            ["gates", "--problems", "seed3d"],
            "no problem 'seed3d'; did you mean 'seed2d'? there are: atoms-blackhole-closure, ",
        ),
        (
            ["gates", "--suite", "ful"],
            NO_SUITE,
        ),
        (["plan", "--plugin", "absent.py"], "the plugin absent.py is not a Python file that exists"),
        (["score", "absent"], "absent is not a run directory: it has no folder 'tasks'"),
        (["report", "absent"], "absent is not a finished run directory: "),
    ],
)
def test_a_name_or_a_value_that_does_not_exist(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = called(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(
    "words",
    [
        *(["plan", "--n", "1"], ["plan", "--n", "few"], ["plan", "--instances", "0"], ["plan", "--seed", "-1"]),
        *(["gates", "--n", "1"], ["gates", "--instances", "0"], ["gates", "--methods", "exact"]),
        *(["plan", "--timeout", "0"], ["plan", "--framework", "tensorflow"], ["plan", "--device", "tpu"]),
        *(["plan", "--colour"], ["shred"], ["check"]),
    ],
)
def test_an_option_out_of_range_or_unknown_is_named(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = called(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert words[1 if len(words) > 1 else 0].lstrip("-") in err or "FILE" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import methods\ndef f(:\n", "has a syntax error in line 2: "),
        ("x = 1\nimport nowhere_at_all\n", "fails on import in line 2: ModuleNotFoundError: No module named"),
        ("x = 1\n\nx / 0\n", "fails on import in line 3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)\n", "fails on import in line 2: SystemExit: 0"),
        ("import os\n\0", "has a syntax error: source code string cannot contain null bytes"),
        ("import methods\n", "registers no method; decorate a sampler with @method(name) from methods"),
        (GOOD.format(name="dps"), "method 'dps' is already taken; choose another name"),
        (GOOD.format(name="mine").replace("*, n", "n"), "a sampler is (problem, key, *, n, name=default, ...), got"),
        (GOOD.format(name="mine").replace("'mine'", "'mine', framework='tf'"), "no framework 'tf'; there are: "),
        (
            GOOD.format(name="mine").replace("'mine'", "'mine', requires={'sdv'}"),
            "no requirement 'sdv'; did you mean 'svd'",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded(
    source: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    code, out, err = called("plan", "--plugin", str(path), capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert err.startswith(f"error: the plugin {path}")
    assert said in err
    assert err.count("\n") == 1
    assert out == ""


def test_a_plugin_is_a_row_with_one_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD.format(name="my-sampler"))
    code, out, err = called("plan", "--plugin", str(path), capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err) == (0, "")
    assert "my-sampler" in out


@pytest.mark.usefixtures("toys")
def test_a_framework_that_a_method_lacks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("plan", "--methods", "toy-slow", "--framework", "torch")
    code, _, err = called(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err) == (2, "error: method 'toy-slow' runs in jax, not in torch\n")


def test_a_broken_installed_plugin_is_left_out_with_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    broken = EntryPoint(name="theirs", value="nowhere_at_all:f", group="posterior_bench.methods")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [broken])
    code, out, err = called("list", "problems", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert "seed2d" in out
    assert err == (
        "warning: the installed plugin 'theirs' (nowhere_at_all:f) is left out: No module named 'nowhere_at_all'\n"
    )


def test_an_installed_plugin_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    (tmp_path / "their_samplers.py").write_text(GOOD.format(name="theirs"))
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint(name="theirs", value="their_samplers", group="posterior_bench.methods")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [point])
    _, out, err = called("list", "methods", capsys=capsys, monkeypatch=monkeypatch)
    assert err == ""
    assert any(line.startswith("theirs ") and "(plugin)" in line for line in out.splitlines())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("run.json", json.dumps({"schema": 99}), "was written in schema 99, this program writes schema 1"),
        ("../thesis.tex", "", "is not a run directory and not empty; choose another --out"),
    ],
)
def test_a_run_directory_that_is_not_ours(
    name: str,
    content: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    open_run(out, create=True).close()
    (out / name).write_text(content)
    target = out if name == "run.json" else tmp_path / "other"
    if target != out:
        target.mkdir()
        (target / "thesis.tex").write_text("")
    code, _, err = called("run", *SMALL, "--out", str(target), capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_a_place_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = called(
        "run", *SMALL, "--out", str(tmp_path / "file" / "run"), capsys=capsys, monkeypatch=monkeypatch
    )
    assert code == 2
    assert err == f"error: cannot write {tmp_path / 'file' / 'run'}: Not a directory; finished tasks are kept\n"


def test_an_unexpected_fault_is_one_sentence_and_a_traceback_only_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> list[str]:
        raise RuntimeError("oh")

    monkeypatch.setattr("benchmarks.listing.listing", broken)
    code, _, err = called("list", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 1
    assert err == "error: RuntimeError: oh; this is a fault of the program, --debug shows where\n"
    _, _, err = called("list", "--debug", capsys=capsys, monkeypatch=monkeypatch)
    assert "Traceback" in err
    _, _, err = called("--debug", "plan", "--suite", "ful", capsys=capsys, monkeypatch=monkeypatch)
    assert "Traceback" in err


def test_cuda_asked_for_and_absent_stops_before_anything_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": ""}
    words = ["run", *SMALL, "--device", "cuda", "--out", str(tmp_path / "run")]
    command = [sys.executable, str(ROOT / "run_benchmark.py"), *words]
    end = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert end.returncode == 2
    assert end.stderr.startswith("error: CUDA was asked for, but JAX sees no CUDA device; ")
    assert end.stderr.count("\n") == 1
    assert list((tmp_path / "run" / "tasks").iterdir()) == []


def test_a_package_of_the_same_name_elsewhere_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "__init__.py").write_text("")
    program = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import run_benchmark; run_benchmark.main()"
    command = [sys.executable, "-c", program, "list"]
    end = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert end.returncode == 2
    assert end.stderr == (
        f"error: the package 'scores' is imported from {tmp_path / 'scores'}, not from {ROOT / 'scores'}; "
        f"rename {tmp_path / 'scores'}\n"
    )


def test_a_full_disk_is_one_sentence_and_finished_tasks_are_kept(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the error is the operating system's own."""

    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    out = tmp_path / "run"
    words = ["run", "--problems", "gmm25-80-1", "--methods", "exact,prior", "--n", "16", "--instances", "1"]
    program = f"{limit}; import run_benchmark; run_benchmark.main()"
    command = [sys.executable, "-c", program, *words, "--out", str(out)]
    end = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert end.returncode == 2
    assert (
        end.stderr
        == f"error: cannot write {out / 'pictures/gmm25-80-1-0.npz'}: File too large; finished tasks are kept\n"
    )
    assert not list(out.rglob(".*.tmp"))
