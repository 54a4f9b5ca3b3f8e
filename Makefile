# make leaderboard              run the quick suite, print the table
# SUITE=full make leaderboard   the full one; DEVICE=cuda on a GPU
# make test                     all tests
# make check                    what continuous integration runs

SUITE ?= quick
DEVICE ?= cpu
PYTHON ?= python3
BIN := .venv/bin
comma := ,

.PHONY: leaderboard test slow lint speed check clean

leaderboard: .venv/.$(DEVICE)
	$(BIN)/python run_benchmark.py run --suite $(SUITE) --device $(DEVICE)

test: .venv/.cpu
	$(BIN)/python -m pytest tests -m "not slow"

slow: .venv/.cpu
	$(BIN)/python -m pytest tests -m slow --timeout=7200

lint: .venv/.cpu
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

speed: .venv/.cpu
	$(BIN)/python -m pytest benchmarks/speed --benchmark-json=runs/speed.json

check: test lint
	$(MAKE) leaderboard SUITE=ci

# One environment from the pinned versions; made anew when a pin or a dependency changes.
.venv/.%: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev$(if $(filter cuda,$*),$(comma)cuda)]"
	touch $@

clean:
	rm -rf .venv runs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
