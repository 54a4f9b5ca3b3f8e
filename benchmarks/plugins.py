"""Methods and problems from outside: a file named on the command line, or a package with an entry point."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from importlib import metadata
from pathlib import Path

from methods import METHODS
from problems import FAMILIES
from problems.names import UsageError

GROUP = "posterior_bench.methods"
_SOURCES: dict[str, tuple[Path, ...]] = {}  # method -> the file that registered it, and the modules beside it
_NAMED: list[str] = []  # the methods of files named on the command line


def plugin_methods() -> list[str]:
    """The methods that come from files named on the command line: they join every selection."""
    return list(_NAMED)


def source_of(method: str) -> Path | None:
    """The file of a plugin's method; None for ours."""
    files = _SOURCES.get(method)
    return files[0] if files else None


def guest(method: str) -> str:
    """The method's name if it comes from a plugin, else ''."""
    return method if method in _SOURCES else ""


def code_files(method: str) -> tuple[Path, ...]:
    """The files that the samples of a plugin's method depend on: its own, and what it imports from the same folder."""
    return _SOURCES.get(method, ())


def load_file(path: Path) -> list[str]:
    """Runs a plugin file and returns the names of the methods that it registered; perhaps it has problems alone.

    Raises:
        UsageError: for a file that is missing, does not parse, fails on import, takes a name that exists, or
            registers nothing.
    """
    name = f"posterior_bench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"the plugin {path} is not a Python file that exists")
    module = importlib.util.module_from_spec(spec)
    before, loaded = {*METHODS, *FAMILIES}, set(sys.modules)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        line = f" in line {error.lineno}" if error.lineno else ""
        raise UsageError(f"the plugin {path} has a syntax error{line}: {error.msg}") from error
    except UsageError as error:
        raise UsageError(f"the plugin {path}: {error}") from error
    except (Exception, SystemExit) as error:
        line = _line(error, path)
        raise UsageError(f"the plugin {path} fails on import{line}: {type(error).__name__}: {error}") from error
    return _take_stock(before, loaded, path, f"the plugin {path}", _NAMED)


def load_entry_points() -> list[str]:
    """Loads the installed plugins; returns one sentence for each that fails, because it must not stop the others."""
    complaints = []
    for point in metadata.entry_points(group=GROUP):
        before, loaded = {*METHODS, *FAMILIES}, set(sys.modules)
        try:
            point.load()
            module = sys.modules[point.module]
            _take_stock(before, loaded, Path(module.__file__ or ""), f"the plugin {point.name}", [])
        except (Exception, SystemExit) as error:
            complaints.append(f"the installed plugin {point.name!r} ({point.value}) is left out: {error}")
    return complaints


def _take_stock(before: set[str], loaded: set[str], path: Path, what: str, names: list[str]) -> list[str]:
    """Enters the methods that are new since `before`, with the modules beside `path` that are new since `loaded`."""
    new = [name for name in METHODS if name not in before]
    if not new and before >= set(FAMILIES):
        raise UsageError(f"{what} registers no method; decorate a sampler with @method(name) from methods")
    path = path.resolve()
    modules = [sys.modules[name] for name in set(sys.modules) - loaded]
    files = {Path(file).resolve() for module in modules if (file := getattr(module, "__file__", None))}
    beside = sorted(file for file in files - {path} if file.is_relative_to(path.parent))
    _SOURCES.update(dict.fromkeys(new, (path, *beside)))
    names.extend(new)
    return new


def _line(error: BaseException, path: Path) -> str:
    """' in line 7', the last line of the plugin in the traceback."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    return f" in line {lines[-1]}" if lines else ""
