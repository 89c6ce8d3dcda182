# Run "make" to see what there is.

GO       ?= go
TOOL      = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 10s
WITH      = $(GO) run ./test/withbackends --
# of Debian: a browser, what reads the compose file, servers
PACKAGES  = chromium docker-compose postgresql redis-sentinel redis-server

.DEFAULT_GOAL := help
.PHONY: help build demo walk check format vet lint layout race generated generate test packages test-all test-narrow suites flows walk-shared tidy vuln fuzz bench mutants ci

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build build/signpost
	$(GO) build -trimpath -o build/signpost ./cmd/signpost

demo: ## Start the demo: Signpost, two identity providers and five services on 127.0.0.1
	$(GO) run ./cmd/signpost demo

walk: ## Start the demo, walk the whole way as a client would, and stop
	$(GO) run ./cmd/signpost demo --walk

check: format vet lint layout race generated ## The gate before a commit: format, vet, lint, layout, race tests, generated files

format: # every Go file as gofmt writes it
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted, run gofmt -w:"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet ./...

lint: # the first run builds the linter, about a minute
	$(TOOL) golangci-lint run

layout: # imports, homes of dependencies, citations, links
	$(GO) test .

race: # needs a C compiler
	CGO_ENABLED=1 $(GO) test -race ./...

generated: # files made from others are as they would be made now
	$(GO) test -count=1 -run '^TestConfigurationReference$$' ./internal/service

generate: ## Write what is made from other files: docs/configuration.md, the tests in docs/rules.md, the table of metrics
	$(GO) test -count=1 -run '^TestConfigurationReference$$' ./internal/service -update
	$(GO) test -count=1 -run '^TestLayout$$/^rules$$' . -update
	$(GO) test -count=1 ./internal/metrics -update

test: ## All tests that need nothing but Go
	$(GO) test ./...

packages: # what test-all needs besides Go
	@.ci/install $(PACKAGES)

test-all: packages ## All tests, with those that need the world: PostgreSQL, Redis, a real Chromium. What is missing is installed, on Debian
	SIGNPOST_TEST_ALL=1 $(WITH) $(MAKE) --no-print-directory RACE=$(RACE) suites flows walk walk-shared

# The next three are run by test-all beside its servers.
suites: # what is in test starts and measures whole processes: one package after the other
	$(if $(RACE),CGO_ENABLED=1) $(GO) test $(RACE) $$($(GO) list ./... | grep -v '^signpost/test/')
	$(GO) test -count=1 -p 1 ./test/...

flows: # what people and programs do, with everything kept in PostgreSQL and Redis
	SIGNPOST_TEST_ENGINES=remote $(GO) test -count=1 ./server

walk-shared: # the demo's walk, with everything kept in PostgreSQL and Redis
	SIGNPOST_DATABASE_URL=$$SIGNPOST_TEST_POSTGRES SIGNPOST_REDIS_URL=$$SIGNPOST_TEST_REDIS $(GO) run ./cmd/signpost demo --walk

test-narrow: ## Try 200,000 random ways to more than was given: half an hour. SEED=n repeats a run
	$(GO) test -count=1 -timeout 4h -v -run '^TestR22NeverWidens$$' ./test/narrow -chains 200000 $(if $(SEED),-seed $(SEED))

tidy: # go.mod and go.sum name what is used, no more and no less
	$(GO) mod tidy -diff

vuln: ## Look for known vulnerabilities in what we depend on
	@status=0; $(TOOL) govulncheck ./... || status=$$?; \
	if [ $$status -eq 3 ]; then exit 1; fi; \
	if [ $$status -ne 0 ]; then echo "govulncheck could not do its work (see above): NOT checked for known vulnerabilities"; fi

# A fuzzer that is stopped by its time in the middle of an input sometimes fails with
# nothing but "context deadline exceeded" (https://go.dev/issue/75804, mended in Go 1.27). That is no finding: a finding
# writes its input down.
fuzz: ## Run every fuzz target for FUZZTIME (default 10s)
	@out=$$(mktemp); trap 'rm -f $$out' EXIT; \
	grep -rn --include='*_test.go' --exclude-dir=testdata -o '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file _ name; do \
		echo "$${file%/*} $${name#func }"; \
		if $(GO) test -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$${file%/*}" </dev/null >$$out 2>&1; then \
			tail -n 1 $$out; \
		elif grep -q '^    context deadline exceeded$$' $$out && ! grep -q 'Failing input\|panic' $$out; then \
			echo "stopped by its time, without a finding"; \
		else \
			cat $$out; exit 1; \
		fi; \
	done

bench: ## Measure how fast it is beside a bare handler; BENCH holds flags (docs/performance.md)
	$(GO) build -o build/bench/bench ./test/bench
	build/bench/bench $(BENCH)

mutants: ## Take the product's guards away one by one: the tests must notice each
	$(GO) test -tags mutants ./test/mutants # the runner itself, which needs git
	CI= SIGNPOST_TEST_ALL= $(GO) run ./test/mutants $(MUTANTS) # with the tests that need nothing but Go

ci: export CI = true
ci: FUZZTIME = 3s
ci: RACE = -race
ci: tidy format vet lint layout generated test-all mutants fuzz vuln ## What .ci/run calls: everything above that checks
