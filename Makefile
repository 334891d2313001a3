# Everything that is done to this repository, by name. `make` alone lists it.

.PHONY: help demo test chaos deaths bench build check tools

# A toolchain that rustup just installed is not on the PATH of every shell.
export PATH := $(PATH):$(HOME)/.cargo/bin

help:
	@echo 'make demo     a cluster to play with, until Ctrl-C; ONCE=1 ends it after the story'
	@echo 'make test     every test, after installing what they need'
	@echo 'make chaos    clients at work while nodes, Redis and doors fail by a seed; ten minutes, or SECONDS=60 SEED=7'
	@echo 'make deaths   docker, podman and skopeo at each moment of the death of a node: docs/endings.md, in three minutes'
	@echo 'make bench    side by side with HAProxy, nginx and Envoy, in half an hour; ARGS=--quick is shorter'
	@echo 'make check    format, lints, and (with cargo-deny) licences and advisories'
	@echo 'make build    the program, optimised: target/release/seawall'

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

test: tools
	cargo test --locked --lib --bins --examples
	cargo test --locked --test seawall -- $(ALONE:%=--skip=%) $(STORM:%=--skip=%) $(NAMESPACES:%=--skip=%)
	cargo test --locked --test seawall -- $(ALONE) --test-threads 1
ifeq ($(shell id -u),0)
	cargo test --locked --test seawall -- $(STORM) --test-threads 1
	cargo test --locked --test seawall -- $(NAMESPACES) --test-threads 4
else
	@echo 'LEFT OUT, since this is not root: the tests of virtual addresses and of storms ($(NAMESPACES) $(STORM))'
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

build:
	cargo build --locked --release

check:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; \
	else echo 'cargo-deny is not installed: licences and advisories were not checked'; fi
