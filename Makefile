# Every target works in a virtual environment of its own: .venv, made on first use.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/installed
SOURCES := bandwatch coordinator observer_agent operator_console training_worker infra tests benchmarks proto

.PHONY: install demo test test-fleet test-docker reliability check format proto soak bench
.DEFAULT_GOAL := help

help: ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

install: $(STAMP) ## Make the virtual environment with everything in it.

demo: $(STAMP) ## Start the platform, watch four simulated cells, write report.html.
	$(BIN)/bandwatch demo --report report.html $(ARGUMENTS)

test: $(STAMP) ## Run every test but those of the whole fleet; those without their servers or recordings skip.
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not fleet and not docker' $(ARGUMENTS)

test-fleet: $(STAMP) ## Break things on purpose; say for each promise what was tried, how often, what was lost.
	$(BIN)/python -m pytest -n auto -m fleet tests/fleet $(ARGUMENTS)

test-docker: $(STAMP) ## Build the images, run the platform in containers, break it; installs and starts Docker where root finds none.
	$(BIN)/python -m infra.docker.with_engine -- $(BIN)/python -m pytest -p no:randomly tests/docker $(ARGUMENTS)

reliability: $(STAMP) ## Provoke every fault that tests know, and write docs/reliability.md.
	$(BIN)/python -m infra.docker.with_engine -- $(BIN)/python -m pytest -n auto --dist loadfile -m fault --fault-table=docs/reliability.md tests $(ARGUMENTS)

check: $(STAMP) ## Lint, types, layers, contract.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:randomly tests/architecture/test_contract.py

format: $(STAMP) ## Format the code and repair what the linter can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: $(STAMP) ## Generate bandwatch/wire/v1 from proto/.
	$(BIN)/python proto/generate.py

soak: $(STAMP) ## Half an hour of 200 simulated observers with a fault every minute: what grows, what is lost.
	$(BIN)/python -m benchmarks.soak $(ARGUMENTS)

bench: $(STAMP) ## Measure, each against its named alternative; takes minutes.
	for benchmark in benchmarks/*.py; do $(BIN)/python $$benchmark || exit 1; done
