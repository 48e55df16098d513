# Two commands for a newcomer: `make demo` and `make test`. Everything lands in .venv.

PYTHON ?= python3
N ?= 100
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
SUM := $(shell cat requirements.lock requirements.torch pyproject.toml | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.installed-$(SUM)
SMALL := $(VENV)/.small-$(SUM)

.PHONY: demo test venv unit faults databases pages compose coverage docs check install lock clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: $(or $(wildcard $(STAMP)),$(SMALL)) ## run the whole system on this machine and watch it work (ARGS=--exit for scripts)
	$(BIN)/headrace demo $(ARGS)

test: install ## run the tests (ARGS are pytest's)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

unit: install ## the quick tests: no servers, under two minutes on two cores
	$(BIN)/python -m pytest tests/unit tests/architecture --numprocesses 2 --dist loadfile $(ARGS)

faults: install ## whole installations through faults, N kills (SEED) among them; KAFKA_HOME for a real Kafka
	$(BIN)/python -m pytest tests/connected -m faults --kills $(N) $(if $(SEED),--kill-seed $(SEED)) $(ARGS)

databases: install ## real PostgreSQL and MariaDB through Debezium's connectors; KAFKA_HOME with Connect and both of them
	$(BIN)/python -m pytest tests/connected -m databases $(ARGS)

pages: install ## type what the pages say to type and what takes minutes: training, other models
	$(BIN)/python -m pytest tests/connected -m pages $(ARGS)

compose: install ## type what the pages say to type where there is Docker; images and ports as in .env.example
	$(BIN)/python -m pytest tests/connected -m compose $(ARGS)

# Workers that a test starts as processes are not measured. Of some 400 files the least covered are shown.
coverage: install ## run the tests and show what they reach
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report --sort=cover | awk 'NR <= 17; { last = $$0 } END { print "...\n" last }'

docs: install ## look up every link, file, class, setting and command that the pages name
	$(BIN)/python -m pytest tests/architecture/test_docs.py tests/architecture/test_readme.py $(ARGS)

check: install ## everything that must hold: format, lint, types, imports, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

venv: $(or $(wildcard $(STAMP)),$(SMALL)) ## make .venv from the pinned lock, with what ingesting and searching need

install: $(STAMP) ## the same with all of it, torch too (TORCH_ARGS are pip's, for torch alone)

$(STAMP): $(if $(wildcard $(STAMP)),,$(SMALL))
	@echo "Installing what tests and training need: torch, and as many more; some minutes."
	$(PIP) --no-deps --require-hashes --requirement requirements.lock
	$(PIP) $(TORCH_ARGS) --requirement requirements.torch
	$(BIN)/pip check
	@touch $@

# What ingesting and searching need: no torch.
$(SMALL): requirements.lock requirements.torch pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Headrace needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	    || { echo "no venv module: apt install python3-venv (Debian, Ubuntu)"; exit 2; }
	@echo "Installing into $(VENV): about a minute, 350 MB to download, 1.1 GB on the disk."
	@$(BIN)/python deploy/lock.py select serve,model,embedded >$(VENV)/small.lock
	$(PIP) --no-deps --require-hashes --requirement $(VENV)/small.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.small-* $(VENV)/.installed-* && touch $@

lock: ## resolve the dependencies anew into requirements.lock, with the hashes of all their files
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --upgrade pip pip-tools setuptools
	build/lock/bin/pip install --quiet --requirement requirements.torch
	build/lock/bin/pip install --quiet ".[serve,model,embedded,learn,plots,parquet,test]"
	build/lock/bin/python deploy/lock.py write > build/lock/requirements.lock
	mv build/lock/requirements.lock requirements.lock

clean: ## remove .venv and what tools left behind
	rm -rf $(VENV) build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
