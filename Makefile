# Wye: one non-recursive makefile.
#
#   make               build the four programs into build/ (no root needed)
#   make run           install what is missing, build, start a demo, print a curl line
#   make test          install what is missing, build, run every fast test
#   make help          everything else

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
LIB_AR  := $(if $(findstring clang,$(CC)),ar,gcc-ar)
PYTHON  := /usr/bin/python3
PREFIX  ?= /usr
DESTDIR ?=

comma := ,
# SANITIZE=address,undefined and SANITIZE=thread build into folders of their own;
# `make test` builds the tests of threads with the latter as well.
SANITIZE ?=
BUILD := build$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat-security \
            $(if $(CI),-Werror)
HARDEN   := -fstack-protector-strong -fPIE $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2 -fstack-clash-protection -fcf-protection)
CFLAGS   ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -D_LGPL_SOURCE -Ishm -Iworker -I. -DWYE_VERSION='"$(VERSION)"'
# Programs are optimised across files; tests link the same objects without that.
LTO      := $(if $(SANITIZE)$(findstring clang,$(CC)),,-flto=auto)
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(HARDEN) $(CFLAGS) $(LTO) $(LTO:%=-ffat-lto-objects) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined -DWYE_SANITIZED)
PLAIN_LDFLAGS = -pie -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
ALL_LDFLAGS = $(PLAIN_LDFLAGS) $(if $(LTO),-fno-lto)
PROGRAM_LDFLAGS = $(PLAIN_LDFLAGS) $(LTO:%=% $(CFLAGS))

# --- libraries: the walls of the house (a test or program links only what its
# --- layer may use, so a wrong dependency does not link)

SHM_WRITER_C := $(wildcard shm/route_writer*.c shm/alloc.c shm/intern.c shm/recovery.c \
                           shm/history_writer.c)
DUMP_C       := $(wildcard shm/dump*.c)

LIB_base       := $(wildcard shm/base/*.c)
LIB_shm        := $(filter-out $(SHM_WRITER_C) $(DUMP_C),$(wildcard shm/*.c))
LIB_shm_writer := $(SHM_WRITER_C)
LIB_net        := $(wildcard worker/net/*.c)
LIB_http       := $(wildcard worker/http/*.c)
LIB_upstream   := $(wildcard worker/upstream/*.c)
LIB_proxy      := $(wildcard worker/proxy/*.c)
# Parts of programs that unit tests link as well.
LIB_master     := $(filter-out master/main.c,$(wildcard master/*.c))
LIB_registrar  := $(filter-out registrar/main.c,$(wildcard registrar/*.c))
LIB_worker     := $(filter-out worker/main.c,$(wildcard worker/*.c))
LIB_dump       := $(filter-out shm/dump.c,$(DUMP_C))

LIBS := base shm shm_writer net http upstream proxy master registrar worker dump

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
archive = $(BUILD)/lib$(1).a

define library
$(call archive,$(1)): $(call objects,$(LIB_$(1)))
	@rm -f $$@
	$$(LIB_AR) rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call library,$(l))))

# What each program links (DESIGN: "libraries as walls").  Order: users first.
USES_base      := base
USES_shm       := shm base
USES_master    := master shm base
USES_registrar := registrar shm_writer shm base
USES_net       := net base
USES_http      := http net base
USES_upstream  := upstream http net shm base
USES_proxy     := proxy upstream http net shm base
USES_worker    := worker proxy upstream http net shm base
USES_dump      := dump shm base

LINK_base      := -lconfig -lpthread
LINK_shm       := $(LINK_base) -lrt
LINK_master    := $(LINK_shm)
LINK_registrar := $(LINK_shm) -lnats -ljansson -lurcu-common -lz
LINK_net       := $(LINK_base) -lssl -lcrypto -lcares
LINK_http      := $(LINK_net)
LINK_upstream  := $(LINK_net) -lrt
LINK_proxy     := $(LINK_upstream)
LINK_worker    := $(LINK_proxy)
LINK_dump      := $(LINK_shm)

MAIN_wye           := master/main.c
MAIN_wye-worker    := worker/main.c
MAIN_wye-registrar := registrar/main.c
MAIN_shm-dump      := shm/dump.c
# Those whose main file is in the tree: the house is built storey by storey.
PROGRAMS := $(foreach p,wye wye-worker wye-registrar shm-dump,$(if $(wildcard $(MAIN_$(p))),$(BUILD)/$(p)))

# program(name, main file, set)
define program
$(BUILD)/$(1): $(call objects,$(2)) $(foreach l,$(USES_$(3)),$(call archive,$(l)))
	+$$(CC) $$(PROGRAM_LDFLAGS) -o $$@ $(call objects,$(2)) $(foreach l,$(USES_$(3)),$(call archive,$(l))) $(LINK_$(3))
endef
$(eval $(call program,wye,$(MAIN_wye),master))
$(eval $(call program,wye-worker,$(MAIN_wye-worker),worker))
$(eval $(call program,wye-registrar,$(MAIN_wye-registrar),registrar))
$(eval $(call program,shm-dump,$(MAIN_shm-dump),dump))

.PHONY: all
all: $(PROGRAMS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# --- packages

BUILD_PACKAGES := gcc make pkg-config libssl-dev liburcu-dev libnats-dev libconfig-dev libjansson-dev \
                  libc-ares-dev libnghttp2-dev zlib1g-dev
RUN_PACKAGES   := nats-server python3 curl
TEST_PACKAGES  := libcmocka-dev python3-pytest python3-pytest-xdist nodejs strace
LINT_PACKAGES  := cppcheck
FUZZ_PACKAGES  := clang libclang-rt-14-dev
BENCH_PACKAGES := nginx-light haproxy h2o wrk nghttp2-client
MODEL_PACKAGES := spin

# install(packages): only those that are missing, with sudo only if not root.
define install
	@missing=""; for p in $(1); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && \
	  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

.PHONY: deps deps-test
deps: ; $(call install,$(BUILD_PACKAGES) $(RUN_PACKAGES))
deps-test: ; $(call install,$(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES))

# --- tests

UNIT_C    := $(wildcard tests/unit/*/test_*.c)
UNIT_BIN  := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_C))
FIXTURE_C = $(wildcard tests/unit/fixture/$(1)*.c)

# Unit tests of shm and above may also write tables.
UNIT_USES_base      := base
UNIT_USES_shm       := dump shm_writer shm base
UNIT_USES_master    := master shm base
UNIT_USES_registrar := registrar shm_writer shm base
UNIT_USES_net       := net base
UNIT_USES_http      := http net base
UNIT_USES_upstream  := upstream http net shm_writer shm base
UNIT_USES_proxy     := proxy upstream http net shm_writer shm base
UNIT_USES_worker    := worker proxy upstream http net shm_writer shm base

# Fixtures are named after the lowest layer that they need: fixture/net_*.c is
# linked into tests of net and above.
UNIT_FIXTURES_base      := base
UNIT_FIXTURES_shm       := base shm
UNIT_FIXTURES_master    := base
UNIT_FIXTURES_registrar := base shm registrar
UNIT_FIXTURES_net       := base net
UNIT_FIXTURES_http      := base net http
UNIT_FIXTURES_upstream  := base net http shm upstream
UNIT_FIXTURES_proxy     := base net http shm upstream proxy
UNIT_FIXTURES_worker    := base net http shm upstream proxy

define unit
$(BUILD)/unit/$(1)/%: $(BUILD)/tests/unit/$(1)/%.o $(foreach f,$(UNIT_FIXTURES_$(1)),$(call objects,$(call FIXTURE_C,$(f)_))) $(foreach l,$(UNIT_USES_$(1)),$(call archive,$(l)))
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) $(foreach l,$(UNIT_USES_$(1)),$(call archive,$(l))) -lcmocka $(LINK_$(1))
endef
$(foreach l,base shm master registrar net http upstream proxy worker,$(eval $(call unit,$(l))))
.SECONDARY:

# Programs that tests start: torture, fault injection, relays.
TOOL_C   := $(wildcard tests/torture/*.c)
TOOL_BIN := $(patsubst tests/torture/%.c,$(BUILD)/torture/%,$(TOOL_C))
$(BUILD)/torture/%: $(BUILD)/tests/torture/%.o $(foreach l,shm_writer shm base,$(call archive,$(l)))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(foreach l,shm_writer shm base,$(call archive,$(l))) $(LINK_shm)

# Programs of the comparison with other proxies; they link nothing of ours.
BENCH_C   := $(wildcard tests/bench/*.c)
BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(BENCH_C))
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $<

# Fuzzers: the same entry points under libFuzzer, and replayed over their seeds
# by a plain build in `make test`.
FUZZ_C      := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAY := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_C))
FUZZ_USES   := dump registrar proxy upstream http net shm_writer shm base
FUZZ_LINK   := -lnats -ljansson -lurcu-common -lz -lssl -lcrypto -lcares -lconfig -lpthread -lrt
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(foreach l,$(FUZZ_USES),$(call archive,$(l)))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(foreach l,$(FUZZ_USES),$(call archive,$(l))) $(FUZZ_LINK)

FUZZ_BUILD := build-fuzz
FUZZ_SRC    = $(foreach l,$(FUZZ_USES),$(LIB_$(l)))
FUZZ_BIN   := $(patsubst tests/fuzz/%.c,$(FUZZ_BUILD)/%,$(FUZZ_C))
FUZZ_FLAGS := -std=gnu11 -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -DWYE_SANITIZED
$(FUZZ_BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) $(FUZZ_FLAGS) -c -o $@ $<
$(FUZZ_BUILD)/fuzz_%: $(FUZZ_BUILD)/obj/tests/fuzz/fuzz_%.o $(patsubst %.c,$(FUZZ_BUILD)/obj/%.o,$(FUZZ_SRC))
	$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ $(FUZZ_LINK)

FUZZ_SECONDS ?= 20

# Tests that run threads against one another, and so mean something to that sanitizer.
THREAD_TESTS := base/test_log registrar/test_bus_threads registrar/test_snapshot shm/test_threads
THREAD_BIN   := $(THREAD_TESTS:%=$(BUILD)/unit/%)
define build_thread_tests
+@$(if $(SANITIZE),,$(MAKE) --no-print-directory -j$$(nproc) SANITIZE=thread thread-programs)
endef
RUN_TESTS = $(if $(SANITIZE),,THREAD_TESTS="$(THREAD_TESTS:%=build-thread/unit/%)") \
            $(PYTHON) tests/run.py --build $(BUILD)

.PHONY: test-programs thread-programs test check run fuzz-smoke torture bench lint layers install clean help model
test-programs: all $(UNIT_BIN) $(TOOL_BIN) $(FUZZ_REPLAY)
thread-programs: $(THREAD_BIN)

test: deps-test
	+@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	$(build_thread_tests)
	@$(RUN_TESTS) $(TESTS)

# The tests without looking for packages; TESTS="unit threads fuzz integration" selects kinds.
check: test-programs
	$(build_thread_tests)
	@$(RUN_TESTS) $(TESTS)

run: deps
	+@$(MAKE) --no-print-directory -j$$(nproc) all
	@$(PYTHON) tests/integration/demo.py --build $(BUILD)

fuzz-smoke:
	$(call install,$(BUILD_PACKAGES) $(FUZZ_PACKAGES))
	+@$(MAKE) --no-print-directory -j$$(nproc) $(FUZZ_BIN)
	@set -e; for f in $(FUZZ_BIN); do n=$$(basename $$f); echo "== $$n"; mkdir -p $(FUZZ_BUILD)/corpus/$$n; \
	  $$f -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 -rss_limit_mb=3000 -print_final_stats=1 \
	    $(FUZZ_BUILD)/corpus/$$n tests/fuzz/corpus/$${n#fuzz_} 2>&1 | tail -n 8; \
	  test $${PIPESTATUS[0]} -eq 0; done

torture: deps-test
	+@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@$(PYTHON) tests/run.py --build $(BUILD) torture

model:
	$(call install,$(MODEL_PACKAGES))
	@$(PYTHON) tests/torture/model/run.py

bench:
	$(call install,$(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) $(BENCH_PACKAGES))
	+@$(MAKE) --no-print-directory -j$$(nproc) all $(TOOL_BIN) $(BENCH_BIN)
	@$(PYTHON) tests/bench/run.py --build $(BUILD) $(BENCH)

layers:
	@$(PYTHON) tests/layers.py

lint:
	$(call install,$(LINT_PACKAGES))
	@$(PYTHON) tests/lint.py

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/wye $(DESTDIR)/etc/wye $(DESTDIR)/etc/init.d \
	  $(DESTDIR)/var/log/wye $(DESTDIR)/var/lib/wye \
	  $(DESTDIR)/etc/logrotate.d $(DESTDIR)/lib/systemd/system
	install -m 755 $(BUILD)/wye $(BUILD)/shm-dump $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BUILD)/wye-worker $(BUILD)/wye-registrar $(DESTDIR)$(PREFIX)/lib/wye/
	test -e $(DESTDIR)/etc/wye/wye.conf || install -m 640 etc/wye.conf $(DESTDIR)/etc/wye/wye.conf
	install -m 755 etc/wye.init $(DESTDIR)/etc/init.d/wye
	install -m 644 etc/wye.logrotate $(DESTDIR)/etc/logrotate.d/wye
	install -m 644 etc/wye.service $(DESTDIR)/lib/systemd/system/wye.service

clean:
	rm -rf build build-*

help:
	@echo 'make               build the programs into build/'
	@echo 'make run           demo: nats-server, two backends, Wye; Ctrl-C ends it'
	@echo 'make test          every fast test; SANITIZE=address,undefined or thread for those builds'
	@echo 'make bench         Wye beside nginx, haproxy and a bare relay; and the table'
	@echo 'make fuzz-smoke    each fuzzer for FUZZ_SECONDS=20'
	@echo 'make torture       the long kill tests;  make model  the Promela model (slow)'
	@echo 'make lint layers   what a machine can check of STYLE and DESIGN'
	@echo 'make install       DESTDIR= and PREFIX=/usr;  make clean'
