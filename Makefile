# Everything a newcomer and the CI need. "make test" is the one that matters.

PACKAGES = nginx haproxy curl openssl etcd-server etcd-client python3-etcd iproute2 nftables dbus strace
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: all build test deps check race sim fuzz bench bench-quick microbench docs nemesis

all: build

build: ## the program, static
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o confd .

test: deps ## install what the tests need, run them all
	go test -count=1 -timeout 25m ./...

# The tests use real programs from Debian's packages. Their services are not started:
# a policy-rc.d that says no stands in for the time of the installation.
deps: ## install nginx, haproxy, curl, openssl, etcd and its clients, ip, nft, dbus-daemon and strace if one is missing (Debian, root)
	@missing=; \
	for p in nginx haproxy curl openssl etcd etcdctl ip nft dbus-daemon strace; do \
		PATH="$$PATH:/usr/sbin" command -v $$p >/dev/null || missing="$$missing $$p"; \
	done; \
	/usr/bin/python3 -c 'import etcd' 2>/dev/null || missing="$$missing python3-etcd"; \
	[ -n "$$missing" ] || exit 0; \
	echo "installing, because missing:$$missing"; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then \
		printf '#!/bin/sh\nexit 101\n' >$$policy && chmod +x $$policy && trap 'rm -f '$$policy EXIT; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -q && apt-get install -q -y --no-install-recommends $(PACKAGES)

check: ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

race: ## all tests but the real processes, with the race detector
	SIM_RUNS=10 go test -race -timeout 25m $$(go list ./... | grep -v /integration)

# Each has a seed of its own, from SIM_SEED on.
SIM_RUNS = 3000
SIM_SEED = 1000
sim: ## schedules of faults over clusters in one process
	SIM_RUNS=$(SIM_RUNS) SIM_SEED=$(SIM_SEED) go test -count=1 -timeout 0 -run 'TestSim$$' ./raftkv

FUZZTIME = 30s
fuzz: ## every fuzz target for FUZZTIME; what it finds is kept in testdata/fuzz
	@grep -rHoE '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' . | sed 's/:func / /' | while read file target; do \
		echo "$$target in $$(dirname $$file)"; \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) || exit 1; \
	done

NEMESIS = 1h
nemesis: deps ## kill, stop and cut off the nodes of a cluster for that long, then of etcd's for comparison
	NEMESIS_DURATION=$(NEMESIS) NEMESIS_PROGRAMS=confd,etcd go test ./integration -run '^TestNemesis$$' -count=1 -timeout 0 -v

docs: ## write the generated pages of docs/ anew
	go test . ./template -run Doc -update

# BENCH takes flags: make bench BENCH="-only put,get -rounds 9"; BENCH=-help has all.
bench: deps ## confd beside what it is compared with, on this machine: the goals, and what was reached
	go run ./integration/bench $(BENCH)

bench-quick: deps ## the same with a few small rounds, to see that it works: at most 2 minutes
	go run ./integration/bench -quick $(BENCH)

# To compare two states of the code, with MICROBENCH for one subject:
#   make -s microbench MICROBENCH=Parse BENCHCOUNT=10 >old; …change…; the same >new
#   go run golang.org/x/perf/cmd/benchstat@latest old new
MICROBENCH = .
BENCHCOUNT = 1
microbench: ## the Go benchmarks
	go test -run '^$$' -bench '$(MICROBENCH)' -count $(BENCHCOUNT) -benchmem ./...
