# Needs Python 3.11 or newer, git and a package registry. `make help` lists the targets.
PYTHON ?= python3
DIR ?= .local
BIN := .venv/bin
LOCAL := $(BIN)/python -m service.local --dir $(DIR)
INSTALL := $(PYTHON) -m service.local.install
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links

# Every test and every start has many processes, and each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run stop token demo test test-deep check review lock bench chaos mutants sbom triggers gateway deploy-check test-aws test-docker

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

install: ## create the virtual environments, with the development tools
	@$(INSTALL) --dev

run: ## start everything; ARGS=--detach returns when ready, ARGS="--ports N" listens on N to N+4, ROADS=city.osm.pbf adds a routing engine
	@$(INSTALL)
	@$(LOCAL) up $(ARGS)

stop: ## end what `make run` started
	@$(LOCAL) down

# Every shell sets USER to the login name, so USER counts only when it is given on the command line.
ROLE ?= $(if $(filter command,$(origin USER)),$(USER),rider)
token: ## print a fresh access token: ROLE=rider (default), admin, dispatcher, unicorn or machine
	@$(LOCAL) token $(ROLE)

demo: ## request a ride of the running stack and watch it
	@$(LOCAL) demo

# Three at a time on two cores: an integration test mostly waits. A file's tests stay together and in order, and
# tests/conftest.py says which files come first.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/docker --ignore=tests/aws
test: install ## run the tests; ARGS are pytest's, "-n 0" runs one at a time
	@$(BIN)/pytest $(PARALLEL) $(ARGS)

test-deep: install ## run the property tests with ten times as many examples, which no run before drew
	@$(BIN)/pytest $(PARALLEL) -m hypothesis --hypothesis-profile=deep $(ARGS)

check: install ## lint, formatting, types, the OpenAPI document
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.clients.lint

review: install ## look for weaknesses in templates and Dockerfiles with checkov, cfn-guard (by npm) and hadolint
	@$(BIN)/python -m tests.review

lock: install ## pin what the .in files ask for, with hashes
	@$(LOCK) requirements.in -o requirements.txt
	@$(LOCK) requirements-dev.in -o requirements-dev.txt
	@$(LOCK) service/local/requirements.in -o service/local/requirements.txt
	@$(LOCK) tests/review/requirements.in -o tests/review/requirements.txt
	@cd docker/roads && ../../$(LOCK:3.11=3.12) --no-deps requirements.in -o requirements.txt

bench: install ## measure against the references of the README
	@$(BIN)/python -m tests.load.bench $(ARGS)

chaos: install ## kill everything for minutes, prove that nothing is lost: SEED=7 RIDES=2000 MINUTES=7
	@$(BIN)/python -m tests.load.chaos --seed $(or $(SEED),1) --rides $(or $(RIDES),2000) \
		--minutes $(or $(MINUTES),7) --folder $(DIR)/chaos $(ARGS)

mutants: install ## make small mistakes, see whether the tests notice: SEED=1 COUNT=60
	@$(BIN)/python -m tests.load.mutants --seed $(or $(SEED),1) --count $(or $(COUNT),60) $(ARGS)

sbom: install ## write the software bill of materials (CycloneDX) of what ships
	@$(BIN)/cyclonedx-py requirements requirements.txt --output-format JSON --output-file $(DIR)/sbom.json
	@echo $(DIR)/sbom.json

triggers: install ## write the archive of the user pool's triggers for Lambda
	@$(BIN)/python -m service.local.triggers $(DIR)/triggers.zip
	@echo $(DIR)/triggers.zip

deploy-check: install ## say what an AWS account lacks before the stacks of docker/ecs can be created: ARGS='VpcId=... Image=...'
	@$(BIN)/python -m service.local.deploy_check $(ARGS)

gateway: install ## write the routes of docker/ecs/gateway.yaml from those of the code
	@$(BIN)/python -m service.local.gateway docker/ecs/gateway.yaml

test-aws: install ## walk through the identity side in a real AWS account, under a prefix that is deleted (needs credentials, AWS_REGION; never run yet)
	@$(BIN)/pytest tests/aws -s $(ARGS)

test-docker: install ## build the image and run it with docker-compose (needs a Docker engine)
	@$(BIN)/pytest tests/docker $(ARGS)
