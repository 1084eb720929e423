# `make` lists the targets. Everything is installed into .venv; nothing outside this folder is touched.

VENV := .venv
PYTHON ?= $(shell sh scripts/find_python.sh)
DEMO_ARGS ?=
TEST_ARGS ?=
TRAIN_ARGS ?=
SOAK_ARGS ?=
BENCHMARK_ARGS ?=

# A shell in which a ROS installation was sourced must not mix that one with the packages of .venv.
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH RMW_IMPLEMENTATION
unexport ROS_DISTRO ROS_LOCALHOST_ONLY ROS_STATIC_PEERS ROS_DISCOVERY_SERVER _ROS_WHEELS_BOOTSTRAP_COMPLETE
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Set-ups and runs at the same time on one host must not hear each other. Ids above 101 meet ephemeral ports.
export ROS_DOMAIN_ID := $(shell expr 1 + $$PPID % 100)

RUN := PYTHONPATH=$(CURDIR) $(VENV)/bin/python
# A stamp is written after its last step has succeeded, so that an interrupted set-up is taken up again.
PACKAGES_DONE := $(VENV)/.packages_done
UNDERLAY_DONE := $(VENV)/.underlay_done
UNDERLAY_SOURCES := CMakeLists.txt package.xml mrc_net_ros/__init__.py $(shell find underlay msg srv -type f -not -path '*/__pycache__/*' -not -path '*/.*')

.PHONY: help setup demo test lint benchmark benchmark-node soak train-demo clean distclean
.DEFAULT_GOAL := help

help:
	@echo "make demo        set up, then play the recorded camera into the node; results in out/demo"
	@echo "                 (DEMO_ARGS=\"--frames 20\" for a short one)"
	@echo "make test        set up, then run the tests (TEST_ARGS=\"-k crop -x\" goes to pytest)"
	@echo "make lint        ruff and mypy"
	@echo "make setup       only set up .venv: libraries, ROS 2 and the messages (minutes the first time, then seconds)"
	@echo "make benchmark   speed of the renderers, the correlation and the estimator on this machine"
	@echo "make benchmark-node   what the node does for a frame beside the network, at 30 frames/s (2 minutes;"
	@echo "                 BENCHMARK_ARGS=\"--inputs raw\")"
	@echo "make soak        the node under twice the frames that it can answer, for ten minutes, then 20 restarts; out/soak"
	@echo "                 (SOAK_ARGS=\"--seconds 60\" for a short one)"
	@echo "make train-demo  train the demo's bundle further, into runs/demo (TRAIN_ARGS goes to mrc-net train)"
	@echo "make clean       remove results and caches;  make distclean: remove .venv as well"
	@echo "PYTHON=python3.12 make setup   takes that Python; any of 3.11 to 3.13"

setup: $(UNDERLAY_DONE)
	@echo "set-up: done ($$($(VENV)/bin/python --version) in $(VENV))"

$(PACKAGES_DONE): constraints.txt setup.py pyproject.toml scripts/setup_packages.sh scripts/find_python.sh
	@rm -f $@
	@VENV=$(VENV) PYTHON="$(PYTHON)" sh scripts/setup_packages.sh
	@touch $@

$(UNDERLAY_DONE): $(PACKAGES_DONE) $(UNDERLAY_SOURCES)
	@rm -f $@
	@echo "set-up: the messages, and what PyPI lacks of ROS 2 (a minute the first time)"
	@$(VENV)/bin/python underlay/install.py
	@touch $@

demo: setup
	@$(RUN) demo/run_demo.py $(DEMO_ARGS)

test: setup
	@echo "test: pytest; its ROS traffic stays on this host"
	@ROS_PYTHON_CHECK_FIELDS=1 $(RUN) -m pytest $(TEST_ARGS)

lint: $(PACKAGES_DONE)
	@echo "lint: ruff"
	@$(VENV)/bin/ruff check .
	@echo "lint: mypy"
	@$(VENV)/bin/mypy

benchmark: $(PACKAGES_DONE)
	@$(VENV)/bin/mrc-net benchmark

benchmark-node: setup
	@$(RUN) -m mrc_net_ros.benchmark_node $(BENCHMARK_ARGS)

soak: setup
	@$(RUN) -m mrc_net_ros.soak_node $(SOAK_ARGS)

# A run that is resumed has what came of the bundle in its checkpoint.
train-demo: $(PACKAGES_DONE)
	@$(VENV)/bin/mrc-net train --config config/train/demo.yaml --objects demo/objects --output runs/demo \
	  $(if $(findstring --resume,$(TRAIN_ARGS)),,--init demo/bundle) $(TRAIN_ARGS)

clean:
	rm -rf out build install log .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
