# make run      the demo on http://127.0.0.1:8080/; needs Python 3.11 or later and nothing else
# make test     every test; TESTS=tests.core for some of them, JOBS=1 for one at a time
# make lint     ruff and mypy
# make format   let ruff write the code as `make lint` wants it
# make bench    the measurements, beside other servers, in some 40 minutes; writes bench/results.rst
# make bench-quick    the main ratios in three minutes, compared with bench/results.rst; fails when one got worse
# make chaos    every fault, for hours; writes docs/faults.rst; CHAOS='kills --seed 7' for some of it
# make clean    remove what the other commands made, your data in var/ excepted

VENV ?= .venv
TESTS ?= tests
BENCH ?= --write
CHAOS ?= --write docs/faults.rst
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTHON_CODE := afeed twisted tests bench scripts .ci

SOURCES := setup.cfg pyproject.toml MANIFEST.in README.rst LICENSE \
    $(shell find afeed twisted -type f -not -path '*/__pycache__/*' -not -name dropin.cache)

.PHONY: run install programs test lint lint-code lint-layout lint-types format bench bench-quick \
    bench-programs chaos clean FORCE

run: install
	@echo "Starting afeed: open http://127.0.0.1:8080/ in a browser; Ctrl-C ends it"
	@exec $(BIN)/twistd --nodaemon --pidfile= afeed

install: $(VENV)/afeed.stamp

test: $(VENV)/test.stamp programs
	$(BIN)/python -m twisted.trial $(if $(filter-out 1,$(JOBS)),-j$(JOBS)) $(TESTS)

# Programs the tests start for themselves; where they may not be installed, the tests that need them fail.
programs:
	@scripts/test-programs

lint: lint-code lint-layout lint-types

lint-code: $(VENV)/dev.stamp
	$(BIN)/ruff check $(PYTHON_CODE)

lint-layout: $(VENV)/dev.stamp
	$(BIN)/ruff format --check $(PYTHON_CODE)

lint-types: $(VENV)/dev.stamp
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix $(PYTHON_CODE)
	$(BIN)/ruff format $(PYTHON_CODE)

# BENCH='steady burst --rounds 5' for some of it; BENCH=--help says what there is.
bench: $(VENV)/bench.stamp programs bench-programs
	$(BIN)/python -m bench $(BENCH)

bench-quick: $(VENV)/bench.stamp programs bench-programs
	$(BIN)/python -m bench --quick

# What the measurements compare afeed with, besides what the tests start.
bench-programs:
	@scripts/bench-programs

# CHAOS=--list says what there is; make test runs the short form.  With --write and names, what the page says of
# others stays.
chaos: $(VENV)/test.stamp programs
	$(BIN)/python -m tests.chaos $(CHAOS)

clean:
	rm -rf $(VENV) build dist afeed.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
	rm -f twisted/plugins/dropin.cache
	find afeed twisted tests bench scripts .ci -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@scripts/make-venv $(VENV)

# The names of the sources, rewritten only when one came or went.
$(VENV)/sources.txt: FORCE | $(BIN)/python
	@printf '%s\n' $(SOURCES) | cmp -s - $@ || printf '%s\n' $(SOURCES) > $@

# A real installation, not an editable one: with that, `twistd` would not find the plugin.  An old build/
# would bring deleted modules back.
$(VENV)/afeed.stamp: $(SOURCES) $(VENV)/sources.txt | $(BIN)/python
	@echo "Installing afeed into $(VENV) (the first time takes about a minute)"
	@rm -rf build afeed.egg-info
	@$(PIP) install --no-build-isolation .
	@rm -rf build afeed.egg-info
	@touch $@

# The tests import the source tree, which stands before the installation on their path.
$(VENV)/test.stamp: setup.cfg $(VENV)/afeed.stamp
	@echo "Installing what the tests need"
	@$(PIP) install --no-build-isolation '.[test]'
	@rm -rf build afeed.egg-info
	@touch $@

$(VENV)/bench.stamp: setup.cfg $(VENV)/test.stamp
	@echo "Installing what the measurements compare with"
	@$(PIP) install --no-build-isolation '.[test,bench]'
	@rm -rf build afeed.egg-info
	@touch $@

$(VENV)/dev.stamp: setup.cfg $(VENV)/test.stamp
	@echo "Installing what the linters need"
	@$(PIP) install --no-build-isolation '.[test,dev]'
	@rm -rf build afeed.egg-info
	@touch $@

FORCE:
