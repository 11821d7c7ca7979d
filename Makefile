# One command for each thing; `make` alone lists them. The environment is .venv, made when a target first needs it.
#   PYTHON   interpreter that makes .venv (3.11 or newer)
#   TORCH    what pip installs as torch, e.g. TORCH='torch>=2.14' for the newest; pip's own settings and environment hold as always
#   WORKERS  processes that run the tests, DATA_DIR real data for the tests that want some
PYTHON ?= python3
TORCH ?= torch==2.13.0
WORKERS ?= auto
export TORCH

VENV := .venv
BIN := $(VENV)/bin
# One stamp a TORCH, so that another choice installs it and the same one costs nothing.
STAMP := $(VENV)/.stamp-$(shell printf '%s' '$(TORCH)' | cksum | cut -d ' ' -f 1)
PIP := $(BIN)/python -m pip --disable-pip-version-check

# A worker's torch, BLAS, numba and tokenizers each get one thread: the processes share the cores.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 RAYON_NUM_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal
COVER := --cov --cov-report= --cov-fail-under=0
# Compiled kernels are invisible to coverage: their tests run a second time with the compiler off.
KERNEL_TESTS := $(wildcard tests/data/classify tests/data/contamination tests/data/dedup tests/data/features tests/data/pii/test_scan.py \
  tests/data/test_pack_kernels.py tests/data/filters/test_language.py tests/data/filters/test_toxicity.py tests/evaluate/test_byte_ngram.py)

.PHONY: help env demo test fast lint types format docs bench bench-data bench-train lock hooks clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /:/' | awk -F: '{ printf "make %-11s %s\n", $$1, $$2 }'

env: $(STAMP)  ## make or renew .venv

demo: $(STAMP)  ## from raw text to a gated model on text that is already on your machine
	$(BIN)/ropewalk run recipes/quickstart.yaml

test: $(STAMP)  ## all tests, and at least 90% of lines covered
	@rm -f .coverage .coverage.*
	$(PYTEST) $(COVER)
ifneq ($(KERNEL_TESTS),)
	NUMBA_DISABLE_JIT=1 $(PYTEST) $(COVER) --cov-append -m "not slow" $(KERNEL_TESTS)
endif
	$(BIN)/python -m coverage report

fast: $(STAMP)  ## the tests that take under two minutes
	$(PYTEST) -m "not slow"

lint: $(STAMP)  ## style rules and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)  ## the strict type checker
	$(BIN)/mypy

format: $(STAMP)  ## put files into shape
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

docs: $(STAMP)  ## the pages in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(STAMP)  ## the benchmarks, one after another
	@for file in benchmarks/*.py; do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

bench-data: $(STAMP)  ## the data line beside its peers; DATA_DIR adds the labelled sets
	$(BIN)/python -m benchmarks.data

# PEERS is the Python of an environment with transformers and trl; one is made in build/ when it is left out.
bench-train: $(STAMP)  ## training beside its peers: speed, memory, optimizers
	$(BIN)/python -m benchmarks.train $(if $(PEERS),--peers $(PEERS))

# Keeps what is pinned unless UPGRADE=--upgrade. torch is left out: TORCH chooses it.
lock: $(STAMP)  ## renew requirements.lock after a change of dependencies
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 --generate-hashes \
	  --no-emit-package torch --no-emit-index-url --custom-compile-command "make lock" --quiet $(UPGRADE) -o requirements.lock

hooks: $(STAMP)  ## run lint, types and the house tests before each commit
	$(BIN)/pre-commit install

clean:  ## remove all that make made; your runs and the store stay
	rm -rf $(VENV) site dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ropewalk needs Python 3.11 or newer and $(PYTHON) is not; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(STAMP): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV): some 100 packages and $$TORCH, 1 to 5 minutes the first time."
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	@printf '%s\n' "$$TORCH" | xargs $(PIP) install --quiet
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@rm -f $(VENV)/.stamp-* && touch $@
