# DevMentor Project Service. Every target works in a fresh clone on Debian 12 with Rust and Node.
.DEFAULT_GOAL := help
.PHONY: help setup build run demo demo-stop test check bench fuzz openapi clean-data

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what building and running needs
	@scripts/setup.sh run

build: setup ## Build the web client and the server
	@scripts/build.sh

ifdef DEMO
run: build
	@scripts/demo.sh
else
run: build ## Build, and serve on port 3004; DEMO=1 also plays the demo
	@scripts/run.sh
endif

demo: build ## Serve, and take a demo project from nothing to a deployed application
	@scripts/demo.sh

demo-stop: ## End what the demo left running
	@scripts/demo.sh stop

test: ## Everything: formatting, lints, unit, integration, black-box and browser tests
	@scripts/test.sh

check: ## Formatting, lints and types only
	@scripts/check.sh

bench: build ## Compare with nginx + git http-backend and docker-registry
	@scripts/setup.sh bench
	@bench/run

fuzz: ## Feed the parsers with made-up input, a minute each
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh

openapi: ## Write openapi.json from the code, and the web client's types from it
	@cargo run --quiet --locked --package devmentor -- openapi > openapi.json.new && mv openapi.json.new openapi.json
	@scripts/web-install.sh
	@cd web && npm run --silent generate

clean-data: ## Remove what `make run` and `make demo` keep in .data
	@rm -rf .data
