# make leaderboard              run the quick suite, print the table
# SUITE=full make leaderboard   the full one; DEVICE=cuda on a GPU
# make test                     all tests but those that take minutes; make slow: those
# make laws                     every sampler against the laws that it must obey, and the table of them in runs/laws.md
# make gate                     the ci suite against its baseline: fails if a sampler got worse or slower
# make speed                    timings, kept in runs/speed.json; compare two such files with run_benchmark.py compare
# make check                    what continuous integration runs

SUITE ?= quick
DEVICE ?= cpu
PYTHON ?= python3
BIN := .venv/bin
comma := ,
# Tests that look at the clock are not run beside others.
ALONE := tests/benchmarks/test_faults.py tests/benchmarks/test_guard.py tests/reports/page/test_page_large.py

.PHONY: leaderboard test slow laws lint gate speed check clean

leaderboard: .venv/.$(DEVICE)
	$(BIN)/python run_benchmark.py run --suite $(SUITE) --device $(DEVICE)

test: .venv/.cpu
	$(BIN)/python -m pytest $(ALONE) -m "not slow"
	$(BIN)/python -m pytest tests $(ALONE:%=--ignore=%) -m "not slow" --numprocesses=auto --maxprocesses=4 --dist=loadfile

slow: .venv/.cpu
	$(BIN)/python -m pytest tests -m slow --timeout=7200

laws: .venv/.cpu
	mkdir -p runs
	$(BIN)/python -m pytest tests/methods -m "slow or not slow" --timeout=7200 --numprocesses=auto --maxprocesses=4 \
		--dist=loadfile --laws runs/laws.md

lint: .venv/.cpu
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

gate: .venv/.cpu
	$(BIN)/python run_benchmark.py run --suite ci
	$(BIN)/python run_benchmark.py compare runs/ci benchmarks/baselines/ci.json

speed: .venv/.cpu
	mkdir -p runs
	$(BIN)/python -m pytest benchmarks/speed --benchmark-json=runs/speed.json

check: test lint gate

# One environment from the pinned versions; made anew when a pin or a dependency changes. Its bytecode is compiled on all
# cores, which pip does on one; some packages hold files that are not for this Python, which is no error.
.venv/.%: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[dev$(if $(filter cuda,$*),$(comma)cuda)]"
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	touch $@

clean:
	rm -rf .venv runs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
