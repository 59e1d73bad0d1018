# Every target does its own set-up in .venv: plain pip, versions pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
CORE := $(VENV)/.core
TEST := $(VENV)/.test
BENCH := $(VENV)/.bench
DOCS := $(VENV)/.docs
# one process a core, so one thread for the linear algebra of each: idle threads of OpenBLAS spin, and a 4x4 matrix
# exponential takes hundreds of times as long where another process wants the core; a file stays in one process, which
# keeps its fixtures
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile

.PHONY: simulate test pytest test-full lint figures bench docs clean

simulate: $(CORE)
	$(VENV)/bin/python -m sde_si.simulate --N 50000 --B 128

# side by side: the type checker has one thread, and would leave the other cores idle for a minute
test: $(TEST)
	$(MAKE) --no-print-directory --jobs 2 lint pytest

pytest: $(TEST)
	rm -rf $(VENV)/numba-cache
	NUMBA_CACHE_DIR=$(VENV)/numba-cache $(PYTEST) -m "not slow and not gpu"

test-full: $(TEST) lint
	HYPOTHESIS_PROFILE=thorough $(PYTEST) -m "not gpu"

lint: $(TEST)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/basedpyright --pythonpath $(VENV)/bin/python

figures: $(CORE)
	$(VENV)/bin/python -m paper_figs

bench: $(BENCH)
	$(VENV)/bin/python -m validation.benchmarks simulate
	$(VENV)/bin/python -m validation.benchmarks sweep

docs: $(DOCS)
	$(VENV)/bin/sphinx-build --fail-on-warning --fresh-env -q docs build/docs

$(CORE): pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(TEST): $(CORE)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[test,networks,dask,slurm,parquet,search]"
	touch $@

$(BENCH): $(TEST)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[bench]"
	touch $@

$(DOCS): $(CORE)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis
