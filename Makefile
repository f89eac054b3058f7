# `make help` lists the targets; each installs what it needs into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test check format docs paper bench clean

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
# Notices of mkdocs' successors; the versions are pinned in pyproject.toml.
export NO_MKDOCS_2_WARNING := 1
export DISABLE_MKDOCS_2_WARNING := true

help: ## Show what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

# The stamp is newer than pyproject.toml exactly when .venv holds what it asks for.
.venv/installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing eufcc and its tools into .venv (a few minutes the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

install: .venv/installed ## Install eufcc into .venv

demo: install ## Draw a collection, train on it, measure, and tag three images (about 4 minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh $(DEMO)

test: install ## Lint, types, documentation, and beside them all tests
	@mkdir -p build
	@( $(MAKE) --no-print-directory check > build/check.txt 2>&1 || { cat build/check.txt; exit 1; } ) & checks=$$!; \
	passed=0; $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder || passed=$$?; \
	wait $$checks || { echo "lint, types or documentation: failed (build/check.txt)"; exit 1; }; exit $$passed

check: install ## Lint, types and documentation only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/mkdocs build --quiet --site-dir build/site

format: install ## Put the code into its standard form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

paper: install ## The table of the EUFCC-340K paper, from nothing (hours, and a GPU); stops and resumes
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/paper.sh paper

docs: install ## Build the documentation into build/site
	@$(BIN)/mkdocs build --quiet --site-dir build/site

bench: install ## Measure speed against peers and floors (tests/benchmarks)
	@$(BIN)/python -m tests.benchmarks

clean: ## Remove what was built and drawn; your data stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis $(DEMO)
