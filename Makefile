# deployloop: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# One build cache for ordinary builds, tests and ocb.
export GOFLAGS := -trimpath -buildvcs=false
# As ocb builds; static, and no C compiler is needed.
export CGO_ENABLED := 0
TOOLS := $(CURDIR)/.tools/bin
export PATH := $(TOOLS):$(PATH)

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[1m%-19s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Play the loop, live: a bad deploy, its alert, the rollback (FAULT=errors|latency|exception|vanished|slow-leak)
	@bin/deployloop demo $(if $(FAULT),--fault $(FAULT))

.PHONY: demo-stack
demo-stack: build ## The same with a real Prometheus and Alertmanager beside it: rules fire and clear, dashboards have data
	@scripts/install-tools.sh prometheus alertmanager
	@bin/deployloop demo --stack $(if $(FAULT),--fault $(FAULT))

.PHONY: demo-faults
demo-faults: build ## Play every fault to its end, headless
	@for fault in errors exception vanished latency slow-leak; do \
		bin/deployloop demo --headless --fault $$fault || exit 1; done

.PHONY: build
build: ## Build bin/deployloop
	@go build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/deployloop ./cmd/deployloop

.PHONY: test
test: tools ## Run all tests, the live loop included; the slowest are listed at the end
	@scripts/test.sh

.PHONY: acceptance
acceptance: build ## Measure what is promised, on real parts: 20 runs each, 35 minutes (the short form is in `make test`)
	@scripts/install-tools.sh alertmanager
	@DEPLOYLOOP_BIN=$(CURDIR)/bin/deployloop go test ./test/acceptance -v -count=1 -timeout 60m -args -full

.PHONY: test-gitea
test-gitea: ## Play the loop through a real Gitea, before the merge and after: push, webhook, Actions, report, status, comment, rollback (in `make test` too)
	@scripts/install-tools.sh gitea
	@go test ./test/e2e -run TestTheLoopTurnsThroughGitea -v -count=1

.PHONY: tools
tools: ## Install what the tests run against into .tools (a real Alertmanager, Prometheus and Gitea; GitHub's contract; the check of manifests; Chromium from the system)
	@scripts/install-tools.sh

.PHONY: race
race: ## Test what runs at once under the race detector (needs a C compiler; 25 minutes on two cores: PACKAGES= for some)
	@CGO_ENABLED=1 go test -race -timeout 40m $(or $(PACKAGES),./internal/detect ./internal/ledger/... ./connector/anomalyconnector ./extension/... ./receiver/cicdreceiver ./exporter/...)

.PHONY: lint
lint: ## Format, vet, golangci-lint, module and generated-file checks
	@scripts/lint.sh

.PHONY: fuzz
fuzz: ## Run every fuzz target for 20 s (SECONDS_EACH=, PACKAGES=)
	@scripts/fuzz.sh $(or $(SECONDS_EACH),20) $(PACKAGES)

.PHONY: bench
bench: ## Run the benchmarks of the hot paths
	@go test -run '^$$' -bench . -benchmem -count 1 ./... | grep -Ev '^(\?|PASS|ok )'

.PHONY: bench-peers
bench-peers: ## Measure the hot paths beside contrib's span_metrics on the same spans: case ours_ns peer_ns ratio allocs
	@go run ./test/peers

.PHONY: scorecard
scorecard: ## Measure the detection engine and write docs/scorecard.md (its small form is in `make test`)
	@scripts/scorecard.sh

.PHONY: cost
cost: ## Measure what detection costs in time and memory, and write docs/cost.md
	@go run ./test/cost -out docs/cost.md

.PHONY: suspects
suspects: ## Measure the ranking of commits, cross-validated by repository
	@go run ./test/suspects

.PHONY: cilogs
cilogs: ## Measure the finding of the lines that explain a failed build, cross-validated by repository
	@go run ./test/cilogs

.PHONY: test-rules
test-rules: ## Check and test rules/ with promtool, old and new, and vmalert
	@scripts/install-tools.sh prometheus promtool-debian vmalert
	@scripts/test-rules.sh

.PHONY: generate
generate: ## Write cmd/deployloop/components.go from builder-config.yaml, and the dashboards
	@scripts/generate.sh
	@scripts/dashboards.sh

.PHONY: dashboard-pictures
dashboard-pictures: build ## Draw the dashboards with Grafana's UI components, filled by the demo, into docs/images/dashboards
	@scripts/dashboard-pictures.sh

.PHONY: ocb
ocb: ## Compile the same manifest with upstream's builder, and compare its components with bin/deployloop
	@scripts/ocb.sh

.PHONY: full
full: ## Compile builder-config.full.yaml, with the opt-in components, with upstream's builder
	@scripts/full.sh
