# libetxtbsy. `make` builds the library with a C compiler and libc alone, and the command where json-c, zlib and nettle are there.
# `make test` and `make demo` install what they need first, on Debian; see scripts/setup.sh.

CC ?= cc
CFLAGS ?= -O2 -g
BUILD ?= build
PREFIX ?= /usr/local
# ld.so's own word for it, $$LIB, as the compiler knows it: lib/x86_64-linux-gnu on Debian and its kin, lib64 or lib elsewhere.
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
LIB := $(if $(MULTIARCH),lib/$(MULTIARCH),$(notdir $(or $(shell $(CC) -print-multi-os-directory 2>/dev/null),lib)))
LIBDIR ?= $(PREFIX)/$(LIB)
# Where the command looks for an installed library. With $$LIB in it each program loads that of its own word size.
INSTALLED_LIBRARY ?= $(if $(filter $(PREFIX)/$(LIB),$(LIBDIR)),$(PREFIX)/$$LIB,$(LIBDIR))/libetxtbsy.so
WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# Where clang writes DWARF 5, valgrind before 3.20 can't read it, and gives up each program that the library is loaded into.
DWARF := $(if $(findstring clang,$(shell $(CC) --version 2>/dev/null)),-fdebug-default-version=4)
BASE = -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -MMD -MP $(DWARF)

# Floors of the shim, from the ground up. cli/ is the command's alone.
BELOW_PRELOAD = sys policy wait stage event remedy
FLOORS = $(BELOW_PRELOAD) preload

objects = $(patsubst shim/%.c,$(BUILD)/obj/%.o,$(sort $(wildcard $(addprefix shim/,$(addsuffix /*.c,$(1))))))

# What the command reads logs and takes checksums with; the library needs none of it.
COMMAND_NEEDS = json-c zlib nettle
HAVE_THEM := $(shell pkg-config --exists $(COMMAND_NEEDS) 2>/dev/null && echo yes)

# `make V=1` shows the commands.
$(if $(V),,.SILENT:)

all: $(BUILD)/libetxtbsy.so $(if $(HAVE_THEM),$(BUILD)/etxtbsy,no-command)

no-command:
	@echo "json-c, zlib or nettle isn't there (Debian: libjson-c-dev zlib1g-dev nettle-dev): the command etxtbsy is not built; the library is whole without it"

# ---- the library ------------------------------------------------------------------------------------------------------------

# Small is better than quick: what isn't a load, a branch and a jump waits for a disk. So it is optimised as a whole where the
# compiler can do that, which saves a seventh. It keeps its unwind tables, a fifth of it: through a frame without one no C++ exception
# gets, and a thread that is cancelled runs no destructor beyond it.
accepted = $(shell $(CC) -Werror $(1) -S -x c /dev/null -o - >/dev/null 2>&1 && echo '$(1)')
SMALL := $(or $(call accepted,-Oz),-Os) $(or $(call accepted,-flto -flto-partition=one),-ffunction-sections)
LIBRARY_OBJECTS = $(patsubst $(BUILD)/obj/%,$(BUILD)/library/%,$(call objects,$(FLOORS)))

# The frame limit: the shim may run on a small signal stack.
CODE = -Wframe-larger-than=2048 -fPIC -fvisibility=hidden

# Loaded into every process on the machine, so: no start files, no separate code segment, lazy binding, the quick hash.
LINK = -shared -nostartfiles -Wl,--gc-sections -Wl,--hash-style=gnu -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,lazy -Wl,-Bsymbolic-functions \
       -Wl,--as-needed -Wl,-z,defs -Wl,-soname,libetxtbsy.so

$(BUILD)/libetxtbsy.so: $(LIBRARY_OBJECTS) $(BUILD)/exports.map
	$(CC) -Werror $(CODE) $(CFLAGS) $(SMALL) $(LINK) -Wl,--version-script=$(BUILD)/exports.map -o $@ $(LIBRARY_OBJECTS)

# String functions call no others, least of all themselves; and the compiler calls them later than it looks at the library as a whole.
$(BUILD)/library/preload/string.o: SMALL = -Os -ffunction-sections -fno-builtin

# This runs in every process that starts, or that starts with a variable of ours.
$(addprefix $(BUILD)/library/,preload/start.o policy/environment.o): SMALL = -O2 -ffunction-sections

# The exported names: exactly the table's.
$(BUILD)/exports.map: shim/preload/entries.def Makefile
	@mkdir -p $(@D)
	{ echo '{ global:'; \
	  $(CC) -E -P -D_GNU_SOURCE -include features.h '-DENTRY(result,name,parameters)=name;' \
	      '-DLEFT_OUT(name,reason)=' -x c shim/preload/entries.def; \
	  echo 'local: *; };'; } > $@

$(BUILD)/library/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CODE) $(CFLAGS) $(SMALL) -c $< -o $@

# The same for the command and the tests, which replace the system calls.
$(BUILD)/obj/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CODE) $(CFLAGS) -c $< -o $@

# ---- the command ------------------------------------------------------------------------------------------------------------

# Logs and files of any size, also where off_t has 32 bits.
COMMAND_FLAGS = -D_FILE_OFFSET_BITS=64 $(shell pkg-config --cflags $(COMMAND_NEEDS))
COMMAND_LIBS = $(shell pkg-config --libs $(COMMAND_NEEDS)) -lm

$(BUILD)/etxtbsy: $(call objects,cli $(BELOW_PRELOAD))
	$(CC) $(CFLAGS) -o $@ $^ $(COMMAND_LIBS)

$(BUILD)/obj/cli/%.o: shim/cli/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(COMMAND_FLAGS) '-DINSTALLED_LIBRARY="$(INSTALLED_LIBRARY)"' -c $< -o $@

# Another PREFIX is compiled in anew.
$(addprefix $(BUILD)/obj/cli/,enable.o program.o): $(BUILD)/installed-library
$(BUILD)/installed-library: ALWAYS
	@mkdir -p $(@D)
	@echo '$(INSTALLED_LIBRARY)' | cmp -s - $@ || echo '$(INSTALLED_LIBRARY)' >$@

# ---- tests ------------------------------------------------------------------------------------------------------------------

TEST_SOURCES = $(sort $(wildcard tests/*.c))
TEST_OBJECTS = $(patsubst tests/%.c,$(BUILD)/tests/obj/%.o,$(TEST_SOURCES))
# Each from the source of its name; the victim is compiled as four kinds of programs call libc.
PLAIN_PROGRAMS = target cases starts failures conflicts storms setid loads own_open hold unenforced
PLUGINS = plugin.so plugin-sysv.so threaded_plugin.so
TEST_PROGRAMS = $(addprefix $(BUILD)/tests/,$(PLAIN_PROGRAMS) target-static $(PLUGINS) victim-plain victim-fortify victim-lfs victim-cxx)
# Where time_t has 32 bits there is a fifth kind.
ifeq ($(shell echo __TIMESIZE | $(CC) -E -P -include features.h - 2>/dev/null | tail -n 1),32)
TEST_PROGRAMS += $(BUILD)/tests/victim-time64
endif
# A file system of our own, where libfuse is there (Debian: libfuse3-dev).
FUSE := $(shell pkg-config --exists fuse3 2>/dev/null && echo yes)
TEST_PROGRAMS += $(if $(FUSE),$(BUILD)/tests/odd_filesystem)
# What they test need not have been built as they are: programs and a library of another word size, or of another libc.
TESTED ?= $(BUILD)
TEST_PATHS = '-DBUILD_DIR="$(abspath $(TESTED))"' '-DSOURCE_DIR="$(abspath .)"'

COMMAND_PARTS = $(filter-out %/main.o,$(call objects,cli))
$(BUILD)/tests/run: $(TEST_OBJECTS) $(COMMAND_PARTS) $(call objects,$(BELOW_PRELOAD))
	$(CC) $(CFLAGS) -o $@ $^ -lcriterion $(COMMAND_LIBS)

$(BUILD)/tests/obj/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) -Wno-missing-field-initializers -Wno-unknown-warning-option -Wno-format-truncation $(TEST_PATHS) $(CFLAGS) $(COMMAND_FLAGS) -c $< -o $@

PROGRAM_FLAGS = -D_GNU_SOURCE -Wall -Wextra -g
$(BUILD)/tests/target-static: tests/programs/target.c
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_FLAGS) -static -o $@ $<
$(BUILD)/tests/victim-plain: tests/programs/victim.c
$(BUILD)/tests/victim-fortify: PROGRAM_FLAGS += -O2 -D_FORTIFY_SOURCE=2
$(BUILD)/tests/victim-fortify: tests/programs/victim.c
$(BUILD)/tests/victim-lfs: PROGRAM_FLAGS += -D_FILE_OFFSET_BITS=64
$(BUILD)/tests/victim-lfs: tests/programs/victim.c
$(BUILD)/tests/victim-time64: PROGRAM_FLAGS += -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
$(BUILD)/tests/victim-time64: tests/programs/victim.c
$(BUILD)/tests/victim-cxx: tests/programs/victim.c
	@mkdir -p $(@D)
	$(CXX) -x c++ $(PROGRAM_FLAGS) -o $@ $<
$(BUILD)/tests/starts: PROGRAM_FLAGS += -fexceptions
$(BUILD)/tests/odd_filesystem: tests/programs/odd_filesystem.c
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_FLAGS) $(shell pkg-config --cflags fuse3 2>/dev/null) -o $@ $< $(shell pkg-config --libs fuse3 2>/dev/null)
$(addprefix $(BUILD)/tests/,$(PLAIN_PROGRAMS)): $(BUILD)/tests/%: tests/programs/%.c
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_FLAGS) -o $@ $<
$(addprefix $(BUILD)/tests/,$(PLUGINS)): PROGRAM_FLAGS += -shared -fPIC
$(BUILD)/tests/plugin-sysv.so: PROGRAM_FLAGS += -Wl,--hash-style=sysv
$(BUILD)/tests/plugin-sysv.so: tests/programs/plugin.c
$(BUILD)/tests/plugin.so: tests/programs/plugin.c
$(BUILD)/tests/threaded_plugin.so: tests/programs/threaded_plugin.c
$(addprefix $(BUILD)/tests/,$(PLUGINS) $(addprefix victim-,plain fortify lfs time64)):
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_FLAGS) -o $@ $<

# The only command that a newcomer types. It ends with Criterion's summary.
# What setup.sh has unpacked rather than installed.
export PATH := $(abspath build/tools/usr/bin):$(PATH)
test:
	scripts/setup.sh test
	$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) check

check: suite check-sanitized check-clang check-elsewhere check-fuzz check-suites
	$(BUILD)/tests/run --jobs $$(($$(nproc) + 1))

# All that the tests need.
suite: all $(BUILD)/tests/run $(TEST_PROGRAMS)

# The unit tests again, under AddressSanitizer and UndefinedBehaviorSanitizer. Criterion's workers end without a clean-up that
# LeakSanitizer could look at.
UNIT_SOURCES = $(sort $(wildcard tests/unit_*.c)) $(addprefix tests/,harness.c schema.c)
UNIT_SUITES = @(aside|claim|glob|text|scratch|name|policy|wait|event|send|sinks|holders|host|locks|stage|stage_fault|lines|moment|next|quantiles|timeline)/*
check-sanitized:
	$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitized 'TEST_SOURCES=$(UNIT_SOURCES)' CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Wno-frame-larger-than" $(addprefix $(BUILD)/sanitized/tests/,run plugin-sysv.so)
	ASAN_OPTIONS=detect_leaks=0 $(BUILD)/sanitized/tests/run --filter '$(UNIT_SUITES)'

# The other compiler warns about other things.
check-clang:
	if command -v clang >/dev/null; then \
	    $(MAKE) --no-print-directory CC=clang CXX=clang++ CFLAGS=-O0 BUILD=$(BUILD)/clang all $(BUILD)/clang/tests/run; \
	else echo "skipped: there is no clang here"; fi

include tests/prove.mk

include tests/bench.mk

demo:
	scripts/setup.sh demo
	$(MAKE) --no-print-directory all
	scripts/demo.sh

# The page that the demo ends with, as README.md shows it. Takes a browser, 300 MB: only who changes the page needs it.
picture: demo
	scripts/setup.sh picture
	scripts/picture.sh '$(abspath build)/demo.html' scripts/demo/timeline.png

lint:
	scripts/setup.sh lint
	shellcheck scripts/*.sh scripts/demo/*.sh scripts/prove/*.sh tests/bench/*.sh tests/recipes/*.sh scripts/debian/*.postinst scripts/debian/*.prerm scripts/debian/*.postrm .ci/run
	shellcheck -s bash scripts/completion/etxtbsy.bash
	clang-format --dry-run -Werror $$(git ls-files 'shim/*.[ch]' 'tests/*.[ch]')
	git ls-files 'shim/*.c' | xargs -P 2 -n 8 sh -c 'clang-tidy --quiet "$$@" -- -std=gnu11 -D_GNU_SOURCE -DINSTALLED_LIBRARY=\"x\" $(COMMAND_FLAGS)' sh

include scripts/install.mk

clean:
	rm -rf build

.PHONY: ALWAYS all check check-clang check-sanitized clean demo lint no-command picture suite test
-include $(shell find $(BUILD)/library $(BUILD)/obj $(BUILD)/tests -name '*.d' -type f 2>/dev/null)
