# arcid: four verbs to live with: run, test, check, bench. `make serve` starts again without set-up.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TORCH  ?= torch==2.13.0
export PIP_DISABLE_PIP_VERSION_CHECK = 1

test browser check bench openapi: export ARCID_DATA ?= ../shared

.PHONY: run serve test browser check lint types walls bench openapi clean help

help:            ## what there is to run
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | sort

run: $(VENV)/.served serve ## set up .venv and start the service on http://127.0.0.1:8000

serve: ## start the service again, without set-up
	@$(BIN)/arcid serve

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.served: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q -e '.[server]'
	@touch $@

$(VENV)/.tested: pyproject.toml $(VENV)/.served
	$(BIN)/pip install -q '$(TORCH)'
	$(BIN)/pip install -q -e '.[server,dev]'
	@touch $@

test: $(VENV)/.tested ## all tests, on the photographs of ARCID_DATA where they are
	$(BIN)/python -m pytest

browser: $(VENV)/.tested ## the console's tests, in the Chromium of this machine
	ARCID_BROWSER_TESTS=1 $(BIN)/python -m pytest tests/browser $(ONLY)

check: lint types walls test ## everything a change has to pass

lint: $(VENV)/.tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.tested
	$(BIN)/mypy

walls: $(VENV)/.tested
	$(BIN)/lint-imports

bench: $(VENV)/.tested ## measure speed and size as ratios in one run
	$(BIN)/pip install -q -e '.[bench]'
	$(BIN)/arcid bench

openapi: $(VENV)/.tested ## rewrite the reviewed OpenAPI snapshot
	$(BIN)/python -m tests.api.update_openapi

clean: ## remove the environment and build products
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
