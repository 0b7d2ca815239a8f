# Everything runs in .venv, and what is fetched stays in .cache: deleting both leaves a fresh clone.
#
#   make demo                 a pool, a worker and a task on this machine; ARGS="--tasks 5" for more
#   make test                 formatter, linter, types, tests;  ARGS="tests/chain -x" for a part of them
#   make unit                 the tests that need neither engine nor node
#   make chaos                a life cut at every step, in memory; real workers cut 200 times; faults
#                             that once broke something, a minute of each; then ten minutes of faults
#                             in a pool with workers, as root; ARGS="--seed 7"
#   make hostile              every attack of tests/hostile, as root; `make test` has the quick ones
#   make fuzz                 readers of outside data, a minute each; ARGS=300 for five,
#                             ARGS="multiaddress 300" for one reader
#   make fuzz-http            the routes, tried for a minute from their OpenAPI document
#   make audit                known vulnerabilities of the dependencies; asks PyPI, or with
#                             ARGS="--vulnerability-service osv" another service
#   make bench                measurements, as a table
#   make install              only .venv

# A shell of `su` has no sbin, where dockerd and iptables are.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export XDG_CACHE_HOME := $(CURDIR)/.cache
# Without byte code each process of the tests compiles all of them, which takes it two seconds.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
ARGS :=

.DEFAULT_GOAL := install
.PHONY: install demo test unit check audit chaos hostile fuzz fuzz-http bench

install:
	@scripts/setup python

demo:
	@scripts/setup demo
	@$(BIN)/iexec-worker demo $(ARGS)

test:
	@scripts/setup test
	@$(MAKE) --no-print-directory check
	@scripts/test $(ARGS)

unit:
	@scripts/setup python
	$(BIN)/pytest -n auto -m 'not docker and not node and not slow and not hostile' $(ARGS)

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive iexec_worker

# Not part of `test`: what is known of the dependencies changes without this repository.
audit:
	@scripts/setup python
	$(BIN)/pip install --quiet --group audit
	$(BIN)/pip freeze --all --exclude-editable \
	    | $(BIN)/pip-audit --strict --no-deps --disable-pip --requirement /dev/stdin $(ARGS)

chaos:
	@scripts/setup demo
	$(BIN)/pytest -o faulthandler_timeout=0 tests/chaos --chaos-share 1
	$(BIN)/pytest -o faulthandler_timeout=0 tests/integration/test_cuts.py --chaos-points 200
	$(BIN)/pytest tests/integration/test_chaos.py --chaos-seeds 1000
	@$(BIN)/iexec-worker chaos --seed 2 --duration PT10M $(ARGS)

hostile:
	@scripts/setup hostile
	$(BIN)/pytest tests/hostile -m docker $(ARGS)

fuzz:
	@scripts/setup python
	@$(BIN)/pip install --quiet --group fuzz
	@nice -n 19 $(BIN)/python tests/fuzz $(ARGS)

fuzz-http:
	@scripts/setup python
	$(BIN)/pytest tests/server/test_openapi.py --fuzz-http 60 $(ARGS)

bench:
	@scripts/setup test
	@$(BIN)/python tests/bench $(ARGS)
