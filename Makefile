# What a developer types; `make help` lists it. .ci/run calls check and
# compose-test.

SHELL := /bin/bash
.DEFAULT_GOAL := help

TOOL := go tool -modfile=tools/go.mod
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
QEMU ?= $(shell command -v qemu-aarch64-static || command -v qemu-aarch64)
FUZZTIME ?= 10s
SEEDS ?= 10000
FIRST ?= 1
RACETIME ?= 10m

# Tests of pure functions that take minutes under the race detector or emulation
# and that `make test` runs anyhow.
SLOW := TestDigitsAreNoLinearTask|TestEveryModelHasOneDigest|TestLeNet5Learns|TestWinogradAccuracy

# Packages whose bits have to be those of amd64 on arm64 too. Their tests pin
# digests; under emulation -short leaves the slow rest out.
ARM64 := ./fmath ./rng ./digest ./floats ./tree ./kernels ./nn ./models ./optim ./data

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 16

.PHONY: build
build: ## bin/coordinator and bin/worker, static
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/coordinator ./cmd/worker

.PHONY: test
test: ## all tests, without the race detector
	go test ./...

.PHONY: check
check: format vet lint layers generated purego arm64 race ## everything that has to hold before a commit is pushed

.PHONY: format
format: ## gofumpt has nothing to change
	@out=$$($(TOOL) gofumpt -l .) && if [ -n "$$out" ]; then \
		echo "not formatted, run \`$(TOOL) gofumpt -w .\`:"; echo "$$out"; exit 1; fi

.PHONY: vet
vet: ## go vet, for amd64 and arm64
	GOARCH=amd64 go vet ./...
	GOARCH=arm64 CGO_ENABLED=0 go vet ./...

.PHONY: lint
lint: ## staticcheck and errcheck
	$(TOOL) staticcheck ./...
	$(TOOL) errcheck ./...

.PHONY: sim
sim: ## SEEDS simulated clusters from seed FIRST on, on all cores
	go test ./ps -count=1 -timeout 0 -run '^TestSimulatedFaults$$' -sim.first $(FIRST) -sim.seeds $(SEEDS)

.PHONY: layers
layers: ## imports point down; no function of math where bits matter
	go test ./internal/archtest

.PHONY: generated
generated: ## generated code is what its sources generate
	tools/generated.sh

.PHONY: purego
purego: ## the kernels without assembly
	go vet -tags purego ./kernels
	go test -tags purego -short ./kernels

.PHONY: arm64
arm64: ## the tests that pin bits, on arm64 under qemu
ifeq ($(QEMU),)
	@echo "################################################################"
	@echo "# LEFT OUT: the bits on arm64. Install qemu-user-static to test #"
	@echo "################################################################"
else
	GOARCH=arm64 CGO_ENABLED=0 go test -short -timeout 8m -skip '$(SLOW)' -exec $(QEMU) $(ARM64)
endif

.PHONY: race
race: ## all tests under the race detector, the long ones shortened
	go test -race -short -timeout $(RACETIME) -skip '$(SLOW)|TestDigitsManifest' ./...

.PHONY: first
first: ## README's first command, and the accuracy it promises
	tools/first.sh

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "$$target in $$(dirname "$$file")"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; done

# MODELS=lenet,vgg11 and PARTS=steps,train,layers,errors measure less.
.PHONY: bench-torch
bench-torch: build ## docs/benchmarks.md: Convoy and PyTorch in turn on two cores, 25 minutes
	bench/torch/install.sh
	go run ./bench/compare --models "$(MODELS)" --only "$(PARTS)"

# PHOTOGRAPHS is the folder that CIFAR-10's images were unpacked to: train/CLASS/FILE
# beside test/CLASS/FILE.
.PHONY: accuracy-torch
accuracy-torch: build ## losses and accuracy on PHOTOGRAPHS beside PyTorch's
	bench/torch/install.sh
	go run ./bench/accuracy --data-dir "$(PHOTOGRAPHS)" examples/cifar-vgg.yaml examples/cifar-nin.yaml examples/cifar-googlenet.yaml

.PHONY: reliability
reliability: build ## docs/reliability.md: what faults and replication cost, beside PyTorch's DDP, an hour
	bench/torch/install.sh
	go run ./bench/reliability --only "$(PARTS)"

.PHONY: images
images: ## the images convoy-coordinator, convoy-worker and convoy-nats
	deploy/images.sh

.PHONY: compose-test
compose-test: build images ## a compose cluster through four kills, against one process
	COMPOSE="$(COMPOSE)" deploy/compose-test.sh

.PHONY: faults
faults: build ## real processes: 1 to 8 workers with up to 10 faults, a kill at every failpoint, links cut; 10 minutes
	go test -tags faults -count=1 -timeout 40m -v -run 'TestFaultsTable|TestEveryCrash' ./chaos
	@if [ "$$(id -u)" -eq 0 ] && ip netns list >/dev/null 2>&1; then tools/netns.sh; else \
		echo "LEFT OUT: links cut between network namespaces, which needs root and iproute2"; fi

.PHONY: clean
clean: ## remove what make built
	rm -rf bin
