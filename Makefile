# The two commands of a fresh machine: make refresh, make test. Everything else is `btg`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup refresh test lint types check oldest flow help

help:            ## show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: .venv/.ready  ## make .venv with the locked dependencies

.venv/.ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else f"btg needs Python 3.11 to 3.14, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

refresh: setup   ## the main job: take what is new, check, build, publish
	@$(BIN)/btg refresh; code=$$?; if [ $$code -eq 4 ]; then exit 0; fi; exit $$code

test: setup      ## all tests
	$(BIN)/python -m pytest

lint: setup      ## style
	$(BIN)/ruff check src flows tests
	$(BIN)/ruff format --check src flows tests

types: setup     ## strict types
	$(BIN)/mypy

check: setup     ## data quality and catalogue, no network
	$(BIN)/btg check

oldest: .venv-oldest/.ready  ## the oldest DuckDB client that the published file promises to serve

.venv-oldest/.ready:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: 'duckdb==1.2.0'
	@touch $@
