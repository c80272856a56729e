# Paquebot. `make help` lists the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Tests start the service hundreds of times: without files of byte code it would be compiled each time.
unexport PYTHONDONTWRITEBYTECODE

bin := .venv/bin
python_paths := mta operator tests $(wildcard bench monitoring)
packages := paquebot_mta paquebot_operator tests $(wildcard bench monitoring)
# Test processes of the fast part.
JOBS ?= 2
# Seconds for each target, and which ones (all if empty).
FUZZ_SECONDS ?= 60
FUZZ ?=
# How long the ledger breaks things, and its seed: empty for a new one.
MINUTES ?= 30
SEED ?=
pytest := $(bin)/python -m pytest
in_process := not integration and not crash and not slow

.PHONY: help setup packages run test fast slow lint types layers fmt fuzz bench bench-scale bench-latency bench-operator bench-queue bench-filters ledger ledger-compare monitoring monitoring-files monitoring-pictures crds chart image lock clean kube-tools cluster-up cluster-env cluster-down

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv from uv.lock (quick when nothing changed)
	@tools/setup

packages: ## install and unpack the Debian packages that the tests need (root or sudo)
	@tools/debian-packages
	@tools/debian-unpacked

run: setup ## compile examples/quickstart and start the MTA on 127.0.0.1
	@$(bin)/paquebot run examples/quickstart

test: setup packages kube-tools ## everything: lint, types, layers, fast tests, tests with real peers
	@tools/parts lint types layers fast slow

fast: setup ## tests that need no peer and no patience
	@$(pytest) -q -n $(JOBS) -m "$(in_process)"

slow: setup packages kube-tools ## the other tests: real peers, crashes, long runs
	@$(pytest) -q -m "not ($(in_process))"

lint: setup ## ruff: rules and format
	@$(bin)/ruff check $(python_paths)
	@$(bin)/ruff format --check $(python_paths)

types: setup ## mypy, strict, tests too
	@$(bin)/mypy $(addprefix -p ,$(packages))

layers: setup ## who may import whom
	@$(bin)/lint-imports --cache-dir .cache/import_linter

fmt: setup ## mend what ruff can mend
	@$(bin)/ruff check --fix $(python_paths)
	@$(bin)/ruff format $(python_paths)

fuzz: ## feed parsers and sessions with hostile bytes, guided by coverage (FUZZ_SECONDS for each target)
	@tools/setup fuzz
	@PYTHONPATH=.cache/fuzz-tools $(bin)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

bench: setup packages ## compare with Postfix on this machine
	@$(bin)/python -m bench

bench-scale: setup packages ## a long queue: start, memory, listing, a dead destination
	@$(bin)/python -m bench.scale

bench-latency: setup ## small senders beside big and slow ones, idle connections
	@$(bin)/python -m bench.latency

bench-filters: setup packages ## what filters cost: twenty built-in ones, a program that hears everything, rspamd
	@$(bin)/python -m bench.filters

bench-queue: setup ## a million queued messages: start, memory; 100,000 due at once; what compaction leaves
	@$(bin)/python -m bench.queue

ledger: setup packages ## break a pool at random for MINUTES, and balance its books (root)
	@$(bin)/python -m tests.faults.ledger --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

ledger-compare: setup packages ## cut the power of Paquebot, Postfix, Exim and OpenSMTPD: who kept what (root)
	@$(bin)/python -m tests.faults.ledger.compare

bench-operator: setup packages kube-tools ## the operator: from a change to its effect, many MailDomains (root; ten minutes)
	@$(bin)/python -m bench.operator

kube-tools: ## build the programs of the test cluster, once (minutes; needs Go)
	@tools/kube >/dev/null || true

cluster-up: setup packages kube-tools ## start a Kubernetes of two nodes on this machine (root), and say how to use it
	@$(bin)/python -m tests.kube up

cluster-env: ## print what makes kubectl and helm of a shell talk to it: evaluate it there
	@$(bin)/python -m tests.kube env

cluster-down: setup ## take that Kubernetes away
	@$(bin)/python -m tests.kube down

crds: setup ## write what is made from the models: CRDs of the charts, docs/api.md
	@$(bin)/python -m paquebot_operator.crds

chart: setup crds kube-tools ## write what is made in the charts: definitions, README, golden files of its tests
	@$(bin)/python tools/chart-readme charts/paquebot
	@$(bin)/python -m tests.chart.rendering

image: ## build the image paquebot:test without a registry (root), and print the path of its archive
	@tools/image

monitoring: setup packages ## show dashboards and alerts with real data, until Ctrl-C
	@$(bin)/python -m monitoring.show

monitoring-files: setup ## renew the dashboards and rules that the chart carries
	@$(bin)/python -m monitoring

monitoring-pictures: setup packages ## renew docs/images from a run of three minutes
	@$(bin)/python -m monitoring.show --pictures 180

lock: ## renew uv.lock, without hosts
	@tools/lock

clean: ## remove what the tools wrote (.paquebot, with its mail and queue, stays)
	rm -rf .venv .cache build dist .hypothesis bench/results
	find mta operator tests $(wildcard bench monitoring) -name __pycache__ -prune -exec rm -rf {} +
