# Everything a developer or CI calls. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Else every process that a test starts would compile all that it imports, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
EXTRAS := ceilometer,postgresql,mariadb
DEMO_ARGS ?=
PYTEST_ARGS ?=
PYTEST := $(BIN)/python -m pytest $(PYTEST_ARGS)
PREPARE := $(BIN)/python -m tests.acceptance.prepare
# What each stage runs. Most acceptance tests wait most of the time, so two modules share a
# devcloud; what stops or breaks a part that all need comes afterwards, alone.
STAGES := unit functional acceptance disruptive
unit_ARGS := -n auto tests/unit
functional_ARGS := -n auto --dist worksteal tests/functional
acceptance_ARGS := -n 2 --dist loadfile --no-loadscope-reorder -m 'not disruptive' tests/acceptance
disruptive_ARGS := -m disruptive tests/acceptance

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Variables: DEMO_ARGS (e.g. --keep), PYTEST_ARGS, PYTHON (3.11 or later)'

# ---- environment

.PHONY: venv
venv: $(STAMP) ## create or refresh .venv (editable install, every version pinned)
	@:

$(STAMP): setup.py setup.cfg requirements.txt test-requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo 'Python 3.11 or later is needed: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/debian-packages python3-venv
	@echo "Installing into $(VENV) (the first time takes about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -b constraints.txt \
	    -r test-requirements.txt -e '.[$(EXTRAS)]'
	@touch $@

.PHONY: constraints
constraints: ## re-resolve constraints.txt (keeps what it pins, where that still fits)
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV); $(BIN)/python -m pip install --quiet uv; }
	UV_CUSTOM_COMPILE_COMMAND='make constraints' $(BIN)/uv pip compile --quiet --universal \
	    --python-version 3.11 --no-annotate $(foreach e,$(subst $(comma), ,$(EXTRAS)),--extra $(e)) \
	    setup.py test-requirements.txt -o constraints.txt
comma := ,

.PHONY: debian-packages
debian-packages: ## install what the tests start: database servers, systemd, polkit, curl, jq (root or sudo, says so)
	@.ci/debian-packages postgresql mariadb-server systemd dbus polkitd curl jq

# ---- the job

.PHONY: demo
demo: $(STAMP) ## the whole chain, live, on a real control plane on this machine
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/demo/demo $(DEMO_ARGS)

.PHONY: test
test: $(STAMP) debian-packages ## unit, functional and acceptance tests; all run, any failure fails
	@logs=$$(mktemp -d); failed=0; up=; \
	trap '{ [ -z "$$up" ] || { kill $$up 2>/dev/null && wait $$up; $(PREPARE) wipe; }; } || :; rm -rf "$$logs"' EXIT; \
	run() { \
	    echo; echo "######## $$1"; \
	    [ $$1 = unit ] || [ "$$up" ] || { $(PREPARE) up >"$$logs/up" 2>&1 & up=$$!; }; \
	    [ $$1 != acceptance ] || wait $$up || tail -n 20 "$$logs/up"; \
	    DEVCLOUD_PREPARED=1 $(PYTEST) --durations=15 "$${@:2}" 2>&1 | tee "$$logs/$$1" || failed=1; \
	}; \
	$(foreach stage,$(STAGES),run $(stage) $($(stage)_ARGS); ) \
	echo; \
	for stage in $(STAGES); do printf '%-11s %s\n' "$$stage" "$$(tail -n 1 "$$logs/$$stage")"; done; \
	exit $$failed

.PHONY: unit
unit: $(STAMP) ## unit tests
	@$(PYTEST) $(unit_ARGS)

.PHONY: functional
functional: $(STAMP) debian-packages ## tests on SQLite, PostgreSQL, MariaDB and over HTTP
	@$(PYTEST) $(functional_ARGS)

.PHONY: acceptance
acceptance: ## tests of the whole chain on devcloud
	@$(MAKE) test STAGES='acceptance disruptive'

.PHONY: campaign
campaign: $(STAMP) debian-packages ## workers killed at every boundary, on all three databases
	@CAMPAIGN_DATABASES=sqlite,mariadb,postgresql $(PYTEST) -s tests/acceptance/test_campaign.py

.PHONY: benchmarks
benchmarks: $(STAMP) ## speed and size, as ratios within one run
	@$(PYTEST) -s tests/benchmarks

# ---- the guest

.PHONY: agent
agent: ## build the agent into dist/: one file that runs, and a Debian package
	@$(PYTHON) deploy/agent/build dist

# ---- quality

.PHONY: lint
lint: $(STAMP) ## ruff, mypy, the direction of imports, docs; all run, any failure fails
	@failed=0; run() { echo "== $$*"; "$$@" || failed=1; }; \
	run $(BIN)/ruff check .; \
	run $(BIN)/ruff format --check --output-format concise .; \
	run $(BIN)/mypy; \
	run $(BIN)/python -m pytest --quiet tests/unit/test_imports.py; \
	run $(MAKE) docs; \
	exit $$failed

.PHONY: format
format: $(STAMP) ## let ruff format the code and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(STAMP) ## build docs/_build/html; a warning is an error
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo docs/_build/html/index.html

.PHONY: clean
clean: ## remove .venv and everything built
	rm -rf $(VENV) build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path './.*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
