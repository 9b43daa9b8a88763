# Two commands on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
# The extra browser, which is large, lets tests open pages in Chromium.
EXTRAS ?= dev,docs,slurm
VENV := .venv
BIN := $(VENV)/bin
# Two tests at a time; tests/conftest.py says in which order, and which stay in one process.
PYTEST := $(BIN)/pytest --numprocesses 2

.PHONY: run test test-slow test-studies check docs lock clean

run: $(VENV)/installed
	$(BIN)/snakemake

test: $(VENV)/installed
	$(PYTEST) -m "not slow and not study and not slurm and not benchmark" $(PYTEST_OPTIONS)

# Real workflows, closed forms, kills: much longer. Slurm tests run where sbatch answers.
test-slow: $(VENV)/installed
	$(PYTEST) -m "(slow or slurm) and not study and not benchmark" $(PYTEST_OPTIONS)

# Whole studies against their exact answers, and checks in 200 repeats: hours, before a release and after a change of training.
test-studies: $(VENV)/installed
	$(PYTEST) -m study $(PYTEST_OPTIONS)

check: $(VENV)/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow examples
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tables that are made from the code, which a test holds equal to it; then the site: build/site/index.html.
docs: $(VENV)/installed
	$(BIN)/python docs/checks.py
	$(BIN)/python docs/configuration.py
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs/site -b html . build/site

# What declared versions cover, recorded after a version was raised or with a reason why not.
lock: $(VENV)/installed
	$(BIN)/python tests/versions.py "$(REASON)"

# torch first and by itself: its pin keeps later packages from fetching another build.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV)
