# `make demo` and `make test` are all a newcomer needs; both install what is missing.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
# Prefect and what it needs are thousands of modules: without bytecode every start of a flow compiles them anew (5 s).
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo down test check prove bench bench-vault bench-postgres bench-fail-stop soak clean lock

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Coffer needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install -q --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install -q --no-deps -e .
	@touch $@

demo: install          ## both DAGs, end to end, on real parts
	$(BIN)/python -m examples.demo

down: install          ## end all that `make demo` or `coffer stack up` started
	$(BIN)/coffer stack down

check: install         ## the inner loop: lint, types, walls, unit tests; no services
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache | tail -n 12
	$(BIN)/coffer deployments write --check
	$(BIN)/pytest -q -m "not integration and not browser" -n 2 tests/unit tests/tables

test: check            ## everything that CI runs: the inner loop, then real services and faults
	$(BIN)/pytest -q --durations=10 -n 2 tests/faults
	$(BIN)/pytest -q --durations=15 -m "not alone" -n 2 --dist loadfile tests/integration
	$(BIN)/pytest -q --durations=15 -m alone tests/integration

prove: install         ## what is proven at real size and over real time: about an hour, real services, 40 GiB of disk
	$(BIN)/pytest -q --durations=10 tests/proof

bench: bench-vault bench-postgres bench-fail-stop ## all that is promised about speed and memory, measured; never part of the tests

SCRATCH ?= $(HOME)/.cache/coffer/bench
bench-vault: install   ## the vault beside restic: about an hour, 25 GiB of disk; writes docs/measured-vault.md
	$(BIN)/python -m bench vault run --folder $(SCRATCH)/work --json $(SCRATCH)/vault.json
	$(BIN)/python -m bench vault memory --folder $(SCRATCH)/work --json $(SCRATCH)/vault-memory.json
	$(BIN)/python -m bench vault report $(SCRATCH)/vault.json $(SCRATCH)/vault-memory.json --write docs/measured-vault.md

bench-postgres: install ## recovery of PostgreSQL beside pgBackRest, restic and PostgreSQL's own: over an hour, 60 GiB of disk
	$(BIN)/python -m bench postgres run --json $(SCRATCH)/postgres.json
	$(BIN)/python -m bench postgres growth --json $(SCRATCH)/postgres-growth.json
	$(BIN)/python -m bench postgres report $(SCRATCH)/postgres.json $(SCRATCH)/postgres-growth.json --write docs/measured-postgres.md

bench-fail-stop: install ## what is restored when the log is damaged, gone or closed: Coffer and pgBackRest, three minutes
	$(BIN)/python -m bench fail-stop

MINUTES ?= 30
soak: install          ## random sequences against the model of the vault, for MINUTES
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

lock:                  ## write requirements.lock anew
	$(BIN)/uv pip compile pyproject.toml --extra local --extra dev --no-header --no-emit-index-url --generate-hashes -q -o requirements.lock

clean: down
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
