# PYTHON makes the virtual environment; everything else runs inside it. Example: make setup PYTHON=python3.11
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# One thread a test process: torch would otherwise start one per core in every worker and they would fight.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow torture check format bench clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP)  ## make .venv and install the project in it; nothing to do unless pyproject.toml changed

# The stamp is written last, so an interrupted installation is taken up again.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; \
	  sys.exit(f"Python {v} is too old (expected 3.11 or later); run: make setup PYTHON=python3.11" \
	  if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable ".[dev]"
	@touch $@

# Large temporaries stay in the heap instead of being mapped anew each time: a tenth faster on a CPU.
demo: export MALLOC_MMAP_THRESHOLD_ = 1073741824
demo: export MALLOC_TRIM_THRESHOLD_ = 8589934592
demo: setup  ## train on synthetic voices, render previews, score against baselines (under 10 minutes on 2 cores)
	$(BIN)/python run.py experiment=demo
	$(BIN)/python run.py task=export checkpoint=runs/demo/latest out=runs/demo/latest/demo.safetensors

test: setup  ## the fast tests
	$(PYTEST) -n $(WORKERS) --dist loadfile --durations=5

test-slow: setup  ## the tests that take minutes
	$(PYTEST) -m slow --durations=5

torture: setup  ## break runs on purpose: kill, full disk, broken files
	$(PYTEST) -m torture --durations=5

check: setup  ## lint, format, floors, and compose every configuration (under a minute)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(PYTEST) -q -n $(WORKERS) tests/test_config.py

format: setup  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## timings, each pair measured side by side in one run
	@set -e; for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean:  ## delete caches and build products; keeps .venv, data and runs
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache
	find joyvasa preprocess tests bench -type d -name __pycache__ -prune -exec rm -rf {} +
