# The front door. CMake does the work; these are the commands worth remembering.
#
#   make demo           analyse the packages of a Linux distribution with a collected heap
#   make check          shipped, checked and ASan+UBSan builds, all their tests (CI runs this)
#   make check-all      every compiler, sanitizer, mode and mutant; writes docs/testing.md
#   make soak           a long random test, in turns of all modes (SOAK_SECONDS=600, SEED=)
#   make bench          mound, Go and Boehm in turn, as a table (tools/install-peers brings them)
#   make bench-build    only leaves our programs at build/bench/NAME
#   make install        PREFIX=/usr/local, DESTDIR=
#   make clean          removes build/
#
# Each works as the first command on a fresh Debian: what is missing is installed by apt.

MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BENCH_VARIETY ?= shipped
REL = build/rel

.PHONY: help demo check check-all soak bench bench-build install clean

help:
	@awk '!/^#/ { exit } { sub(/^# ?/, ""); print }' Makefile

demo:
	@tools/install-deps --demo && mkdir -p build
	@cmake -S . -B $(REL) -DMOUND_VARIETY=shipped -DMOUND_BUILD_TESTS=OFF -DMOUND_BUILD_BENCH=OFF \
	    -DMOUND_BUILD_EXAMPLES=ON -DMOUND_EXAMPLES_DIR=$(CURDIR)/build/examples >build/demo.log 2>&1 \
	    && cmake --build $(REL) -j$(JOBS) --target depgraph >>build/demo.log 2>&1 \
	    || { cat build/demo.log; exit 1; }
	@tools/demo

check:
	@tools/install-deps
	@JOBS=$(JOBS) tools/check

check-all:
	@tools/install-deps --all
	@JOBS=$(JOBS) tools/check-all

soak:
	@tools/install-deps
	@JOBS=$(JOBS) tools/soak

bench: bench-build
	@bench/compare $(BENCH)

bench-build:
	@tools/install-deps --demo
	@cmake -S . -B $(REL) -DMOUND_VARIETY=$(BENCH_VARIETY) -DMOUND_BUILD_TESTS=OFF \
	    -DMOUND_BUILD_BENCH=ON -DMOUND_BENCH_DIR=$(CURDIR)/build/bench \
	    -DMOUND_BUILD_EXAMPLES=ON -DMOUND_EXAMPLES_DIR=$(CURDIR)/build/examples
	@cmake --build $(REL) -j$(JOBS)

install:
	@tools/install-deps --demo
	@cmake -S . -B build/install -DMOUND_VARIETY=shipped -DMOUND_BUILD_TESTS=OFF \
	    -DMOUND_BUILD_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	@cmake --build build/install -j$(JOBS)
	@DESTDIR=$(DESTDIR) cmake --install build/install
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

clean:
	rm -rf build
