"""What exists, one line each: problems, methods, metrics, suites."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.plugins import source_of
from benchmarks.tuned_presets import presets_of
from methods import METHODS, Method
from methods.registry import FRAMEWORKS
from problems import FAMILIES
from problems.names import lookup


def listing(what: str | None) -> list[str]:
    """The lines of one list, or of all of them.

    Raises:
        UsageError: for a list that does not exist.
    """
    if what is not None:
        return lookup("list", what, _LISTS)()
    lines: list[str] = []
    for name, rows in _LISTS.items():
        lines += [name, *(f"  {line}" for line in rows()), ""]
    return lines[:-1]


def _problems() -> list[str]:
    rows = [(f.name, f.kind, "x".join(map(str, f.shape)), f.summary) for f in FAMILIES.values()]
    return aligned([("name", "kind", "shape", "")], rows)


def _methods() -> list[str]:
    rows = []
    for method in METHODS.values():
        presets = ", ".join(name for name in presets_of(method.name) if name != "default")
        marks = [mark for mark, on in _marks(method) if on]
        marks += ["plugin"] if source_of(method.name) else []
        rows.append(
            (
                method.name,
                "/".join(FRAMEWORKS[method.framework]),
                ", ".join(sorted(method.requires)) or "-",
                presets or "-",
                f"{'(' + ', '.join(marks) + ') ' if marks else ''}{method.summary}",
            )
        )
    return aligned([("name", "runs in", "needs", "presets", "")], rows)


def _capabilities() -> list[str]:
    """Which method runs on which problems, and what it lacks on the others; problems that provide the same are one.

    The last column is the number of dimensions up to which a method runs at all.
    """
    kinds: dict[tuple[str, ...], list[str]] = {}
    for family in FAMILIES.values():
        kinds.setdefault(tuple(sorted(family.provides)), []).append(family.name)
    rows = [
        (
            method.name,
            *(", ".join(sorted(method.requires - set(kind))) or "yes" for kind in kinds),
            "any" if method.max_dim is None else f"{method.max_dim}",
        )
        for method in METHODS.values()
    ]
    told = [(f"{i}:", ", ".join(names)) for i, names in enumerate(kinds.values(), 1)]
    head = ("method", *(f"on {i}" for i in range(1, len(kinds) + 1)), "dimensions")
    return [*aligned((), told), "", *aligned([head], rows)]


def _marks(method: Method) -> tuple[tuple[str, bool], ...]:
    return ("oracle", method.oracle), ("particle", method.particle), ("point estimate", method.point)


def _metrics() -> list[str]:
    from scores import METRICS

    rows = []
    for metric in METRICS.values():
        better = metric.better if isinstance(metric.better, str) else f"{metric.better:g}"
        rows.append((metric.name, metric.unit or "-", better, metric.summary))
    return aligned([("name", "unit", "better", "")], rows)


def _suites() -> list[str]:
    from benchmarks.suites import load_suite, suite_names

    return aligned([("name", "")], [(name, load_suite(name).summary) for name in suite_names()])


_LISTS: dict[str, Callable[[], list[str]]] = {
    "problems": _problems,
    "methods": _methods,
    "metrics": _metrics,
    "suites": _suites,
    "capabilities": _capabilities,
}


def aligned(head: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with columns of equal width; the last column is as long as it is."""
    everything = [*head, *rows]
    widths = [max(len(row[i]) for row in everything) for i in range(len(everything[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in everything
    ]
