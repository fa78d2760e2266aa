# The two commands of the README are `make demo` and `make test`; both install what is missing.

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= /usr/bin/python3
VENV := .venv
RUN := $(VENV)/bin/python
QGIS := scripts/with_qgis.sh
LARGEST_PACKAGE := 25000000
LOCKS := resources/torch_cpu.lock resources/runner_requirements.lock tests/requirements.lock
export LWGANET_RUNNER_PYTHON := $(CURDIR)/$(VENV)/bin/python

.PHONY: help demo test test-unit test-qgis test-end-to-end lint format package install lock clean system

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 18

demo: system $(VENV)/ready  ## all four tasks on bundled rasters through qgis_process; leaves build/demo
	@$(PYTHON) scripts/demo.py

test: test-unit test-qgis test-end-to-end  ## run all tests

# One thread each: networks of the tests' size gain nothing by more, and with more they crawl beside other programs.
test-unit test-end-to-end: export OMP_NUM_THREADS := 1

test-unit: $(VENV)/ready  ## the runner: operators, networks, rasters, training
	$(RUN) -m pytest tests/unit

test-qgis: system $(VENV)/ready  ## the plugin in QGIS, with a pretended runner
	$(QGIS) $(PYTHON) -m pytest tests/qgis --import-mode=importlib -c tests/qgis/pytest.ini -p no:cacheprovider

test-end-to-end: system $(VENV)/ready  ## qgis_process and the command line with the real runner
	$(RUN) -m pytest tests/end_to_end

lint: $(VENV)/ready  ## check style and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/ready  ## bring the code into the house's format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

package:  ## the plugin as a zip file for QGIS: what git tracks, without tests
	@mkdir -p dist
	git archive --format=zip --prefix=lwganet_qgis/ --output=dist/lwganet_qgis.zip HEAD -- . ':!tests' ':!.ci'
	@bytes="$$(stat -c %s dist/lwganet_qgis.zip)"
	echo "dist/lwganet_qgis.zip: $$bytes bytes"
	if [ "$$bytes" -gt $(LARGEST_PACKAGE) ]; then
		echo "The QGIS plugin repository takes $(LARGEST_PACKAGE) bytes at most." >&2; exit 1
	fi

install:  ## link this checkout into the user's QGIS profile
	@plugins="$${XDG_DATA_HOME:-$$HOME/.local/share}/QGIS/QGIS3/profiles/default/python/plugins"
	mkdir -p "$$plugins"
	if [ -e "$$plugins/lwganet_qgis" ] && [ ! -L "$$plugins/lwganet_qgis" ]; then
		echo "$$plugins/lwganet_qgis is there already and is no link; move it away first." >&2; exit 1
	fi
	ln -sfn "$(CURDIR)" "$$plugins/lwganet_qgis"
	echo "Linked. Enable LWGANet in QGIS under Plugins > Manage and Install Plugins."

lock: $(VENV)/ready  ## pin the newest allowed versions, with hashes
	$(VENV)/bin/pip install --quiet uv
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) scripts/lock_requirements.py

clean:  ## remove what was built
	rm -rf build dist $(VENV)

system:
	@scripts/install_system_packages.sh

$(VENV)/ready: $(LOCKS) | system
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --retries 1 --no-deps --require-hashes \
		--extra-index-url https://download.pytorch.org/whl/cpu -r resources/torch_cpu.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r resources/runner_requirements.lock -r tests/requirements.lock
	touch $@
