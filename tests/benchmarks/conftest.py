"""Registries as they were before each test, and a plugin of small samplers, sound and faulty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import plugins
from methods import METHODS
from problems import FAMILIES

TOYS = Path(__file__).parent / "toys.py"


@contextmanager
def registries_restored() -> Iterator[None]:
    """What is registered inside is forgotten afterwards."""
    tables: list[dict] = [METHODS, FAMILIES, plugins._SOURCES]
    before = [dict(table) for table in tables]
    named = list(plugins._NAMED)
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)
    plugins._NAMED[:] = named


@pytest.fixture(autouse=True)
def _registries_restored() -> Iterator[None]:
    with registries_restored():
        yield


@pytest.fixture
def toys() -> Path:
    """The plugin file, loaded."""
    plugins.load_file(TOYS)
    return TOYS
