# Each target sets up what it needs first, once: a virtual environment in .venv and the workspace built by colcon.
#   make demo [VIEW=1]   the whole graph on a simulated arm, with a report       make lint    ruff, mypy, ament linters
#   make demo-offline    learns on a graph, ends it, makes a policy of the bags alone, tries it on another
#   make test            unit tests, and tests over the ROS graph               make bench   every bench-… below, two hours
#   make test-learning   whether it learns, over seeds; takes minutes            make fuzz    odd inputs on everything that is taken
#   make test-faults     every fault of processes, laws, sensors, clocks, most of them many times
#   make test-lerobot    whether LeRobot's own loader reads what we export; set up in an environment of its own
#   make bench-methods   the other learners, each on the problem that shows what it is for
#   make bench-rollout   rollouts a second by generated kernels and by mujoco.rollout, one thread each
#   make compare [METHODS=".." STEPS=.. EVERY=.. SEEDS=".." TASKS=".."]  methods side by side on three tasks; takes
#                        hours, and goes on where it was left
#   make bench-bags      recording, reading and aligning of bags, memory, kills of the recorder
#   make bench-mpc       panda_reach planned anew 500 times a second over DDS, with a target that moves and pushes
#   make soak [MINUTES=15]  trials and swaps at 500 Hz: memory, heartbeats, bags
#   make setup [PYTHON=/path/to/python3.12]                                     make docs    the pages, in site/
#                                                                               make clean   undo the set-up

SHELL := /bin/bash
PYTHON ?=
VIEW ?=
PYTEST_ARGS ?=
MINUTES ?= 15
BENCH_ARGS ?=
TASKS ?= cartpole_swingup reacher_2link arm_reach
METHODS ?= lqr_flm gps sac sac_pink mba mve mbpo mbpo_pink mpc_cem=2000 mpc_icem=2000 mpc_mppi=2000 mpc_ilqr=2000 backprop=2000 linear_quadratic=2000
STEPS ?= 10000
EVERY ?= 500
SEEDS ?= 0 1 2

SETUP = python=$$(PYTHON='$(PYTHON)' tools/find_python.sh) && "$$python" tools/setup.py
IN_ENV = source tools/env.sh &&

.PHONY: help setup demo demo-offline test test-learning test-faults test-lerobot fuzz soak lint bench bench-ilqr bench-rollout bench-loop bench-mpc bench-flm bench-bags bench-methods compare docs lock clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,/^$$/s/^# \?//p' Makefile

setup:
	@$(SETUP)

demo: setup
	@$(IN_ENV) mbpl demo $(if $(VIEW),--view)

demo-offline: setup
	@$(IN_ENV) mbpl demo-offline

# Unit tests on all processors at once; a graph keeps to the wall clock and is tested alone.
test: setup
	@$(IN_ENV) export FASTRTPS_DEFAULT_PROFILES_FILE='$(CURDIR)/tests/fastdds.xml' ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET && { \
	$(if $(PYTEST_ARGS),python -m pytest $(PYTEST_ARGS), \
	python -m pytest tests/unit --numprocesses logical --dist loadfile; units=$$?; \
	python -m pytest tests/ros tests/faults tools/launch_subset/tests && exit $$units); }

test-learning: setup
	@$(IN_ENV) python -m pytest tests/learning $(PYTEST_ARGS)

test-faults: setup
	@$(IN_ENV) FASTRTPS_DEFAULT_PROFILES_FILE='$(CURDIR)/tests/fastdds.xml' ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET \
	python -m pytest tests/faults --campaign $(PYTEST_ARGS)

fuzz: setup
	@$(IN_ENV) FASTRTPS_DEFAULT_PROFILES_FILE='$(CURDIR)/tests/fastdds.xml' ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET \
	python -m pytest tests/fuzz --hypothesis-profile=fuzz --timeout=7200 $(PYTEST_ARGS)

soak: setup
	@$(IN_ENV) python bench/soak.py --minutes $(MINUTES)

test-lerobot: setup
	@$(SETUP) lerobot
	@$(IN_ENV) python -m pytest tests/unit/bags/test_export.py -k loader_of_lerobot $(PYTEST_ARGS)

lint: setup
	@$(IN_ENV) tools/lint.sh

bench: bench-ilqr bench-rollout bench-loop bench-mpc bench-flm bench-bags bench-methods

bench-bags: setup
	@$(IN_ENV) PYTHONPATH='$(CURDIR)/tests/unit/bags':$$PYTHONPATH python bench/bags.py $(BENCH_ARGS)

bench-ilqr: setup
	@$(SETUP) crocoddyl
	@$(IN_ENV) python bench/ilqr.py $(BENCH_ARGS)

bench-rollout: setup
	@$(IN_ENV) python bench/rollout.py $(BENCH_ARGS)

bench-loop: setup
	@$(IN_ENV) python bench/loop.py

bench-mpc: setup
	@$(IN_ENV) python bench/mpc.py $(BENCH_ARGS)

bench-methods: setup
	@$(IN_ENV) python bench/methods.py $(BENCH_ARGS)

compare: setup
	@$(IN_ENV) ended=0; for task in $(TASKS); do \
	  directory=runs/compare/$$task; \
	  if [ -f $$directory/compare.yaml ]; then mbpl compare --resume $$directory; \
	  else mbpl compare --task $$task --methods $(METHODS) --steps $(STEPS) --every $(EVERY) --seeds $(SEEDS) --output $$directory; fi \
	  || ended=$$?; [ $$ended -ne 130 ] || break; \
	done; exit $$ended

bench-flm: setup
	@$(IN_ENV) python bench/flm.py

docs:
	@$(SETUP) docs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet && echo "The pages are in site/; open site/index.html"

# Maintainers only: pin new versions. Needs uv on the PATH.
lock:
	@requirements/lock.sh

clean:
	@$(SETUP) clean
