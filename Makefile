# libetxtbsy. `make` builds the library with a C compiler and libc alone, and the command where json-c is there.

CC ?= cc
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Werror -Wframe-larger-than=2048 -Wshadow -Wstrict-prototypes -Wmissing-prototypes
BASE = -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -MMD -MP

# Floors of the shim, from the ground up. cli/ is the command's alone.
FLOORS = sys policy wait stage event remedy preload

sources = $(sort $(wildcard $(addprefix shim/,$(addsuffix /*.c,$(1)))))
objects = $(patsubst shim/%.c,build/obj/%.o,$(call sources,$(1)))

# Loaded into every process on the machine, so: no start files, no separate code segment, lazy binding, the quick hash.
LINK = -shared -nostartfiles -Wl,--hash-style=gnu -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,lazy -Wl,-Bsymbolic \
       -Wl,--as-needed -Wl,-z,defs -Wl,-soname,libetxtbsy.so

all: build/libetxtbsy.so

build/libetxtbsy.so: $(call objects,$(FLOORS)) build/exports.map
	$(CC) $(CFLAGS) $(LINK) -Wl,--version-script=build/exports.map -o $@ $(call objects,$(FLOORS))

# The exported names: exactly the table's.
build/exports.map: shim/preload/entries.def Makefile
	@mkdir -p $(@D)
	{ echo '{ global:'; \
	  $(CC) -E -P -D_GNU_SOURCE -include features.h '-DENTRY(result,name,parameters)=name;' \
	      '-DLEFT_OUT(name,reason)=' -x c shim/preload/entries.def; \
	  echo 'local: *; };'; } > $@

build/obj/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) -fPIC -fvisibility=hidden -c $< -o $@

clean:
	rm -rf build

.PHONY: all clean
-include $(shell find build -name '*.d' 2>/dev/null)
