# Proofs that take longer than `make test` has time for. Each has a short form there.

prove-tools: all $(BUILD)/tests/run $(TEST_PROGRAMS)
	ETXTBSY_TEST_ALL=1 $(BUILD)/tests/run --filter '@(tools|filesystems)/*'

# Kills writers before each single system call that they make: the long form of what `check` does at some of them.
prove-kill: all $(BUILD)/tests/run $(TEST_PROGRAMS)
	scripts/prove-kill.sh $(BUILD)

# Makes each of those calls fail, in each way that is plausible for it.
prove-fail: all $(BUILD)/tests/run $(TEST_PROGRAMS)
	scripts/prove-fail.sh $(BUILD)

# Changes a directory before each single system call of a redirect in it; and five thousand redirects beside an attacker.
prove-hostile: all $(BUILD)/tests/run
	ETXTBSY_HOSTILE_STEP=1 $(BUILD)/tests/run --filter 'hostile/*'

prove-storm: all $(BUILD)/tests/run $(TEST_PROGRAMS)
	ETXTBSY_TEST_ALL=1 $(BUILD)/tests/run --filter 'storm/*' --jobs 1

# The report on a hundred thousand lines and more of a real storm; the log stays in build/conflicts.json.
prove-report: all $(BUILD)/tests/conflicts $(BUILD)/tests/target
	scripts/prove-report.sh $(BUILD) 112000

# ---- fuzz -------------------------------------------------------------------------------------------------------------------

FUZZ_SECONDS ?= 600
FUZZERS = policy name event line

prove-fuzz:
	+scripts/prove-fuzz.sh $(BUILD) -max_total_time=$(FUZZ_SECONDS) $(FUZZERS)

# Always the same inputs.
check-fuzz:
	+scripts/prove-fuzz.sh $(BUILD) "-runs=3000 -seed=1" $(FUZZERS)

# Called by the script, with clang.
fuzzers: $(addprefix $(BUILD)/fuzz-,$(FUZZERS))

$(BUILD)/fuzz-%: tests/fuzz/%.c $(call objects,$(BELOW_PRELOAD)) $(COMMAND_PARTS)
	rm -f $@.a
	ar rcs $@.a $(filter %.o,$^)
	$(CC) $(BASE) $(CFLAGS) $(COMMAND_FLAGS) -fsanitize=fuzzer -o $@ $< $@.a $(COMMAND_LIBS)

# ---- other people's programs ------------------------------------------------------------------------------------------------

prove-suites: all $(BUILD)/tests/run $(TEST_PROGRAMS)
	scripts/setup.sh suites
	scripts/prove-suites.sh $(BUILD) mksh bash tcl python
	ETXTBSY_TEST_ALL=1 $(BUILD)/tests/run --filter 'together/*'

check-suites: all
	scripts/prove-suites.sh $(BUILD) python-short

prove-system: all $(BUILD)/tests/run $(TEST_PROGRAMS)
	scripts/setup.sh prove
	$(BUILD)/tests/run --filter 'system/*'
	scripts/prove-system.sh $(BUILD)

# ---- elsewhere --------------------------------------------------------------------------------------------------------------

prove-elsewhere: suite
	scripts/setup.sh elsewhere
	+scripts/prove-elsewhere.sh $(BUILD) clang glibc-2.31 i386 m32-qemu aarch64

# The library and the programs as 32-bit ones.
check-elsewhere: suite
	+scripts/prove-elsewhere.sh $(BUILD) m32

# Called by the script: the tests of entry points, for the library and the programs in $(TESTED).
entries: $(TESTED)/run-entries
$(TESTED)/run-entries: $(addprefix tests/,entries.c harness.c schema.c) ALWAYS
	$(CC) $(BASE) -MF $@.d -Wno-format-truncation $(TEST_PATHS) $(CFLAGS) $(COMMAND_FLAGS) $(TESTED_FLAGS) -o $@ $(filter %.c,$^) \
	    $(call objects,$(BELOW_PRELOAD)) -lcriterion $(COMMAND_LIBS)

.PHONY: check-elsewhere entries prove-elsewhere
.PHONY: check-fuzz check-suites fuzzers prove-fail prove-fuzz prove-hostile prove-kill prove-report prove-storm prove-suites prove-system prove-tools
