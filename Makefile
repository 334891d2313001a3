# Everything that is done to this repository, by name. `make` alone lists it.

.PHONY: help demo test chaos deaths fuzz sbom bench build check tools

# A toolchain that rustup just installed is not on the PATH of every shell.
export PATH := $(PATH):$(HOME)/.cargo/bin

help:
	@echo 'make demo     a cluster to play with, until Ctrl-C; ONCE=1 ends it after the story'
	@echo 'make test     every test, after installing what they need'
	@echo 'make chaos    clients at work while nodes, Redis and doors fail by a seed; ten minutes, or SECONDS=60 SEED=7'
	@echo 'make deaths   docker, podman and skopeo at each moment of the death of a node: docs/endings.md, in three minutes'
	@echo 'make bench    side by side with HAProxy, nginx and Envoy, in half an hour; ARGS=--quick is shorter'
	@echo 'make check    format, lints, and (with cargo-deny) licences and advisories'
	@echo 'make fuzz     every parser of foreign bytes, tried with what nobody thought of, for SECONDS=60 each'
	@echo 'make sbom     what the program is made of: target/seawall.cdx.json'
	@echo 'make build    the program, optimised: target/release/seawall; the same bytes wherever it is built'

# Run without a shell in between, so that a signal to make reaches the demo.
demo: export ONCE := $(ONCE)
demo:
	@deploy/demo.sh

# What measures time must not share the machine with other tests: it runs afterwards, one by one.
ALONE := sticky::failover brownout:: overload::storm
# The same for downloads by many clients at a time, which also drop packets, as only root can, and for the short form of
# `make chaos`.
STORM := resume::storm chaos::nothing
# Virtual addresses are tried in network namespaces, which only root can make. They wait more than they work, and those
# that measure let no other one measure.
NAMESPACES := vip:: vip_lab::
# The unit is tried on a machine in a namespace, whose systemd wants control groups.
UNIT := systemd::booted::
GROUPS := $(wildcard /sys/fs/cgroup/systemd /sys/fs/cgroup/cgroup.controllers)
# Most tests wait half of their time.
HANDS := $(shell expr $$(nproc) + 1)

test: tools
	cargo test --locked --lib --bins --examples
	cargo test --locked --test seawall -- $(ALONE:%=--skip=%) $(STORM:%=--skip=%) $(NAMESPACES:%=--skip=%) --skip=$(UNIT) --test-threads $(HANDS)
	cargo test --locked --test seawall -- $(ALONE) --test-threads 1
ifeq ($(shell id -u),0)
	cargo test --locked --test seawall -- $(STORM) --test-threads 1
	cargo test --locked --test seawall -- $(NAMESPACES) --test-threads 4
ifneq ($(GROUPS),)
	cargo test --locked --test seawall -- $(UNIT)
else
	@echo 'LEFT OUT, since this machine has no control groups: the tests of the unit ($(UNIT))'
endif
else
	@echo 'LEFT OUT, since this is not root: the tests of virtual addresses, of storms and of the unit ($(NAMESPACES) $(STORM) $(UNIT))'
endif

# What `make test` plays a part of.
deaths: tools
	cargo test --locked --test seawall -- endings::every_client --ignored --nocapture

# A run prints its seed, with which it can be had again.
chaos: SEED := $(shell date +%s)
chaos: SECONDS := 600
chaos: export CHAOS_SEED = $(SEED)
chaos: export CHAOS_SECONDS = $(SECONDS)
chaos: tools
	cargo test --locked --test seawall -- --ignored --nocapture --exact \
	  chaos::nothing_is_lost_and_no_pull_fails_for_as_long_as_told

# Envoy comes from where Debian has none: without it the benchmark names it as absent.
bench:
	@deploy/install-tools.sh bench
	cargo bench --locked --bench compare -- $(ARGS)

tools:
	@deploy/install-tools.sh test

# No path of this machine gets into it, so that others can build the same.
build: export RUSTFLAGS += --remap-path-prefix=$(CURDIR)=/seawall --remap-path-prefix=$(HOME)/.cargo=/cargo
build: export CFLAGS += -ffile-prefix-map=$(CURDIR)=/seawall -ffile-prefix-map=$(HOME)/.cargo=/cargo
build:
	cargo build --locked --release
	@if command -v cargo-cyclonedx >/dev/null; then $(MAKE) --no-print-directory sbom; \
	else echo 'LEFT OUT, since cargo-cyclonedx is not installed: target/seawall.cdx.json, what it is made of'; fi

ADVISORIES := https://github.com/RustSec/advisory-db
check:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	@if ! command -v cargo-deny >/dev/null; then \
		echo 'LEFT OUT, since cargo-deny is not installed: licences, bans, sources and advisories'; \
	else \
		cargo deny --locked --offline check bans licenses sources || exit 1; \
		if git ls-remote $(ADVISORIES) HEAD >/dev/null 2>&1; then cargo deny --locked check advisories; \
		else echo 'LEFT OUT, since $(ADVISORIES) cannot be reached: advisories'; fi; \
	fi

# Found inputs stay in fuzz/found, for the next run. All our code is safe Rust: without an address sanitizer it runs twice
# as fast and finds the same.
SECONDS := 60
fuzz:
	@command -v cargo-fuzz >/dev/null && cargo +nightly --version >/dev/null || \
	{ echo 'needs: rustup toolchain install nightly; cargo install --locked cargo-fuzz'; exit 1; }
	cargo +nightly fuzz build --sanitizer none
	@for target in $$(cargo fuzz list); do \
		echo "== $$target: $(SECONDS) s"; mkdir -p fuzz/found/$$target; \
		cargo +nightly fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(SECONDS) -print_final_stats=1 -verbosity=0 || exit 1; \
	done

# Without a path of this machine, and with the time of the last commit: who builds the same gets the same.
sbom: export SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null)
sbom:
	@command -v cargo-cyclonedx >/dev/null || { echo 'needs: cargo install --locked cargo-cyclonedx'; exit 1; }
	cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries
	@mkdir -p target && sed 's|file://$(CURDIR)|file:///seawall|g' seawall_bin.cdx.json >target/seawall.cdx.json && rm seawall_bin.cdx.json
	@echo 'target/seawall.cdx.json'
