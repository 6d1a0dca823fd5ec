# Walden's build: one file, no recursion into folders, sources found by wildcard.
#
#   make                      the product for this machine, static (musl), into build/bin/
#   make DEV=1                the same with glibc, sanitizers and -Werror, into build/dev/bin/
#   make cross TARGET=T       for x86_64, aarch64, armv7 or armv6, into build/T/bin/
#   make cross-all            for all of them
#   make TLS=1                (also with cross) with OpenSSL, into build/bin-tls/ or build/T-tls/bin/
#   make install              DESTDIR=, PREFIX=/usr/local; uninstall
#   make packages             .deb, tarballs and SHA256SUMS into build/packages/
#   make repro                two builds in different folders: the same bytes?
#   make check                all quick static checks: layers limits headers format-check sizes ...
#   make test                 check and every test; QUICK=1 leaves out the slow ones
#   make unit                 only the unit tests
#   make test-long, bench, demo
#   make clean, distclean     what was compiled here; all of build/, dependencies included
#
# V=1 shows the commands.  Missing Debian packages are installed when make runs as root (tests/setup).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
endif

Q := $(if $(V),,@)
PREFIX ?= /usr/local
TARGET ?= native

# ---------------------------------------------------------------- targets and tool chains

T := $(shell . cross/target $(TARGET) && echo $$target_name)
ifeq ($(T),)
$(error no such target "$(TARGET)")
endif
ARM := aarch64 armv7 armv6
TARGETS ?= x86_64 $(ARM)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wcast-qual \
    -Wstrict-prototypes -Wmissing-prototypes -Wvla \
    -Wpointer-arith -Wwrite-strings -Wundef
GCC_WARN := -Wduplicated-cond -Wduplicated-branches -Wlogical-op
DEFINES := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64

ifeq ($(DEV),1)
ifeq ($(origin CC),default)
CC := gcc
endif
# make DEV=1 CC=clang stands beside gcc's.
O := build/$(if $(findstring clang,$(CC)),clang,dev)
BIN := $(O)/bin
AR := ar
# Its symbols are what a sanitizer's report is made of.
STRIP := objcopy
OPT := -O1 -g
MODE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
    -fstack-protector-strong
INCLUDES := -isystem /usr/include/postgresql
LINK := -fsanitize=address,undefined
LIBPQ := -lpq
CORE_READY := build/dev/.packages
PQ_READY := build/dev/.packages
WERROR := -Werror
ifneq ($(findstring clang,$(CC)),)
# Only clang has it (and gcc from 14 on).
GCC_WARN := -Wmissing-variable-declarations
endif
else
# TLS=1 stands beside what is built without.
WITH := $(if $(filter 1,$(TLS)),-tls)
O := build/$(T)$(WITH)
BIN := $(if $(filter native,$(TARGET)),build/bin$(WITH),$(O)/bin)
CC := $(CURDIR)/build/deps/$(T)/bin/cc
TOOL := $(shell . cross/target $(T) && echo $$target_triplet)
AR := $(TOOL)-gcc-ar
STRIP := $(TOOL)-objcopy --strip-all
OPT := -Os
# ARMv6's short instructions (Thumb-1) for what need not be fast: the hooks would be too large.
COLD := $(if $(filter armv6,$(T)),-mthumb)
MODE := -flto=auto -fno-fat-lto-objects -ffunction-sections -fdata-sections -fPIE \
    -fstack-protector-strong -fno-plt -fno-asynchronous-unwind-tables -fno-unwind-tables -ffile-prefix-map=$(CURDIR)=.
INCLUDES := $(if $(WITH),-Ibuild/deps/$(T)/tls/include)
LINK := -static-pie -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,-z,noseparate-code,--build-id=none \
    $(shell . cross/target $(T) && echo $$target_ldflags)
LIBPQ := $(if $(WITH),-Lbuild/deps/$(T)/tls/lib) -lpq -lpgcommon_shlib -lpgport_shlib $(if $(WITH),-lssl -lcrypto)
CORE_READY := build/deps/$(T)/.core
PQ_READY := build/deps/$(T)/$(if $(WITH),.tls,.libpq)
WERROR := $(if $(CI),-Werror)
endif

CFLAGS_ALL = $(DEFINES) $(OPT) $(COLD) $(MODE) $(WARN) $(GCC_WARN) $(WERROR) -Ilib -I. $(INCLUDES) $(CFLAGS)
# libpq's header has a macro with strtoul in it, so it must be read before the name is banned.
BANNED = $(if $(filter lib/pgconn/%,$<),-include libpq-fe.h) -include base/banned.h

# Small is what the product is, but where every byte of a segment passes it is fast first.
HOT := lib/pg/walwalk.o lib/pg/walpage.o lib/pg/walrecord.o lib/stream/%.o lib/base/crc32c.o lib/base/buf.o \
    lib/object/page_hash.o

# ---------------------------------------------------------------- sources

LIB_SRC := $(wildcard lib/*/*.c)
# walden is walden-basebackup as well, by its name: libpq and the repository are in it once.
PROGRAMS := walden-archive:archive_cmd walden-restore:restore_cmd walden:catalog:basebackup
prog_src = $(foreach d,$(wordlist 2,9,$(subst :, ,$(filter $(1):%,$(PROGRAMS)))),$(wildcard $(d)/*.c))
PROGS := $(foreach p,$(PROGRAMS),$(firstword $(subst :, ,$(p))))
HOOKS := walden-archive walden-restore

obj = $(patsubst %.c,$(O)/obj/%.o,$(1))
LIB_OBJ := $(call obj,$(LIB_SRC))
PROG_OBJ := $(call obj,$(foreach p,$(PROGS),$(call prog_src,$(p))))
LIBWALDEN := $(O)/libwalden.a

.PHONY: all
all: $(LIBWALDEN) $(addprefix $(BIN)/,$(PROGS) walden-basebackup)

# ---------------------------------------------------------------- compile and link

# The flags of the last build; when they change, everything is built again.
FLAGS_NOW = $(CC) $(CFLAGS_ALL) $(LINK) $(HOT)
$(O)/.flags: FORCE
	@mkdir -p $(@D); echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' >$@

# The compiler's wrapper knows its place, so a tree that was moved builds its dependencies again.
build/deps/.place: FORCE
	@mkdir -p $(@D); echo '$(CURDIR)' | cmp -s - $@ || echo '$(CURDIR)' >$@

build/deps/%/.core: cross/deps cross/sources cross/target build/deps/.place
	@tests/setup build:$*
	@cross/deps $* core
	@touch $@

build/deps/%/.libpq: build/deps/%/.core
	@cross/deps $* libpq
	@touch $@

build/deps/%/.tls: build/deps/%/.core
	@cross/deps $* tls
	@touch $@

build/dev/.packages: tests/setup
	@tests/setup dev
	@mkdir -p $(@D) && touch $@

$(addprefix $(O)/obj/,$(HOT)): OPT := $(if $(DEV),$(OPT),-O2)
$(addprefix $(O)/obj/,$(HOT)): COLD :=

$(LIB_OBJ) $(PROG_OBJ): $(O)/obj/%.o: %.c $(O)/.flags $(CORE_READY)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CC      $<")
	$(Q)$(CC) $(CFLAGS_ALL) $(BANNED) -frandom-seed=$< -MMD -MP -c $< -o $@

# Only what talks to a server waits for libpq.
$(call obj,$(wildcard lib/pgconn/*.c basebackup/*.c catalog/*.c)): $(PQ_READY)

# The names of the objects, so that the archive is made again when a source file goes away.
$(O)/.objects: FORCE
	@mkdir -p $(@D); echo '$(LIB_OBJ)' | cmp -s - $@ || echo '$(LIB_OBJ)' >$@

$(LIBWALDEN): $(LIB_OBJ) $(O)/.objects
	@$(if $(V),,echo "  AR      $@")
	$(Q)rm -f $@.new && $(AR) rcsD $@.new $(LIB_OBJ) && mv $@.new $@

# Linked with its symbols into full/, where the checks look, and stripped from there.
define link_program
$(O)/full/$(1): $(call obj,$(call prog_src,$(1))) $(LIBWALDEN) $(CORE_READY) $(if $(filter $(1),$(HOOKS)),,$(PQ_READY))
	@mkdir -p $$(@D)
	@$$(if $$(V),,echo "  LINK    $(BIN)/$(1)")
	$$(Q)$$(CC) $$(OPT) $$(MODE) $$(LINK) $$(LDFLAGS) -o $$@ $$(filter %.o %.a,$$^) \
	    $(if $(filter $(1),$(HOOKS)),,$$(LIBPQ)) -lsodium -llz4

$(BIN)/$(1): $(O)/full/$(1)
	@mkdir -p $$(@D)
	$$(Q)$$(STRIP) $$< $$@
endef
$(foreach p,$(PROGS),$(eval $(call link_program,$(p))))

.PHONY: cross cross-all
cross: all
cross-all:
	$(Q)for t in $(TARGETS); do $(MAKE) cross TARGET=$$t || exit; done

$(BIN)/walden-basebackup: $(BIN)/walden
	$(Q)ln -sfn walden $@

# ---------------------------------------------------------------- unit tests and fuzzing (DEV=1)

# tests/unit/NAME_test.c is a program; any other file there is linked into each of them.
UNIT_SRC := $(wildcard tests/unit/*_test.c)
UNIT_HELP := $(call obj,$(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)))
UNIT_OBJ := $(call obj,$(UNIT_SRC))
UNIT_BIN := $(patsubst tests/unit/%.c,$(O)/unit/%,$(UNIT_SRC))

$(UNIT_OBJ) $(UNIT_HELP): $(O)/obj/%.o: %.c $(O)/.flags $(CORE_READY) $(PQ_READY)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CC      $<")
	$(Q)$(CC) $(CFLAGS_ALL) -Itests -frandom-seed=$< -MMD -MP -c $< -o $@

$(UNIT_BIN): $(O)/unit/%: $(O)/obj/tests/unit/%.o $(UNIT_HELP) $(LIBWALDEN)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK    $@")
	$(Q)$(CC) $(OPT) $(MODE) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBPQ) -lsodium -llz4

.PHONY: unit-programs
unit-programs: $(UNIT_BIN)

# tests/fuzz/NAME.c holds LLVMFuzzerTestOneInput; clang's fuzzer drives it.
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZ_BIN := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRC))
FUZZ_LIB := $(patsubst %.c,build/fuzz/obj/%.o,$(LIB_SRC))
FUZZ_OBJ := $(patsubst %.c,build/fuzz/obj/%.o,$(FUZZ_SRC))
FUZZ_FLAGS := $(DEFINES) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Ilib -I. -Itests \
    -isystem /usr/include/postgresql
.PHONY: fuzz
fuzz: $(FUZZ_BIN)
$(FUZZ_LIB) $(FUZZ_OBJ): build/fuzz/obj/%.o: %.c Makefile | build/dev/.packages
	@mkdir -p $(@D)
	@$(if $(V),,echo "  FUZZ    $<")
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
$(FUZZ_BIN): build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o $(FUZZ_LIB)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ -lpq -lsodium -llz4

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(PROG_OBJ) $(UNIT_OBJ) $(UNIT_HELP) $(FUZZ_LIB) $(FUZZ_OBJ))

# ---------------------------------------------------------------- checks

CHECKS := layers banned limits headers sizes

.PHONY: check $(CHECKS) format-check check-packages
check-packages:
	@tests/setup check dev
# All of them, even when one fails.
check: all check-packages
	@tests/run checks
layers banned limits headers: check-packages
	@tests/checks/$@
# The sizes are those of the product, and so are the symbols of the hooks.
sizes: all check-packages
	@CC=$(CC) tests/checks/sizes
layers: all
format-check: check-packages
	@tests/checks/format

# ---------------------------------------------------------------- tests

.PHONY: fuzz-if-clang unit test test-long test-cross test-cross-ready test-packages dev-all bench demo
test-packages:
	@tests/setup dev check test
	@for f in fetch tools; do [ ! -x tests/servers/$$f ] || tests/servers/$$f || exit; done
dev-all: test-packages
	$(Q)$(MAKE) DEV=1 all unit-programs
unit: dev-all
	@tests/run unit
# Fuzzing needs clang, which is not installed for it alone.
fuzz-if-clang: test-packages
	@if command -v clang >/dev/null; then $(MAKE) fuzz; else echo "fuzz: left out, no clang here"; fi
test: all dev-all fuzz-if-clang
	@tests/run $(if $(QUICK),--quick)
test-long: all dev-all fuzz-if-clang
	$(Q)$(MAKE) TLS=1 all
	$(Q)$(MAKE) test-cross-ready
	$(Q)status=0; tests/run --long || status=1; $(MAKE) test-cross || status=1; exit $$status
# CI=1: what only a compiler for 32 bits warns of is an error.
test-cross-ready: dev-all
	@tests/setup cross $(addprefix build:,$(TARGETS))
	@for m in aarch64 armv7l; do FETCH_MACHINE=$$m tests/servers/fetch 17 || exit; done
	$(Q)for t in $(ARM); do $(MAKE) TARGET=$$t CI=1 cross unit-programs && \
	    $(MAKE) TARGET=$$t TLS=1 CI=1 cross || exit; done
# The end-to-end tests of hooks, backup and restore with the ARM programs, under qemu (as root).
test-cross: test-cross-ready
	$(Q)for t in $(ARM); do CC=build/deps/$$t/bin/cc tests/checks/sizes build/$$t/bin build/$$t-tls/bin || exit; done
	$(Q)status=0; for t in $(ARM); do tests/run --on $$t unit || status=1; \
	    tests/run --long --on $$t e2e || status=1; done; exit $$status
bench: all test-packages
	@tests/setup bench
	@bench/run; status=$$?; bench/backup && exit $$status
demo: all
	@tests/setup demo
	@tests/demo/demo.sh

# ---------------------------------------------------------------- install and packages

# Manual pages, completion and the commented configuration come out of the programs' own option
# tables (cross/describe), so that they cannot differ from --help.
.PHONY: man
man:
	$(Q)$(MAKE) TARGET=native DEV= TLS= all
	$(Q)rm -rf build/man build/share && mkdir -p build/man build/share
	$(Q)cross/describe build/bin man build/man
	$(Q)cross/describe build/bin completion >build/share/walden.bash
	$(Q)cross/describe build/bin config >build/share/walden.conf

# The programs look for their configuration in /etc/walden.  One that is there is left alone.
SYSCONFDIR ?= /etc
# Where the programs will be when the units start them.
RUNDIR ?= $(PREFIX)/bin
DOCDIR := $(PREFIX)/share/doc/walden
UNITS := $(wildcard catalog/systemd/*.service catalog/systemd/*.timer catalog/systemd/*.target)
.PHONY: install install-files uninstall packages repro clean distclean
install: all man
	$(Q)$(MAKE) install-files
install-files:
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	$(Q)install -m 755 $(addprefix $(BIN)/,$(PROGS)) $(DESTDIR)$(PREFIX)/bin/
	$(Q)ln -sfn walden $(DESTDIR)$(PREFIX)/bin/walden-basebackup
	$(Q)install -m 644 build/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	$(Q)install -D -m 644 build/share/walden.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/walden
	$(Q)for p in $(filter-out walden,$(PROGS)) walden-basebackup; do \
	    ln -sfn walden $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$p; done
	$(Q)for u in $(UNITS); do install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && \
	    sed -E 's#/usr(/local)?/bin/walden#$(RUNDIR)/walden#g' $$u \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${u##*/} || exit 1; done
	$(Q)for f in README.md CHANGELOG.md LICENSE lib/FORMAT.md; do \
	    install -D -m 644 $$f $(DESTDIR)$(DOCDIR)/$${f##*/}; done
	$(Q)for f in $(wildcard catalog/schema/*.json); do \
	    install -D -m 644 $$f $(DESTDIR)$(DOCDIR)/schema/$${f##*/}; done
	$(Q)for f in $(wildcard cross/deploy/* cross/deploy/*/*); do \
	    [ -d $$f ] || install -D -m 644 $$f $(DESTDIR)$(DOCDIR)/deploy/$${f#cross/deploy/}; done
	$(Q)[ -e $(DESTDIR)$(SYSCONFDIR)/walden/walden.conf ] || \
	    install -D -m 644 build/share/walden.conf $(DESTDIR)$(SYSCONFDIR)/walden/walden.conf
# Configuration, keys and repositories stay.
uninstall:
	$(Q)rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(PROGS) walden-basebackup)
	$(Q)rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/bash-completion/completions/,$(PROGS) walden-basebackup)
	$(Q)rm -f $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/system/,$(notdir $(UNITS)))
	$(Q)rm -f $(DESTDIR)$(PREFIX)/share/man/man1/walden.1 $(DESTDIR)$(PREFIX)/share/man/man1/walden-*.1
	$(Q)rm -rf $(DESTDIR)$(DOCDIR)

# .deb packages, tarballs and their sums into build/packages; TARGETS="x86_64 armv7" for some of them.
packages: man
	$(Q)for t in $(TARGETS); do $(MAKE) cross TARGET=$$t TLS= || exit; done
	$(Q)cross/package build/packages $(TARGETS)

# Two builds from nothing but the sources, in different folders and surroundings: the same bytes?
# REPRO=packages compares packages and tarballs too; TARGETS="..." says for which.
repro:
	$(Q)cross/repro $(if $(filter packages,$(REPRO)),--packages) $(if $(filter-out file,$(origin TARGETS)),$(TARGETS),$(T))

clean:
	$(Q)rm -rf build/bin build/bin-tls build/dev build/clang build/fuzz build/man build/share build/packages \
	    $(foreach t,$(TARGETS),build/$t build/$t-tls)
distclean:
	$(Q)rm -rf build

.PHONY: FORCE
FORCE:
