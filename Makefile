# Each target is one line to bootstrap.py, which makes .venv first where it is missing:
# without make, `python3 bootstrap.py run` does the same.

.DEFAULT_GOAL := help
.PHONY: help run demo test lint chaos purge crash devices reliability bench stop lock clean

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
