# SPDX-License-Identifier: Apache-2.0
# For people at a desk and for CI, without a ROS distribution. With one: rosdep install, colcon build (see README.md).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

DISTRO ?= jazzy
ifeq ($(filter $(DISTRO),jazzy kilted),)
  $(error DISTRO is '$(DISTRO)'; allowed: jazzy, kilted)
endif
VENV := $(if $(filter jazzy,$(DISTRO)),.venv,.venv-$(DISTRO))
DONE := $(VENV)/.done
WHEELS := environment/constraints.txt environment/message-build.txt $(wildcard environment/$(DISTRO)/*)

# A distribution's set-up script would mix its packages into the wheels' (see environment/prepare.sh, which does the same).
ifneq ($(AMENT_PREFIX_PATH),)
  unexport LD_LIBRARY_PATH
endif
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE
# The wheels are installed without byte code. Where the environment forbids to write it, each process would compile again: importing
# PyTorch takes 4.0 s of processor time in place of 1.6 s.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/build/byte_code
# What we start on this machine stays on it.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export DISTRO VENV PYTHON EXTRAS CONSTRAINTS

.PHONY: help
help: ## this list
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Variables: DISTRO=jazzy|kilted, PYTHON=python3.11 (3.10 to 3.13), EXTRAS=ros,dev,train (of setup.py), CONSTRAINTS=FILE, ARGS="..." (for test, demo and bench)'

.PHONY: setup
setup: $(DONE)/venv $(DONE)/wheels $(DONE)/message $(DONE)/package ## prepare .venv (.venv-kilted with DISTRO=kilted): wheels, our message, this package

$(DONE)/venv:
	@echo '[1/4] Python'
	@environment/prepare.sh venv
	@mkdir -p $(DONE) && touch $@

$(DONE)/wheels: $(DONE)/venv setup.py $(WHEELS)
	@echo '[2/4] Wheels'
	@environment/prepare.sh wheels
	@touch $@

$(DONE)/message: $(WHEELS) CMakeLists.txt package.xml $(wildcard msg/* environment/tf2_msgs/* environment/tf2_msgs/msg/*) | $(DONE)/wheels
	@echo '[3/4] Message'
	@environment/prepare.sh message
	@touch $@

$(DONE)/package: $(DONE)/wheels setup.py package.xml fusion_ros/__init__.py $(wildcard executables/* launch/* config/*)
	@echo '[4/4] Package'
	@environment/prepare.sh package
	@touch $@

.PHONY: test
test: lint ## lint, then all tests; ARGS go to pytest
	$(VENV)/bin/python -m pytest $(ARGS)

.PHONY: ros
ros: setup ## the tests over DDS alone, to try another distribution; ARGS go to pytest
	$(VENV)/bin/python -m pytest test/ros $(ARGS)

.PHONY: lint
lint: setup ## style, types, spelling and wording, without changing a file
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell
	@! git grep -nIEiw -f .ci/banned_words.txt -- '*.py' '*.md' '*.yaml' '*.yml' '*.msg' '*.sh' Makefile

.PHONY: demo
demo: setup ## synthetic cameras, fuse node and recorder over DDS; pictures and summary in demo/
	$(VENV)/bin/fusion-ros demo --out demo $(ARGS)

.PHONY: bench
bench: setup ## every benchmark that needs no data, about 12 minutes: JSON and summary.md in bench/
	$(VENV)/bin/python -m benchmarks --out bench $(ARGS)

.PHONY: soak
soak: setup ## the node for SECONDS (600) with lossy cameras and disturbances: soak/; fails on growth or mixed pairs
	PYTHONPATH=test $(VENV)/bin/python -m soak --seconds $(or $(SECONDS),600) $(ARGS)

.PHONY: attack
attack: setup ## hostile files, bags, parameters, messages, stalls and kills, at most 10 minutes: attack/; fails on any breach
	PYTHONPATH=test:test/detection:test/ros:test/streams $(VENV)/bin/python -m attack --out attack $(ARGS)

$(DONE)/docs: environment/docs.txt $(WHEELS) | $(DONE)/package
	$(VENV)/bin/python -m pip install --quiet --no-compile -c $(or $(CONSTRAINTS),environment/$(DISTRO)/constraints.txt) -r environment/docs.txt
	@touch $@

.PHONY: docs
docs: setup $(DONE)/docs ## the documentation site in site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	@echo 'site/index.html'

.PHONY: clean
clean: ## remove .venv, .venv-kilted and everything that was built
	rm -rf .venv .venv-kilted build install log demo bench site fusion_ros.egg-info .pytest_cache .ruff_cache .hypothesis attack
