# make demo · make test · make check: each makes .venv and installs what it needs, nothing more.
#
#   make demo       train a network on real handwritten digits
#   make test       the fast tests                make test-all   also the slow ones
#   make check      what CI runs: format, lint, types, import floors, tests
#   make format     write the format              make docs       write the generated pages
#   make bench      the workloads on this machine
#   make coverage   the lines and branches that the fast tests do not reach

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: demo test test-all coverage check format format-check lint types floors bench docs docs-check clean

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Deltarule needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What a user needs.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) -e .
	@touch $@

# What a developer needs: the test extra holds torch, SciPy and scikit-learn, the oracles of the tests.
$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/deltarule train digits

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n $(JOBS)

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n $(JOBS) -m "slow or not slow"

coverage: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n $(JOBS) --cov --cov-report=term --cov-report=html

check: format-check lint types floors test

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format-check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy
	$(BIN)/python tools/typed_pages.py

floors: $(VENV)/.installed-dev
	$(BIN)/lint-imports

docs-check: $(VENV)/.installed-dev
	$(BIN)/python tools/notes_map.py --check
	$(BIN)/python tools/activations_page.py --check
	$(BIN)/python tools/derivations.py --check
	$(BIN)/python tools/learners_pages.py --check

docs: $(VENV)/.installed-dev
	$(BIN)/python tools/notes_map.py
	$(BIN)/python tools/activations_page.py
	$(BIN)/python tools/derivations.py
	$(BIN)/python tools/learners_pages.py

bench: $(VENV)/.installed
	$(BIN)/deltarule bench

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
