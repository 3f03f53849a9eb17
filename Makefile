# Moyiza. `make run` starts it; see README.md.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Where cargo builds.
target := $(or $(CARGO_TARGET_DIR),target)

web_sources := $(shell find web/src web/public web/index.html web/package.json web/vite.config.ts \
	web/tsconfig.json -type f 2>/dev/null)

.PHONY: help
help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: run
run: tools web ## Build and start everything in one process; Ctrl-C stops it
	@cargo build --release --package moyiza
	@exec "$(target)/release/moyiza" run

.PHONY: cluster
cluster: tools web ## Build and start two engine and two api nodes on PostgreSQL, Redis and Kafka
	@cargo build --release --package moyiza --package api --package chat-engine
	@exec "$(target)/release/moyiza" cluster

.PHONY: test
test: tools web ## Check everything, with real servers and a browser
	@infra/scripts/test.sh

.PHONY: test-quick
test-quick: tools web ## The inner loop: no Java, and what else is slow
	@infra/scripts/test.sh --quick

.PHONY: clients
clients: tools ## Test with client libraries that others wrote: JavaScript, Python, Java
	@cargo build --package moyiza
	@node chat-engine/clients/run.mjs

.PHONY: bench
bench: tools web ## Run the benchmarks, and hold the engine against the least that this machine could do
	@cargo bench --package benches
	@benches/compare.sh

.PHONY: fuzz
fuzz: tools ## Attack the protocol crates, FUZZ_RUNS times each target
	@chat-engine/fuzz/run.sh --runs "$(or $(FUZZ_RUNS),10000000)"

.PHONY: reading-nightly
reading-nightly: tools ## Run the model of unread counts under READING_SCHEDULES=100000 random schedules
	@READING_SCHEDULES="$(or $(READING_SCHEDULES),100000)" \
		cargo test --package chat-engine --test reading_model -- random --nocapture

.PHONY: chaos
# A shell has SECONDS of its own in its environment: only what was said to make counts.
chaos_seconds := $(if $(filter command line,$(origin SECONDS)),$(SECONDS),600)
chaos: tools ## Break a cluster at random for SECONDS=600 from SEED=1, and check that it keeps its promises
	@cargo build --package chat-engine --package chaos
	@"$(target)/debug/chaos" --seconds "$(chaos_seconds)" --seed "$(or $(SEED),1)" --out "$(target)/chaos"

.PHONY: web
web: web/dist/index.html ## Build the web page

.PHONY: tools
tools:
	@infra/scripts/need.sh cargo cc cmake node npm

# npm writes this file last.
web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(web_sources)
	cd web && npm run build
	@touch $@
