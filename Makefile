# The front door. CMake does the work (CMakePresets.json); this file gives it short names.
# `make help` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
SEED ?= 1
SECONDS ?= 60
DURATION ?=
ONLY ?=
JOBS ?= $(shell nproc)

MAKEFLAGS += --no-print-directory
# Where CI is set, a warning ends the build.
CONFIGURE := --log-level=WARNING $(if $(CI),-DTN_WERROR=ON)
TEST := python3 tools/test.py $(if $(ONLY),--only '$(ONLY)')

.DEFAULT_GOAL := build
.PHONY: help setup build run test bench sim explore mutants fuzz asan tsan clang format tidy \
	exports install clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "make %-9s %s\n", $$1, $$2 }'

setup: ## install the Debian packages that are missing (root or sudo)
	@tools/setup.sh

build: setup ## build everything into build/, the programs into build/bin/
	@test -f build/build.ninja || cmake --preset release $(CONFIGURE)
	@cmake --build build -j $(JOBS)

run: build ## three nodes on loopback, live, until Ctrl-C or for DURATION=n seconds
	@DURATION='$(DURATION)' exec tools/run.sh

test: build ## every test that fits in ten minutes; ONLY=pattern runs some
	@$(TEST) --build build

bench: build ## measure; the figures go to build/bench/results.json
	@python3 bench/run.py

sim: build ## simulate a cluster under faults: SEED=n, SECONDS=n simulated seconds
	@build/bin/tenure-sim run --seed $(SEED) --seconds $(SECONDS)

explore: build ## search every configuration of the lease protocol exhaustively
	@build/bin/tenure-sim explore

mutants: build ## build each mutant of the core and show that it is caught
	@python3 tools/mutants.py

fuzz: ## run each fuzz target for SECONDS=n, with sanitizers (needs clang)
	@tools/setup.sh fuzz
	@test -f build-fuzz/build.ninja || cmake --preset fuzz $(CONFIGURE)
	@cmake --build build-fuzz -j $(JOBS) --target fuzz_targets
	@tools/fuzz.sh build-fuzz $(SECONDS)

asan: setup ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@test -f build-asan/build.ninja || cmake --preset asan $(CONFIGURE)
	@cmake --build build-asan -j $(JOBS)
	@$(TEST) --build build-asan

tsan: setup ## the tests under ThreadSanitizer
	@test -f build-tsan/build.ninja || cmake --preset tsan $(CONFIGURE)
	@cmake --build build-tsan -j $(JOBS)
	@$(TEST) --build build-tsan

clang: ## build and test with clang
	@tools/setup.sh fuzz
	@test -f build-clang/build.ninja || cmake --preset clang $(CONFIGURE)
	@cmake --build build-clang -j $(JOBS)
	@$(TEST) --build build-clang

format: ## format every C file with clang-format
	@tools/setup.sh format
	@find include src tests bench examples -name '*.[ch]' -print0 | xargs -0 clang-format -i

tidy: build ## check the rules of the house
	@python3 tools/tidy.py --build build

exports: build ## rewrite packaging/exports.txt from the built library
	@tools/exports.sh --rewrite

install: build ## install below PREFIX (/usr/local), staged below DESTDIR
	@DESTDIR='$(DESTDIR)' cmake --install build --prefix '$(PREFIX)'

clean: ## remove every build directory
	@rm -rf build build-debug build-asan build-tsan build-fuzz build-clang
