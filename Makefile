# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: help install demo test test-slow test-wheel lint clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY)  ## make .venv and install the package with everything that it needs

$(READY): pyproject.toml keras_attn/_version.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25"
	$(BIN)/python -m pip install --quiet --editable ".[all,test]"
	touch $@

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(READY)  ## the fast suite
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(READY)  ## what takes minutes
	$(BIN)/python -m pytest -m slow

clean:  ## remove what the targets made
	rm -rf $(VENV) build dist demo *.egg-info
