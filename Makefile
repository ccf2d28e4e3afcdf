# Every target sets itself up: it needs Python 3.11+, make and git, nothing else.
# PYTHON=python3.12 chooses another interpreter for the first run.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
KILLS  ?= 200
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# The stamp holds what was installed, so that nothing depends on the dates that a checkout gives to files.
INPUTS := pyproject.toml requirements.lock
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help install browser demo test check format bench chaos lock clean

help: ## say what there is
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: ## create .venv with all that running, testing and checking need (under a second when it is there)
	@want="$$(cat $(INPUTS) | cksum) $$(pwd)"; \
	if [ -x $(BIN)/python ] && [ "$$(cat $(STAMP) 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	mkdir -p .cache; exec 9>.cache/install.lock; if command -v flock >/dev/null; then flock 9; fi; \
	if [ "$$(cat $(STAMP) 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "handoff-bridge needs Python 3.11 or newer; name one with: make install PYTHON=python3.12" >&2; exit 1; }; \
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; \
	  else echo "Python's venv module is missing; install it, on Debian with: apt-get install python3-venv" >&2; exit 1; fi; fi; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV); \
	echo "installing the pinned packages into $(VENV) ..."; \
	$(BIN)/python -m pip install -q --require-hashes -r requirements.lock; \
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .; \
	echo "$$want" >$(STAMP)

browser: install ## find Chromium, or install it where this may be done
	@$(BIN)/python -m tests.browser.chromium >/dev/null 2>&1 || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's Chromium for the tests in a browser ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    chromium fonts-dejavu-core fonts-noto-color-emoji >/dev/null; fi; \
	$(BIN)/python -m tests.browser.chromium >/dev/null; }

demo: install ## the whole thing in one page, no accounts needed
	@$(BIN)/handoff-bridge demo $(ARGS)

test: install browser ## every test, on two cores; ARGS='-k name' chooses
	@$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

check: install ## lint, form, types, import rules, and that the installed packages fit together
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pip check

format: install ## put the code into form and mend what ruff can mend
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

bench: install ## measure, and write tests/bench/results/latest.json
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: install ## kill -9 under faults, KILLS=200 times, on SQLite and PostgreSQL, and count what was lost or doubled
	@$(BIN)/python -m tests.chaos --kills $(KILLS) $(ARGS)

lock: install ## pin the newest allowed packages anew, hashes included
	@$(BIN)/python -m pip install -q uv
	@$(BIN)/uv pip compile -q --no-config --upgrade --universal --python-version 3.11 --generate-hashes --extra test \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock pyproject.toml
	@$(MAKE) install

clean: ## remove what make created
	@rm -rf $(VENV) .cache .ruff_cache build dist
