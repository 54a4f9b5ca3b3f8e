"""The command that repeats a cell."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

from reports.ranking import Cell


def command(cell: Cell, hyper: dict[str, Any], instances: int, info: dict[str, Any]) -> str:
    """`posterior-bench run` for one cell alone, with the suite, the plugins and the seed of its run.

    Args:
        cell: problem, method, config, framework, n, device.
        hyper: name -> value, of which the overrides that the configuration names are set again.
        instances: how many instances the cell was asked for. info: run.json.
    """
    row, overrides = parts(str(cell["method"]), str(cell["config"]))
    told = info.get("command")
    typed = [str(word) for word in told] if isinstance(told, list) else []
    suite = (_given(typed, "--suite") or [str(info.get("suite", "quick"))])[-1]
    words = ["posterior-bench", "run", "--suite", suite]
    words += [word for path in _given(typed, "--plugin") for word in ("--plugin", path)]
    words += ["--problems", _folder(typed, cell["problem"]), "--methods", row]
    words += [
        word for option in ("--prior", "--precision") for value in _given(typed, option) for word in (option, value)
    ]
    words += [word for name in overrides for word in ("--set", f"{cell['method']}.{name}={_toml(hyper.get(name))}")]
    words += ["--n", str(int(cell["n"])), "--instances", str(instances)]
    words += ["--framework", cell["framework"], "--device", cell["device"], "--seed", str(info.get("seed", 0))]
    return shlex.join([*words, "--out", "runs/again"])


def parts(method: str, config: str) -> tuple[str, list[str]]:
    """A configuration as the row to select and the names it overrides: 'dps[paper,steps=9]' -> 'dps[paper]', ['steps'].

    A preset may hold commas, N(0,I), but no `name=`.
    """
    inside = config.removeprefix(method).removeprefix("[").removesuffix("]")
    words = re.split(r",(?=[A-Za-z_]\w*=)", inside)
    preset = "" if re.match(r"[A-Za-z_]\w*=", words[0]) else words.pop(0)
    return f"{method}[{preset}]" if preset else method, [word.partition("=")[0] for word in words]


def _given(typed: list[str], option: str) -> list[str]:
    """The values of an option in a command line, `--option value` or `--option=value`."""
    apart = [value for word, value in pairwise(typed) if word == option]
    return apart + [word.partition("=")[2] for word in typed if word.startswith(f"{option}=")]


def _folder(typed: list[str], problem: str) -> str:
    """The problem, or the folder of one's own images that it was made of."""
    folders = [name for names in _given(typed, "--problems") for name in names.split(",") if name.startswith("folder:")]
    stems = {f"folder-{Path(name.removeprefix('folder:')).name}-": name for name in folders}
    return next((name for stem, name in stems.items() if problem.startswith(stem)), problem)


def _toml(value: Any) -> str:
    """A value as --set reads it; JSON's numbers, strings and truth values are TOML's."""
    return json.dumps(value)
