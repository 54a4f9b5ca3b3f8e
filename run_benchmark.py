"""posterior-bench: how good is your posterior sampler? The command line."""

from __future__ import annotations

import importlib.util
import re
import signal
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from benchmarks.executor import Executor
    from benchmarks.plan import Plan, Request
    from benchmarks.store import RunDirectory

PACKAGES = ("benchmarks", "methods", "problems", "scores", "reports")
WIDTH = 160
"""Columns of a table that does not go to a terminal."""

app = typer.Typer(
    help="How good is your posterior sampler? A benchmark on problems whose posteriors are known exactly.",
    epilog="Add --debug to any command to see the traceback of an error.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Suite = Annotated[str, typer.Option(help="A name that `list suites` shows, or a TOML file's path.")]
Problems = Annotated[
    str | None, typer.Option(help="Names or patterns, 'seed2d,gmm25-8-*'; folder:PATH is your images.")
]
Prior = Annotated[str | None, typer.Option(help="Of --problems folder:PATH: hf:OWNER/NAME, a folder or a file.")]
Methods = Annotated[str | None, typer.Option(help="Names or patterns with presets: 'dps,dps[paper],em-*'.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file with samplers of your own.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A hyper-parameter, METHOD.NAME=VALUE: dps.steps=500.")]
Samples = Annotated[int | None, typer.Option("--n", min=2, help="Samples per task.")]
Instances = Annotated[int | None, typer.Option(min=1, help="Instances per problem.")]
Framework = Annotated[Literal["auto", "torch", "jax"], typer.Option(help="Where array methods run; auto is JAX.")]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="The device that samples are drawn on.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of every random stream; 0 is a seed like any other.")]
Timeout = Annotated[float | None, typer.Option(min=0.001, help="Seconds that one task may take.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Tasks that run at once, each on cores of its own.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of a task; 1 on a CPU if not given.")]
Precision = Annotated[
    Literal["float32", "tf32", "bfloat16"],
    typer.Option(help="Of products: tf32 is a GPU's, bfloat16 is of the project's networks alone."),
]
Scheduler = Annotated[str | None, typer.Option(help="Of a Dask cluster to run on, tcp://HOST:8786.")]
Directory = Annotated[Path, typer.Argument(help="A run directory.")]


@app.command()
def run(
    suite: Suite = "quick",
    problems: Problems = None,
    prior: Prior = None,
    methods: Methods = None,
    plugin: Plugins = None,
    sets: Sets = None,
    n: Samples = None,
    instances: Instances = None,
    framework: Framework = "auto",
    device: Device = "cpu",
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/<suite> if not given.")] = None,
    seed: Seed = None,
    timeout: Timeout = None,
    workers: Workers = None,
    threads: Threads = None,
    precision: Precision = "float32",
    scheduler: Scheduler = None,
) -> None:
    """Run a suite, or what you select of it; a second run of the same command goes on where the first stopped."""
    from benchmarks.campaign import carry_out, start, take_stock
    from benchmarks.gates import run_gates
    from benchmarks.guard import take_guard
    from benchmarks.overview import any_failed, outcome_lines
    from benchmarks.own_images import with_folders
    from benchmarks.progress import reporter
    from benchmarks.store import open_run

    _load_plugins(plugin)
    names, folders = with_folders(_names(problems, "--problems"), prior)
    request = _request(names, methods, sets, n, instances, framework, device, seed, timeout, threads, precision)
    plan = _plan(suite, request)
    console = _console()
    stopped = False
    with open_run(out or Path("runs") / Path(suite).stem, create=True) as directory:
        try:
            tell = reporter(console)
            plugins = [*(plugin or ()), *folders]
            with _executor(plugins, device, workers, threads, scheduler, tell.murmur, precision) as executor:
                start(plan, directory, executor, command=sys.argv, suite=suite)
                _say(console, [*directory.complaints, *take_stock(plan, directory).sentences()])
                with _collected(directory):
                    carry_out(plan, directory, executor, tell)
                    if plan.gates:
                        run_gates(plan, directory, executor, tell)
                    if plan.guard:
                        take_guard(plan, directory, executor, tell)
        except KeyboardInterrupt:
            stopped = True
    _say(console, outcome_lines(plan, directory))
    if stopped:
        raise _stopped(directory.path, console)
    _report(directory.path, console)
    raise typer.Exit(int(any_failed(plan, directory)))


@app.command()
def plan(
    suite: Suite = "quick",
    problems: Problems = None,
    prior: Prior = None,
    methods: Methods = None,
    plugin: Plugins = None,
    sets: Sets = None,
    n: Samples = None,
    instances: Instances = None,
    framework: Framework = "auto",
    device: Device = "cpu",
    seed: Seed = None,
    timeout: Timeout = None,
    threads: Threads = None,
    precision: Precision = "float32",
) -> None:
    """Print what `run` with the same options would run, and how long it would take."""
    from benchmarks.overview import plan_lines
    from benchmarks.own_images import with_folders

    _load_plugins(plugin)
    names, _ = with_folders(_names(problems, "--problems"), prior)
    request = _request(names, methods, sets, n, instances, framework, device, seed, timeout, threads, precision)
    _say(_console(), plan_lines(_plan(suite, request)))


@app.command("list")
def list_(
    what: Annotated[str | None, typer.Argument(help="problems, methods, metrics, suites or capabilities.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the problems, methods, metrics, suites and capabilities, one line each."""
    from benchmarks.listing import listing

    _load_plugins(plugin)
    print("\n".join(listing(what)))


@app.command()
def score(directory: Directory, plugin: Plugins = None, workers: Workers = None) -> None:
    """Score the kept samples of a run again, without sampling."""
    from benchmarks.progress import reporter
    from benchmarks.rescore import rescore
    from benchmarks.store import open_run

    _load_plugins(plugin)
    console = _console()
    tell = reporter(console)
    with open_run(directory, create=False) as opened:
        try:
            with _executor(plugin, "cpu", workers, None, None, tell.murmur) as executor, _collected(opened):
                sentences = rescore(opened, executor, tell)
        except KeyboardInterrupt:
            raise _stopped(directory, console) from None
    _say(console, [*opened.complaints, *sentences])
    _report(directory, console)


@app.command()
def report(
    directory: Directory,
    max_work: Annotated[
        float | None, typer.Option(help="Only cells of at most this nfe + vjp per sample, ranked among themselves.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Only cells of at most this many seconds per 1000 samples, training included.")
    ] = None,
) -> None:
    """Write the tables and pictures of a run again, and print the leaderboard."""
    _report(directory, _console(), max_work, max_seconds)


@app.command()
def gates(
    suite: Suite = "quick",
    problems: Problems = None,
    plugin: Plugins = None,
    n: Samples = None,
    instances: Instances = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/<suite> if not given.")] = None,
    workers: Workers = None,
) -> None:
    """Try the metrics on exact samples and on planted faults, and print which may be believed on which problem."""
    from benchmarks.gates import run_gates
    from benchmarks.plan import Request
    from benchmarks.progress import reporter
    from benchmarks.store import open_run

    _load_plugins(plugin)
    request = Request(_names(problems, "--problems"), methods=("exact",), n=n, instances=instances, seed=seed)
    plan = _plan(suite, request)
    console = _console()
    tell = reporter(console)
    with open_run(out or Path("runs") / Path(suite).stem, create=True) as directory:
        try:
            with _executor(plugin, "cpu", workers, None, None, tell.murmur) as executor, _stoppable():
                run_gates(plan, directory, executor, tell)
        except KeyboardInterrupt:
            raise _stopped(directory.path, console) from None
    _print_gates(directory.path, [row.task.problem for row in plan.tasks], console)


@app.command()
def compare(
    run: Annotated[Path, typer.Argument(help="A run directory, or a JSON file of pytest-benchmark.")],
    baseline: Annotated[Path, typer.Argument(help="A baseline file, another run directory, or such a JSON file.")],
    threshold: Annotated[float, typer.Option(min=0.01, help="The slowdown and growth of memory that pass.")] = 0.2,
    accept: Annotated[str | None, typer.Option(help="Write this method or problem of RUN into BASELINE.")] = None,
    because: Annotated[str, typer.Option(help="The reason for --accept, kept in the baseline.")] = "",
) -> None:
    """Say what got worse against a baseline: exit code 1 if anything did."""
    from benchmarks.compare_command import accepted, compared

    if accept is not None:
        _say(_console(), accepted(run, baseline, accept, because))
        return
    lines, worse = compared(run, baseline, threshold)
    _say(_console(), lines)
    raise typer.Exit(int(worse))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A Python file with samplers of your own.")],
) -> None:
    """Check the samplers of a plugin: a conformance report in words."""
    from benchmarks.conformance import check_file
    from benchmarks.executor import Executor

    with Executor() as executor:
        findings = check_file(file, executor)
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.title}: {finding.message}")
    raise typer.Exit(int(not all(finding.ok for finding in findings)))


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and SIGTERM interrupt the work inside, once: what is done about it is not interrupted again."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _collected(directory: RunDirectory) -> Iterator[None]:
    """Whatever ends the work inside, the tables of what is finished are written; no signal keeps them from it."""
    from benchmarks.results import collect
    from problems.names import UsageError

    with _stoppable():
        error: BaseException | None = None
        try:
            yield
        except BaseException as caught:
            error = caught
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        try:
            collect(directory)
        except UsageError:  # a full disk may be what ended the work: the first error is the one to tell
            if error is None:
                raise
        if error is not None:
            raise error


def _stopped(directory: Path, console: Console) -> typer.Exit:
    _say(console, [f"stopped; what is finished stays in {directory}, and the same command goes on from there"])
    return typer.Exit(130)


def _executor(
    plugins: list[Path] | None,
    device: str,
    workers: int | None,
    threads: int | None,
    scheduler: str | None,
    listen: Callable[[str, str], None],
    precision: str = "float32",
) -> Executor:
    from benchmarks.devices import default_threads, default_workers
    from benchmarks.executor import Executor

    threads = threads or default_threads(device)
    if scheduler is None:
        workers = workers or default_workers(device, threads)
    found = tuple(plugins or ())
    return Executor(found, device, listen, workers=workers, threads=threads, precision=precision, scheduler=scheduler)


def _load_plugins(paths: list[Path] | None) -> None:
    from benchmarks.plugins import load_entry_points, load_file
    from benchmarks.probe import check_import

    for sentence in load_entry_points():
        print(f"warning: {sentence}", file=sys.stderr)
    for path in paths or ():
        check_import(path)
        load_file(path)


def _request(
    problems: tuple[str, ...] | None,
    methods: str | None,
    sets: list[str] | None,
    n: int | None,
    instances: int | None,
    framework: str,
    device: str,
    seed: int | None,
    timeout: float | None,
    threads: int | None,
    precision: str,
) -> Request:
    from benchmarks.plan import Request
    from benchmarks.selection import parse_override
    from problems.names import UsageError

    if precision == "tf32" and device != "cuda":
        raise UsageError("--precision tf32 is of products on a GPU: give --device cuda")
    return Request(
        problems=problems,
        methods=_names(methods, "--methods"),
        overrides=tuple(parse_override(text) for text in sets or ()),
        n=n,
        instances=instances,
        framework=framework,
        device=device,
        seed=seed,
        timeout_seconds=timeout,
        threads=threads,
        precision=precision,
    )


def _names(text: str | None, option: str) -> tuple[str, ...] | None:
    """The names in a list; a comma inside brackets belongs to a preset, as in oracle-em[N(0,I)]."""
    from problems.names import UsageError

    if text is None:
        return None
    names = tuple(name.strip() for name in re.split(r",(?![^\[]*\])", text) if name.strip())
    if not names:
        raise UsageError(f"{option} takes names separated by commas, got {text!r}")
    return names


def _plan(suite: str, request: Request) -> Plan:
    from benchmarks.plan import make_plan
    from benchmarks.suites import load_suite

    return make_plan(load_suite(suite), request)


def _console() -> Console:
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def _say(console: Console, sentences: list[str]) -> None:
    for sentence in sentences:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _report(directory: Path, console: Console, max_work: float | None = None, max_seconds: float | None = None) -> None:
    import reports
    from problems.names import UsageError
    from reports.equal_work import Budget
    from reports.run import RunError

    try:
        cut = max_work is not None or max_seconds is not None
        budget = Budget(max_work, max_seconds) if cut else None
        files = reports.write_report(directory, budget)
        reports.print_leaderboard(directory, console, budget)
    except RunError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"cannot write the report in {directory}: {error.strerror}") from error
    tables = [path.name for path in files if path.parent == directory]
    pictures = sum(path.parent.name == "figures" for path in files)
    names = ["results.parquet", "results.csv", *tables] if pictures else tables
    _say(console, [f"in {directory}: {', '.join(names)}" + (f", {pictures} pictures in figures/" if pictures else "")])
    _say(console, [f"the page: {path}" for path in files if path.name == "index.html"])


def _print_gates(directory: Path, problems: list[str], console: Console) -> None:
    import reports
    from problems.names import UsageError
    from reports.run import RunError

    try:
        reports.print_gates(directory, console, problems)
    except RunError as error:
        raise UsageError(str(error)) from error


def foreign_package() -> str:
    """One sentence if one of our packages would be imported from another folder than this file's; else ''."""
    home = Path(__file__).resolve().parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != home / name:
            where = found or "a folder that is not ours"
            return f"the package {name!r} is imported from {where}, not from {home / name}; rename {where}"
    return ""


def main() -> None:
    """The console script: a mistake of the user is one sentence on stderr and exit code 2."""
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    wrong = foreign_package()
    if wrong:
        sys.exit(_told(wrong, 2))
    from problems.names import UsageError

    try:
        app()
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, UsageError):
            sys.exit(_told(str(error), 2))
        sys.exit(_told(f"{type(error).__name__}: {error}; this is a fault of the program, --debug shows where", 1))


def _told(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
