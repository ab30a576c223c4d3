# arcid: four verbs to live with: run, test, check, bench. `make serve` starts again without set-up.
VENV   ?= .venv
TORCH  ?= torch==2.13.0
ifeq ($(OS),Windows_NT)  # run make from Git Bash there
PYTHON ?= python
BIN    := $(VENV)/Scripts
EXE    := .exe
else
PYTHON ?= python3
BIN    := $(VENV)/bin
endif
judge   = $(VENV)/judges/$(1)/$(notdir $(BIN))/python$(EXE)
PIP    := $(BIN)/python -m pip install -q -c constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK = 1

test slow engines long clocked browser cover check bench openapi: export ARCID_DATA ?= ../shared

.PHONY: run serve test slow engines long clocked browser cover check lint types walls bench openapi reference docs constraints clean help

help:            ## what there is to run
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | sort

run: $(VENV)/.served serve ## set up .venv and start the service on http://127.0.0.1:8000

serve: ## start the service again, without set-up
	@$(BIN)/arcid serve

$(BIN)/python$(EXE):
	$(PYTHON) -m venv $(VENV)

$(VENV)/.served: pyproject.toml constraints.txt | $(BIN)/python$(EXE)
	$(PIP) -e '.[server]'
	@touch $@

$(VENV)/.tested: pyproject.toml $(VENV)/.served
	$(PIP) '$(TORCH)'
	$(PIP) -e '.[server,dev]'
	@touch $@

$(VENV)/.written: pyproject.toml $(VENV)/.tested
	$(PIP) -e '.[lint,docs]'
	@touch $@

# Other systems, which judge arcid's stand-ins for them; each in an environment of its own.
$(VENV)/.judged: Makefile | $(BIN)/python$(EXE)
	$(PYTHON) -m venv $(VENV)/judges/insightface
	$(call judge,insightface) -m pip install -q insightface==2.1
	$(PYTHON) -m venv $(VENV)/judges/deepface
	$(call judge,deepface) -m pip install -q deepface==0.0.103 insightface==2.1 flask flask-cors
	$(PYTHON) -m venv $(VENV)/judges/clients
	$(call judge,clients) -m pip install -q compreface-sdk==0.6.0 'urllib3<2' boto3==1.44.8
	@touch $@

# Milvus of its wheel, Ray, and the tests of the mark engine; CI leaves them out (docs/testing.md).
engines: $(VENV)/.tested ## Milvus and Ray beside the tests, and what needs them or Chroma at length
	$(PYTHON) -m venv $(VENV)/judges/milvus
	$(call judge,milvus) -m pip install -q milvus==2.3.5 setuptools
	$(PIP) -e '.[ray]'
	$(BIN)/python -m pytest -m engine $(ARGS)

# By what tests need; the marks are explained in pyproject.toml, times in docs/testing.md.
WORKERS := -n auto --dist loadfile
STEALING := -n auto --dist worksteal
LENGTHY := training or soak or slow
CLOCKED := server or attack

test: $(VENV)/.tested ## the fast tier on all cores, with the photographs of ARCID_DATA where they are
	$(BIN)/python -m pytest $(WORKERS) -m 'not ($(LENGTHY) or $(CLOCKED) or browser or engine or long)' $(ARGS)

slow: $(VENV)/.tested $(VENV)/.judged ## the slow tier: trainings, kills, real servers, attacks, a browser
	$(BIN)/python -m pytest $(STEALING) -m '($(LENGTHY)) and not ($(CLOCKED) or browser or engine or long)' $(ARGS)
	$(MAKE) -j2 clocked browser

long: $(VENV)/.tested $(VENV)/.judged ## what takes minutes: recipes from nothing, insightface on every photograph
	$(BIN)/python -m pytest -m long $(ARGS)

clocked: $(VENV)/.tested ## of the slow tier, real servers and attacks, one after the other
	$(BIN)/python -m pytest -m '($(CLOCKED)) and not browser' $(ARGS)

browser: $(VENV)/.tested ## of the slow tier, the console's tests in the Chromium of this machine
	$(BIN)/python -m pytest tests/browser $(ONLY)

cover: $(VENV)/.tested ## the fast tier, and which lines it runs
	$(MAKE) test ARGS='--cov'

check: lint types walls docs ## everything a change has to pass
	$(MAKE) test
	$(MAKE) slow

lint: $(VENV)/.written
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml \
	  .github/ISSUE_TEMPLATE/idea.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml examples/milvus/compose.yaml \
	  examples/several-servers/compose.yaml
	$(BIN)/zizmor --offline --quiet .github
	test '$(OS)' = Windows_NT || $(BIN)/hadolint Dockerfile

types: $(VENV)/.tested
	$(BIN)/mypy

walls: $(VENV)/.tested
	$(BIN)/lint-imports

bench: $(VENV)/.tested ## measure speed and size as ratios in one run
	$(PIP) -e '.[bench]'
	$(BIN)/arcid bench

openapi: $(VENV)/.tested ## rewrite the reviewed OpenAPI snapshot and the Python client
	$(BIN)/python -m tests.api.update_openapi

reference: $(VENV)/.tested ## rewrite docs/commands.md, rest-routes.md, settings.md and catalogue.md from the code
	$(BIN)/python scripts/make_docs.py

docs: $(VENV)/.written ## the documentation as a site in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# locked.txt: what the container and a release install, with the sha256 of every file pip may take.
LOCKED := --extra server --extra passkeys --extra sso --extra postgres --extra video --extra attendance --extra mqtt

constraints: $(VENV)/.served ## resolve constraints.txt and locked.txt anew, for every system and Python
	$(BIN)/python -m pip install -q 'uv>=0.9,<1'
	echo '$(TORCH)' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
	  --upgrade --no-header --no-annotate pyproject.toml - --output-file constraints.txt
	echo 'hatchling>=1.27,<2' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 $(LOCKED) \
	  --constraint constraints.txt --generate-hashes --no-header --no-annotate pyproject.toml - \
	  --output-file locked.txt

clean: ## remove the environment and build products
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
