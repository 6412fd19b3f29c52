# Thin targets: the code is in src/pipeline. `make help` lists them.
#
#   TARGET=aws|local          where deploy-infra, run-pipeline, monitor, explain, console, destroy-infra and smoke work
#   ENV=dev|prod              the environment on AWS, by its file in infra/environments/
#   INPUT=path                the file that demo and run-pipeline send
#   DATASET=name              its dataset (default: orders)
#   AWS_VAULT_PROFILE=name    run the AWS targets under aws-vault
#   PYTHON=python3.13         the Python of .venv

TARGET ?= aws
# Only from the command line of make: shells use the variable ENV for something else.
ifneq ($(origin ENV),command line)
override ENV := $(PIPELINE_ENV)
endif
export PIPELINE_ENV := $(ENV)
INPUT ?=
DATASET ?=
EXECUTION ?=
WHAT ?=
PYTHON ?= python3
UV_LOCK = compile --quiet $(if $(UPGRADE),--upgrade) --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11
WORDS := .ci/words.txt
LOCKS := layer-aws layer-json layer-schema layer-sql local-runtime uv bench
TOOL_LOCKS := checkov policy-lint workflow-lint audit hooks changes

VENV := .venv
READY := $(VENV)/ready
BIN := $(VENV)/bin
TOOLS := build/tools
# Offline, without an account of checkov's vendor; an unreadable file is an error.
CHECKOV = env -u BC_API_KEY CKV_PARSE_ERROR_FAIL=true $(TOOLS)/checkov/bin/checkov --framework terraform \
	--directory infra --skip-path tests/ --var-file infra/tests/checkov.tfvars --skip-download --compact --quiet
WORKFLOW_LINT := $(TOOLS)/workflow-lint/bin
VAULT := $(if $(and $(AWS_VAULT_PROFILE),$(filter aws,$(TARGET))),aws-vault exec $(AWS_VAULT_PROFILE) --)
PIPELINE = $(if $(VAULT),$(if $(shell command -v aws-vault),,$(error aws-vault is not on the PATH: install it, or unset AWS_VAULT_PROFILE)))$(VAULT) $(BIN)/python -m pipeline

.DEFAULT_GOAL := help
.PHONY: help demo test test-ci test-fast test-long bench bench-huge bench-memory check check-words check-workflows fmt build lock audit hooks changes release \
	bootstrap plan deploy-infra move-state run-pipeline monitor explain console destroy-infra smoke local-up local-down

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@sed -n 's/^#  / /p' $(MAKEFILE_LIST) | head -5

# The environment: uv first, which installs the rest in seconds; every file is pinned by hash.
$(READY): requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.13 ..." >&2; exit 1; }
	@echo "· preparing $(VENV)" >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/python -m uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Tools that need other versions of the same packages, each in its own environment.
$(TOOLS)/%/ready: requirements/%.txt $(READY)
	@echo "· preparing $(@D)" >&2
	@$(BIN)/python -m venv --clear $(@D)
	@$(BIN)/python -m uv pip sync --quiet --python $(@D)/bin/python --require-hashes $<
	@touch $@

demo: $(READY) ## Run a file (INPUT=...) through the whole pipeline on a local emulator, without an account
	@$(BIN)/python -m pipeline demo $(if $(INPUT),"$(INPUT)") $(if $(DATASET),--dataset $(DATASET))

# Three processes keep two processors busy, since tests with the local emulator often wait.
test: $(READY) $(TOOLS)/policy-lint/ready ## Run all tests except the slow and the long ones, in six minutes
	@$(BIN)/python -m pytest -m "not slow and not long" --numprocesses=3

test-ci: $(READY) $(TOOLS)/policy-lint/ready ## Run all tests except the long ones, as CI does
	@$(BIN)/python -m pytest --numprocesses=3

test-fast: $(READY) ## Run the unit tests, in half a minute: after every edit
	@$(BIN)/python -m pytest tests/unit --numprocesses=2 --quiet

test-long: $(READY) ## Run the long tests: a thousand files under faults, every fault at every call, deep fuzzing
	@$(BIN)/python -m pytest -m long

# QUICK=1 takes a minute and keeps no results; ROUNDS, BENCH_ORDERS and BENCH_BIG_ORDERS are numbers.
bench: $(READY) $(TOOLS)/bench/ready ## Measure speed, memory and latency, compared with other tools (QUICK=1: small files)
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(BENCH_ORDERS),--orders $(BENCH_ORDERS)) $(if $(BENCH_BIG_ORDERS),--big-orders $(BENCH_BIG_ORDERS))
	@$(BIN)/python -m bench.matrix $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-huge: $(READY) ## Run a 10 GB file through the functions' code within their memory and /tmp (10 minutes, 50 GB of disk)
	@$(BIN)/python -m bench.huge

bench-memory: $(READY) ## Measure time and cost of each step by its function's memory (as root, on Linux)
	@$(BIN)/python -m bench.memory_sizes

check: $(READY) $(TOOLS)/checkov/ready check-workflows ## Check format, lint, types, documents, Terraform, workflows and their security; changes nothing
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory check-words
	@problems=$$($(BIN)/python -m pytest --collect-only --quiet --quiet 2>&1) || { echo "$$problems" >&2; exit 1; }
	@$(BIN)/python docs/check.py
	@$(BIN)/python -m pipeline contract check
	@$(BIN)/python -m pipeline check-infra
	@$(CHECKOV) || { echo "error: checkov found a problem in infra/ (above), or can't read a file. Fix it, or give the" \
		"reason in the resource: #checkov:skip=ID:reason" >&2; exit 1; }

# codespell looks up what its --regex matches, so phrases of the list are alternatives ahead of single words.
check-words: $(READY)
	@git ls-files -z | xargs -0 $(BIN)/codespell
	@phrases=$$(sed -n 's/^\(.*[ -].*\)->.*/\1/p' $(WORDS) | paste -sd '|' -); git ls-files -z | \
		xargs -0 $(BIN)/codespell --dictionary $(WORDS) --regex "\b(?i:$$phrases)\b|[^\W_]+" || { echo "error: these words" \
		"don't read as plain English (above). Replace them; if a word is meant, see ignore-regex in .codespellrc." >&2; exit 1; }

# Offline, for the same result everywhere; dependabot checks the versions of pinned actions.
check-workflows: $(TOOLS)/workflow-lint/ready
	@$(WORKFLOW_LINT)/jactionlint --strict-exit --no-hints
	@$(WORKFLOW_LINT)/zizmor --offline --quiet --pedantic .github

fmt: $(READY) ## Format Python and Terraform, and write the generated files again
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format
	@terraform fmt -recursive
	@$(BIN)/python -m pipeline.deploy.variables
	@$(BIN)/python docs/generate.py

build: $(READY) ## Build the functions' zips for TARGET
	@$(BIN)/python -m pipeline build --target $(TARGET)

lock: $(READY) ## Lock the dependencies of pyproject.toml with hashes (UPGRADE=1: the newest versions)
	@$(BIN)/uv pip $(UV_LOCK) --group dev --output-file requirements/dev.txt
	@for group in $(LOCKS); do \
		$(BIN)/uv pip $(UV_LOCK) --group $$group --constraint requirements/dev.txt --output-file requirements/$$group.txt; done
	@for group in $(TOOL_LOCKS); do \
		$(BIN)/uv pip $(UV_LOCK) --group $$group --output-file requirements/$$group.txt; done

audit: $(TOOLS)/audit/ready ## Check the locked dependencies for known vulnerabilities (needs the network)
	@$(TOOLS)/audit/bin/pip-audit --disable-pip --require-hashes --progress-spinner off \
		$(foreach file,$(wildcard requirements/*.txt),--requirement $(file))

hooks: $(READY) $(TOOLS)/hooks/ready $(TOOLS)/workflow-lint/ready $(TOOLS)/changes/ready ## Install the hooks of .pre-commit-config.yaml
	@$(TOOLS)/hooks/bin/pre-commit install

changes: $(TOOLS)/changes/ready ## Check that this branch has a change note in changes/
	@git rev-parse --quiet --verify "$(or $(BASE),origin/main)^{commit}" >/dev/null || { echo "error: git doesn't know" \
		"$(or $(BASE),origin/main): fetch it, or name the branch to compare with (make changes BASE=main)" >&2; exit 1; }
	@$(TOOLS)/changes/bin/towncrier check --compare-with $(or $(BASE),origin/main)

release: $(TOOLS)/changes/ready ## Move the notes in changes/ to CHANGELOG.md, as those of VERSION
	@$(TOOLS)/changes/bin/towncrier build --yes --version "$(or $(VERSION),$(error Name the version: make release VERSION=1.2.0))"

bootstrap: $(READY) ## Create the bucket for Terraform's state (REGION=...) and, with REPOSITORY=..., the roles for GitHub
	@$(PIPELINE) bootstrap $(if $(REPOSITORY),--repository "$(REPOSITORY)") $(if $(REGION),--region "$(REGION)")

plan: $(READY) ## Show what deploy-infra would change
	@$(PIPELINE) plan --target $(TARGET)

deploy-infra: $(READY) ## Build and apply infra/ to TARGET (REVIEWED=digest: only the plan with that digest)
	@$(PIPELINE) deploy --target $(TARGET) $(if $(REVIEWED),--reviewed "$(REVIEWED)")

move-state: $(READY) ## Move Terraform's state of ENV from a file into TF_STATE_BUCKET
	@$(PIPELINE) move-state

run-pipeline: $(READY) ## Send INPUT (default: generated orders) through the pipeline on TARGET and follow it
	@$(PIPELINE) run $(if $(INPUT),"$(INPUT)") --target $(TARGET) $(if $(DATASET),--dataset $(DATASET))

monitor: $(READY) ## Show the executions and structured logs of TARGET
	@$(PIPELINE) status --target $(TARGET)
	@$(PIPELINE) logs --target $(TARGET)

explain: $(READY) ## Explain what happened to WHAT (a key, a batch or an execution) on TARGET, and what to do next
	@$(PIPELINE) explain "$(WHAT)" --target $(TARGET)

console: $(READY) ## Open or print the console URL of the state machine or of EXECUTION
	@$(PIPELINE) console $(if $(EXECUTION),"$(EXECUTION)") --target $(TARGET)

destroy-infra: $(READY) ## Destroy everything that deploy-infra created on TARGET (prod: CONFIRM=its name)
	@$(PIPELINE) destroy --target $(TARGET) $(if $(CONFIRM),--confirm "$(CONFIRM)")

smoke: $(READY) ## Deploy a temporary environment to TARGET, test it, destroy it and check that nothing is left (KEY=own: with a customer-managed key)
	@$(PIPELINE) smoke --target $(TARGET) $(if $(filter own,$(KEY)),--customer-managed-key)

local-up: $(READY) ## Start the local emulator and leave it running
	@$(BIN)/python -m pipeline local-up

local-down: $(READY) ## Stop the local emulator and delete its data
	@$(BIN)/python -m pipeline local-down
