# What people do with this tree. `make help` lists it.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 25

setup:  ## install what is missing (apt packages, uv, .venv) and make .venv/bin/guestnet; as root
	@tools/setup

demo: setup  ## a throw-away lab: apply examples/seed.yaml, reach a real guest from outside; as root
	@$(PYTHON) -m lab.demo

test: setup  ## all tests, real guests included; ARGS='tests/live -k reach' runs one pytest with those; as root
	@tools/test $(ARGS)

test-passthrough: setup  ## packets of a guest through a virtual function, in a nested machine; as root, 5 minutes
	@$(PYTHON) -m pytest -m passthrough tests/nested $(ARGS)

quick: setup  ## the tests that need no lab
	@$(PYTHON) -m pytest -m "not lab" $(ARGS)

fuzz-select: setup  ## address selection, predicted and asked of the real glibc; ARGS='--cases N --seed S'; as root
	@$(PYTHON) -m tests.glibc.fuzz $(ARGS)

faults: setup  ## each change of a host killed at each of its effects, and each effect failed in every way; ARGS='--every 10 --jobs 2': 45 minutes; as root, all of it half a day
	@$(PYTHON) -m tests.faults $(ARGS)

bench: setup  ## what guestnet costs, against the least that anybody could do, and peers (bench/README.md); as root, 7 minutes
	@$(PYTHON) -m bench $(ARGS)

golden: setup  ## write the golden files anew; read the difference before you commit it
	@GOLDEN_UPDATE=1 $(PYTHON) -m pytest -q -m "not lab" -k "golden or test_problems"

lock: setup  ## pin the dependencies anew into requirements.lock
	@tools/lock

clean: setup  ## remove what a killed test or demo left
	@$(PYTHON) -m lab.clean

.PHONY: help setup demo test test-passthrough quick fuzz-select faults bench golden lock clean
