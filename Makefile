# The project's doors. `make help` lists them; every one sets up .venv first, once.

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
STAMP := .venv/.ready
PEERS := build/peers/.ready
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup compare test lint lab bench book notebooks screenshots clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with everything in it (the others call this)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vtlearn needs Python 3.11 or newer; say which with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[course,train,pretrained,dev]'
	@touch $@

compare: $(STAMP)  ## train and compare the video transformers on the bundled clips (under 15 minutes on two quiet cores)
	$(BIN)/vtlearn compare $(ARGS)

test: lint  ## every check: lint, types, layers, unit tests, notebooks, browser (under 20 minutes on two cores)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --doctest-modules vtlearn
	CI=1 HF_HUB_CACHE=$(CURDIR)/build/no-published-weights $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --nbval --nbval-current-env --nbval-cell-timeout=300 notebooks

lint: $(STAMP)  ## style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lab: $(STAMP)  ## copy the lessons to work/ and open JupyterLab at lesson 00
	$(BIN)/vtlearn start 00 --lab

notebooks: $(STAMP)  ## rebuild the learner notebooks from notebooks/source and print every output line that changed
	$(BIN)/python -m vtlearn.course.notebooks build

bench: $(PEERS)  ## measure attention and models against their peers (ARGS=--quick for a short look)
	build/peers/bin/python -m benchmarks.attention $(ARGS)
	build/peers/bin/python -m benchmarks.models $(ARGS)

$(PEERS): pyproject.toml constraints.txt benchmarks/peers.txt benchmarks/peers-alone.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vtlearn needs Python 3.11 or newer; say which with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install --quiet -c constraints.txt -r benchmarks/peers.txt -e '.[pretrained]'
	build/peers/bin/python -m pip install --quiet --no-deps -c constraints.txt -r benchmarks/peers-alone.txt
	@touch $@

screenshots: $(STAMP)  ## every picture and panel of the lessons, and JupyterLab in Chromium, in build/screenshots
	$(BIN)/python -m pytest -q tests/browser/test_browser_screenshot.py
	$(BIN)/python -m vtlearn.course.screenshots

book: $(STAMP)  ## the lessons as web pages in build/book
	$(BIN)/jupyter nbconvert --to html --output-dir build/book notebooks/*.ipynb

clean:  ## remove .venv and everything that was built
	rm -rf .venv build results
