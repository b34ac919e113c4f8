# make bench: what the library costs, and how long it waits, each figure beside something measured at the same time. Included by
# the Makefile. About twenty minutes; `make bench-PART` measures one part again, PART being one of BENCH_PARTS. Writes
# build/bench.txt, bench.md, bench.json, and the plots. Nothing fails because a figure is missed: the table says so.

BENCH_PARTS = start calls programs release waiters race copy opens line growth methods
BENCH_PROGRAMS = start calls beside release waiters race copy open line redirects pages methods tiny
BENCH_FLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -O2 '-DBUILD_DIR="$(abspath $(BUILD))"'
BENCH = $(addprefix $(BUILD)/bench/,$(BENCH_PROGRAMS) empty.so least.so jump.so swap.so asked.so summary)

bench:
	scripts/setup.sh bench
	$(MAKE) --no-print-directory $(BUILD)/libetxtbsy.so $(BENCH)
	tests/bench/run.sh $(BUILD) $(BENCH_PARTS)

$(addprefix bench-,$(BENCH_PARTS)): bench-%: $(BUILD)/libetxtbsy.so $(BENCH)
	tests/bench/run.sh $(BUILD) $*

# What the README shows.
bench-publish:
	mkdir -p scripts/bench
	cp $(addprefix $(BUILD)/,start.svg wait.svg copy.svg bench.md bench.json) scripts/bench/

$(addprefix $(BUILD)/bench/,$(BENCH_PROGRAMS)): $(BUILD)/bench/%: tests/bench/%.c tests/bench/bench.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_FLAGS) -o $@ $< -lpthread
# gcc's defaults, whatever ours are.
$(BUILD)/bench/empty.so: tests/bench/empty.c
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -o $@ $<
# With the least that a wrapper, and a redirect, can do; and with all that a redirect is asked for.
$(addprefix $(BUILD)/bench/,swap.so asked.so): tests/bench/by_hand.h
$(addprefix $(BUILD)/bench/,jump.so swap.so asked.so): $(BUILD)/bench/%.so: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -O2 $(LINK) -Wl,-z,now -fno-builtin -fPIC -o $@ $<
# The same with our link line: the least that a library can cost.
$(BUILD)/bench/least.so: tests/bench/empty.c
	@mkdir -p $(@D)
	$(CC) $(LINK) -Wl,--no-as-needed -fPIC -o $@ $<
$(BUILD)/bench/summary: tests/bench/summary.c tests/bench/figures.def tests/bench/bench.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_FLAGS) $(shell pkg-config --cflags json-c 2>/dev/null) -o $@ $< -ljson-c -lm

.PHONY: bench bench-publish $(addprefix bench-,$(BENCH_PARTS))
