# Each target is one line to bootstrap.py, which makes .venv first where it is missing:
# without make, `python3 bootstrap.py run` does the same.

.DEFAULT_GOAL := help
.PHONY: help run demo test lint chaos purge crash devices reliability soak mutations fuzz bench stop lock clean

# As typed: spaces, `~` and `$` in a folder's name must survive make and the shell.
override LIBRARY := $(value LIBRARY)
override ARGS := $(value ARGS)
export LIBRARY

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: ## start everything and play a morning on a folder: make run [LIBRARY=~/Pictures]
	@python3 bootstrap.py run $${LIBRARY:+"$$LIBRARY"}

demo: ## the same, then check that all of it worked, and end: make demo [LIBRARY=~/Pictures]
	@python3 bootstrap.py demo $${LIBRARY:+"$$LIBRARY"}

test: ## the tests: make test [ARGS="tests/unit -k graph"]
	@python3 bootstrap.py test $(ARGS)

lint: ## ruff, mypy, import-linter
	@python3 bootstrap.py lint

chaos: ## look for stale reads under faults, a million reads: make chaos [ARGS="--seed 42"]
	@python3 bootstrap.py exec python -m tests.chaos.coherence --ablations $(ARGS)

purge: ## look for bytes that a purge left, for a minute: make purge [ARGS="--seed 42"]
	@python3 bootstrap.py exec python -m tests.chaos.graph --ablations $(ARGS)

crash: ## kill everything and look for requests that were lost: make crash [ARGS="--aof always"]
	@python3 bootstrap.py exec python -m tests.chaos.pipeline $(ARGS)

devices: ## kill the readers of a device, and look for a byte too much: make devices [ARGS="--seed 42"]
	@python3 bootstrap.py exec python -m tests.chaos.devices $(ARGS)

soak: ## all of it under load and faults, and what grows: make soak [ARGS="--minutes 20"]
	@python3 bootstrap.py exec python -m tests.soak $(ARGS)

mutations: ## break invariants one by one, and see that a test fails for each
	@python3 bootstrap.py exec python -m tests.mutations $(ARGS)

fuzz: ## the property tests with other examples, and more: make fuzz [EXAMPLES=2000]
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) python3 bootstrap.py test --timeout 3600 tests/property \
	  tests/tasks/test_whole_client.py tests/tasks/test_fuzzed_messages.py \
	  tests/integration/test_fuzzed_endpoint.py $(ARGS)

reliability: ## every fault against every type of task: make reliability [ARGS="--cells SIGTERM"]
	@python3 bootstrap.py exec python -m tests.reliability $(ARGS)

bench: ## the benchmarks: make bench [ARGS="read --quick"]
	@python3 bootstrap.py bench $(ARGS)

stop: ## stop what `make run` or `cachekeeper up` started
	@python3 bootstrap.py stop

lock: ## re-make requirements.lock (needs uv): make lock [ARGS=--upgrade]
	@python3 bootstrap.py lock $(ARGS)

clean: ## remove the environment and everything generated; state folders stay
	@rm -rf .venv dist build .*_cache .hypothesis && find . -name __pycache__ -prune -exec rm -rf {} +
