# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version))))
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
DOCUMENTERS := $(VENV)/.documenters
# JAX is imported by whoever imports TensorFlow where it is installed: half a second a process.
BACKENDS := .venv-backends
NEWEST_KERAS := .venv-newest-keras/bin
IN_PARALLEL := -n 2 --dist loadfile
QUICK := not slow and not backend and not browser and not docs and not keras_hub
# Errors only: setuptools takes folders of data for packages, and says so at length.
PIP    := -m pip install --quiet --quiet --disable-pip-version-check
# So that editors and type checkers find the package, too, which no import hook tells them.
EDITABLE := --config-settings editable_mode=compat --editable

# TensorFlow's start-up chatter is no news in what these targets print.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help install demo lint check test test-thorough test-slow test-backends test-browser test-newest-keras \
  docs test-docs \
  coverage test-wheel test-extras test-tensorflow-serving reliability bench results clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY)  ## make .venv and install the package with everything that it needs

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "keras_attn needs Python 3.11, 3.12 or 3.13 on the PATH"; exit 2; }
	@echo "Installing into $(VENV) (some minutes, 3 GB) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP) --upgrade "pip>=25"
	@$(BIN)/python $(PIP) $(EDITABLE) ".[all,test]"
	@touch $@

demo: $(READY)  ## train on real digits, export, serve, predict, draw the attention; serve a shipped network
	@$(BIN)/keras-attn demo --out demo

lint: $(READY)  ## ruff, mypy and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

check: lint test  ## lint, types and the fast suite: what a commit must pass

test: $(READY)  ## the fast suite: five minutes on two cores
	$(BIN)/python -m pytest -m "not thorough and $(QUICK)" $(IN_PARALLEL) $(TESTS)

test-thorough: $(READY)  ## more of the same: further networks, layers, formats and restarts
	$(BIN)/python -m pytest -m "thorough and $(QUICK)" $(IN_PARALLEL) $(TESTS)

$(BACKENDS)/.backends: pyproject.toml
	@$(MAKE) --no-print-directory install VENV=$(BACKENDS)
	@$(BACKENDS)/bin/python $(PIP) $(EDITABLE) ".[backends]"
	@touch $@

test-backends: $(BACKENDS)/.backends  ## what runs JAX and PyTorch; one of them: BACKEND=jax
	$(BACKENDS)/bin/python -m pytest -m "backend and not slow" -k "$(BACKEND)" $(TESTS)

test-slow: $(BACKENDS)/.backends  ## what takes minutes
	$(BACKENDS)/bin/python -m pytest -m "slow and not browser and not docs" $(TESTS)

test-newest-keras:  ## the layers, saved weights and KerasHub's detectors on the newest Keras there is
	@test -x $(NEWEST_KERAS)/python || $(PYTHON) -m venv $(NEWEST_KERAS:/bin=)
	@$(NEWEST_KERAS)/python $(PIP) --upgrade "pip>=25"
	@$(NEWEST_KERAS)/python $(PIP) $(EDITABLE) ".[export,hub]" "pytest>=9,<10"
	@$(NEWEST_KERAS)/python $(PIP) --upgrade keras keras-hub
	@$(NEWEST_KERAS)/python -c "import keras; print('Keras', keras.__version__)"
	$(NEWEST_KERAS)/python -m pytest -m "keras_hub or ($(QUICK))" $(or $(TESTS), \
	  tests/layers/test_contract.py tests/weights/test_files.py tests/applications/common/test_keras_hub.py)

test-browser: $(READY)  ## the server's page, in Chromium (Debian's package `chromium`)
	$(BIN)/python -m pytest -m browser

$(DOCUMENTERS): $(READY)
	@$(BIN)/python $(PIP) $(EDITABLE) ".[docs]"
	@touch $@

docs: $(DOCUMENTERS)  ## the documents as a site, build/site/index.html
	@mkdir -p build
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/python -m mkdocs build --strict --quiet \
	  2> build/docs.log || { cat build/docs.log; exit 1; }

test-docs: $(DOCUMENTERS)  ## run every example of the documents: some minutes
	$(BIN)/python -m pytest -m docs $(TESTS)

coverage: $(READY)  ## the fast and the thorough suite with line and branch coverage
	$(BIN)/python -m pytest -m "$(QUICK)" $(IN_PARALLEL) --cov $(TESTS)

test-tensorflow-serving: $(READY)  ## TF Serving's own tests on ours, of its clone FOLDER: a quarter of an hour
	@test -d "$(FOLDER)/tensorflow_serving" || \
	  { echo "FOLDER must be a clone of https://github.com/tensorflow/serving"; exit 2; }
	$(BIN)/python tests/programs/tensorflow_serving_assertions.py $(FOLDER)
	$(BIN)/python tests/programs/tensorflow_serving_suite.py $(FOLDER)

test-wheel: $(READY)  ## build the wheel, install it in an empty environment, use it from elsewhere
	$(BIN)/python tests/programs/wheel_check.py

test-extras: $(READY)  ## install each extra alone in an empty environment, and use it
	$(BIN)/python tests/programs/extras_check.py $(EXTRAS)

reliability: $(READY)  ## kill it, fill its disk, lie to it: a quarter of an hour of trials, one table
	@$(BIN)/python -m benchmarks.reliability

bench: $(READY)  ## time attention and whole networks, in short: some minutes, tables and CSVs
	@$(BIN)/python benchmarks/attention.py --short --out build/attention.csv
	@$(BIN)/python benchmarks/networks.py --short --out build/networks.csv

results: $(READY)  ## go on with the trainings that the documents quote: days, at the lowest priority
	@$(BIN)/python -m benchmarks.accuracy.trainings --missing $(if $(DATA_DIR),--data-dir $(DATA_DIR))

clean:  ## remove what the targets made
	rm -rf $(VENV) $(BACKENDS) .venv-newest .venv-newest-keras build dist demo *.egg-info
