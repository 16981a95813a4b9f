# Each target is a line or two that calls a tool a person could call as well.
# Variables: PYTHON=python3.12  VENV=.venv  ARGS="..." (for run, test, cdnow, bench, chaos, drill, failpoints, mutants, sim and dev)
#            JOBS=2 (how many files of tests run side by side: they wait more than they work)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BUILT := $(VENV)/.built
COMPILED := $(foreach pxd,$(wildcard pipeline/*/*.pxd),$(pxd) $(pxd:.pxd=.py)) pipeline/_compiled.py
ARGS ?=
JOBS ?= 2
PURE := tests/property tests/unit/test_cases.py tests/unit/test_intake.py tests/unit/test_records.py tests/unit/test_replay.py tests/unit/test_stitch.py

.DEFAULT_GOAL := help
.PHONY: help setup run test pure lint types layers format dev cdnow bench chaos drill failpoints sim mutants dashboards dashboards-preview reset clean lock

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 26

setup: $(READY) $(BUILT) ## Make .venv with exactly the packages of requirements.lock, and compile the hot path

$(READY): requirements.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("This needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Choose another one: make PYTHON=python3.12 $(firstword $(MAKECMDGOALS))")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed -n '/^pip==/,/[^\\]$$/p' requirements.lock > $(VENV)/pip.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/pip.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

$(BUILT): $(READY) $(COMPILED)
	@$(BIN)/python -m pipeline.dev.compiling
	touch $@

run: setup ## Start all of it here and watch customers move; Ctrl-C ends it
	@$(BIN)/journey run $(ARGS)

test: setup ## Check everything, then run all tests, whatever the checks say
	@failed=0; $(MAKE) --no-print-directory --keep-going lint types layers pure || failed=1; \
	[ $$failed = 0 ] || echo "A check failed (see above): this run fails whatever the tests say."; \
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS) || failed=1; \
	exit $$failed

pure: setup ## Test what is compiled once more as its plain sources
	@JOURNEY_PURE=1 $(BIN)/python -m pytest -q $(PURE)

lint: setup ## Check style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## Check the types, strictly
	@$(BIN)/mypy

layers: setup ## Check that imports go down only
	@$(BIN)/lint-imports

format: setup ## Format the code and mend what lint can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

dev: setup ## Run only Kafka and Redis, in the foreground
	@$(BIN)/journey dev $(ARGS)

cdnow: setup ## Replay 18 months of real purchases through the pipeline
	@$(BIN)/python -m examples.cdnow $(ARGS)

bench: setup ## Measure what an event costs, half an hour (ARGS="cost --pairs 1" for less)
	@$(BIN)/python -m tests.benchmarks $(or $(ARGS),all)

chaos: setup ## Hurt a real pipeline at random for ten minutes, and judge what is left
	@$(BIN)/python -m tests.chaos $(ARGS)

drill: setup ## Cause each fault that an alert is for, and follow its runbook, 25 minutes (needs Prometheus)
	@$(BIN)/python -m tests.drills $(ARGS)

failpoints: setup ## Let workers fail at each step of the protocol, and judge
	@$(BIN)/python -m tests.failpoints $(ARGS)

sim: setup ## Lead the lanes through 1,000 simulated worlds, or as many as wanted
	@$(BIN)/python -m tests.simulation $(ARGS)

mutants: setup ## Plant bugs into the code, and see which checker sees which
	@JOURNEY_PURE=1 $(BIN)/python -m tests.mutants $(ARGS)

dashboards: setup ## Write the dashboards for Grafana
	@$(BIN)/python -m tests.dashboards

dashboards-preview: setup ## Draw what they show of a live pipeline, 5 minutes (needs Prometheus)
	@$(BIN)/python -m tests.dashboards preview

reset: setup ## Remove what the local Kafka and Redis hold
	@$(BIN)/journey dev reset

clean: ## Remove .venv, .dev and all caches of this directory
	rm -rf $(VENV) .dev build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## Choose the versions anew (needs uv)
	uv pip compile pyproject.toml --extra dev --extra draw --extra traces --group test --group build --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet --upgrade --output-file requirements.lock
