# Two commands for a newcomer: `make demo` and `make test`. Everything lands in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)

.PHONY: demo test check install lock clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: install ## run the whole system on this machine and watch it work (ARGS=--exit for scripts)
	$(BIN)/headrace demo $(ARGS)

test: install ## run the tests (ARGS are pytest's)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

check: install ## everything that must hold: format, lint, types, imports, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

install: $(STAMP) ## make .venv from the pinned lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Headrace needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	    || { echo "no venv module: apt install python3-venv (Debian, Ubuntu)"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-* && touch $@

lock: ## resolve the dependencies anew into requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet "$$(grep '^torch==' requirements.lock)" setuptools
	build/lock/bin/pip install --quiet ".[model,embedded,evaluate,learn,test]"
	build/lock/bin/pip freeze --all --exclude headrace --exclude pip > requirements.lock

clean: ## remove .venv and what tools left behind
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
