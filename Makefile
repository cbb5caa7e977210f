# What can be done here. `make` alone tells.

.DEFAULT_GOAL := help
.PHONY: help demo demo-stop demo-secrets test check fmt lint deny bench bench-sidecar bench-admission bench-lists bench-agents fuzz clean-clusters

help: ## this list
	@echo "mk8s: one audited way into every Kubernetes cluster"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Begin with: make demo"

demo: ## the gateway on this machine, with a real cluster, until Ctrl-C (DEMO_DETACH=1: in the background)
	@tools/demo.sh

demo-stop: ## end a demo that runs in the background
	@tools/demo.sh stop

demo-secrets: ## a pod that gets secrets from a vault, on this machine (DEMO_ONCE=1: show it, and end)
	@tools/demo-secrets.sh

test: ## every test, against real clusters (KEEP_CLUSTER=1: leave them running for the next time)
	@tools/test.sh

check: ## does it compile, tests included?
	cargo check --workspace --all-targets

fmt: ## put the code in its form
	cargo fmt --all
	gofmt -l -w tools/devcluster tests/clients/go crates/gotemplate/tests/corpus/go

lint: ## what the compilers and linters say
	cargo clippy --workspace --all-targets -- -D warnings
	cd tools/devcluster && go vet ./...
	cd tests/clients/go && go vet ./...
	cd crates/gotemplate/tests/corpus/go && CGO_ENABLED=0 go vet ./...

deny: ## licences, advisories and banned crates
	cargo deny check

bench: ## what it costs, beside haproxy and the API server itself (BENCH_ARGS=--help)
	@bench/run.sh $(BENCH_ARGS)

bench-sidecar: ## what the sidecar costs, beside haproxy, nginx and Go's reverse proxy (BENCH_ARGS=--help)
	@bench/sidecar.sh $(BENCH_ARGS)

bench-admission: ## how long the webhook takes to answer (BENCH_ARGS=--help)
	@bench/admission.sh $(BENCH_ARGS)

bench-lists: ## what a list of one's own namespaces takes (BENCH_ARGS=--help)
	@bench/lists.sh $(BENCH_ARGS)

bench-agents: ## what AI agents read of a cluster, and how long they wait (BENCH_ARGS=--help)
	@bench/agents.sh $(BENCH_ARGS)

fuzz: ## hostile bytes for a minute each (FUZZ_SECONDS=60)
	@tools/fuzz.sh

clean-clusters: ## end all clusters that devcluster has made
	@target/devcluster/devcluster down --all
