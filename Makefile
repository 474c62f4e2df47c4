# `make` alone lists what there is. Needs Python 3.11 or newer and a package index; nothing else.
.DEFAULT_GOAL := help
.PHONY: help install up test check bench

PYTHON := .venv/bin/python

help:  ## list these
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

install:  ## make .venv and install everything into it (skipped when nothing changed)
	@.ci/install

up: install  ## start the platform with the manifests in manifests/ (PORT=3010)
	@exec $(PYTHON) -m mqops.cli up manifests

test: install  ## run every test (ARGS='-k name' for some)
	@exec $(PYTHON) -m pytest $(ARGS)

# Tools run as modules: a script's first line cannot hold the path of a deep checkout.
check: install  ## lint, format, types, import contracts, generated schemas
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(PYTHON) -m reconciler.manifests.schema --check
	$(PYTHON) -m mqops.api.openapi --check

bench: install  ## measure publishing beside its peer (ARGS='--json')
	@exec $(PYTHON) -m benchmarks publish $(ARGS)
