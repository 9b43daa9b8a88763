# Two commands on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-slow check docs clean

run: $(VENV)/installed
	$(BIN)/snakemake

test: $(VENV)/installed
	$(BIN)/pytest -m "not slow and not slurm and not benchmark"

# Real workflows, closed forms, kills: much longer. Slurm tests run where sbatch answers.
test-slow: $(VENV)/installed
	$(BIN)/pytest -m "(slow or slurm) and not benchmark" $(PYTEST_OPTIONS)

check: $(VENV)/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/lint-imports

# Parts of the documentation that are made from the code; a test holds them equal.
docs: $(VENV)/installed
	$(BIN)/python docs/checks.py

# torch first and by itself: its pin keeps later packages from fetching another build.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,slurm]'
	touch $@

clean:
	rm -rf $(VENV)
