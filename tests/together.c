/*
 * The library together with others that come between a program and libc: preloaded ones, sanitizers, valgrind, plug-ins. A
 * busy file under the library must end as an idle one without.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static struct place place;

static void begin(void)
{
    place_make(&place);
}

static void finish(void)
{
    place_remove(&place);
}

TestSuite(together, .init = begin, .fini = finish, .timeout = 300);

struct result {
    int status;
    char *tree, *out;
};

static struct result run(enum shim shim, const char *environment, const char *command)
{
    struct result result = { .status = status_code(run_shell(&place, shim, environment, command)) };
    result.tree = tree_text(place.directory);
    result.out = read_file(place.out, NULL);
    return result;
}

static void expect_same(const struct result *expected, const struct result *actual, const char *what)
{
    char *err = read_file(place.err, NULL);
    cr_expect_eq(actual->status, expected->status, "%s: status %d instead of %d: %s", what, actual->status, expected->status, err);
    cr_expect_str_eq(actual->tree, expected->tree, "%s:\n%s instead of\n%s", what, actual->tree, expected->tree);
    cr_expect_str_eq(actual->out, expected->out, "%s: said %s instead of %s", what, actual->out, expected->out);
    free(err);
}

/* `with` sets the library for a command, `without` does all else the same. `redirects`: a busy file gets a stage. */
static void expect_as_without(const char *what, const char *without, const char *with, const char *command, bool redirects)
{
    char whole[3000];
    place_reset(&place);
    snprintf(whole, sizeof whole, "%s sh -c '%s'", without, command);
    struct result expected = run(WITHOUT_SHIM, NULL, whole);
    cr_expect_eq(expected.status, 0, "%s: %s", what, whole);
    snprintf(whole, sizeof whole, "%s sh -c '%s'", with, command);
    place_reset(&place);
    struct result idle = run(WITHOUT_SHIM, NULL, whole);
    expect_same(&expected, &idle, what);
    place_reset(&place);
    pid_t running = run_busy(place.target);
    struct result busy = run(WITHOUT_SHIM, NULL, whole);
    stop(running);
    expect_same(&expected, &busy, what);
    cr_expect_eq(log_count(&place, "outcome", "replaced"), redirects, "%s: not redirected", what);
    cr_expect_eq(litter_count(&place), 0, "%s", what);
}

static bool find(const char *pattern, char path[PATH_MAX])
{
    glob_t found;
    bool is = glob(pattern, 0, NULL, &found) == 0;
    if (is)
        snprintf(path, PATH_MAX, "%s", found.gl_pathv[0]);
    globfree(&found);
    return is;
}

/* ---- other preloaded libraries, before and behind ours ---- */

Test(together, with_other_preloaded_libraries)
{
    static const struct {
        const char *name, *pattern, *environment, *command;
    } others[] = {
        { "libeatmydata", "/usr/lib/*/libeatmydata.so*", "", "cp $NEW $TARGET; cat $NEW > $TARGET.2; sync $TARGET.2" },
        { "libfaketime", "/usr/lib/*/faketime/libfaketime.so.1", "FAKETIME=-3d",
          "cp $NEW $TARGET; cat $NEW > $TARGET.2; date +%Y > $TARGET.3" },
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char path[PATH_MAX], without[1000], before[1500], behind[1500];
        if (!find(others[i].pattern, path)) {
            fprintf(stderr, "skipped: there is no %s here\n", others[i].name);
            continue;
        }
        snprintf(without, sizeof without, "env %s LD_PRELOAD=%.400s", others[i].environment, path);
        snprintf(before, sizeof before, "env %s ETXTBSY_LOG=%.300s LD_PRELOAD=%.400s:%s", others[i].environment, place.log, path,
                 LIBRARY);
        snprintf(behind, sizeof behind, "env %s ETXTBSY_LOG=%.300s LD_PRELOAD=%s:%.400s", others[i].environment, place.log, LIBRARY,
                 path);
        expect_as_without(others[i].name, without, before, others[i].command, true);
        expect_as_without(others[i].name, without, behind, others[i].command, true);
    }
}

Test(together, with_fakeroot)
{
    char missing[100], before[1000], behind[1000];
    if (!have_programs("fakeroot", missing)) {
        fprintf(stderr, "skipped: there is no fakeroot here\n");
        cr_skip_test("there is no fakeroot here");
    }
    const char *const command = "cp $NEW $TARGET; mknod node c 1 3; chown 12:34 node; stat -c \"%u %g %s\" $TARGET node; rm node";
    snprintf(before, sizeof before, "fakeroot env ETXTBSY_LOG=%.300s sh -c 'export LD_PRELOAD=$LD_PRELOAD:%s; exec \"$@\"' -",
             place.log, LIBRARY);
    snprintf(behind, sizeof behind, "fakeroot env ETXTBSY_LOG=%.300s sh -c 'export LD_PRELOAD=%s:$LD_PRELOAD; exec \"$@\"' -",
             place.log, LIBRARY);
    expect_as_without("fakeroot", "fakeroot", before, command, true);
    expect_as_without("fakeroot", "fakeroot", behind, command, true);
}

/* ---- sanitizers and valgrind ---- */

/* The first few are the short form. Without last_thread_ends: a program with ThreadSanitizer that has lost its main thread doesn't
 * end, library or not. */
static const char *const scenes[] = {
    "duplicates",     "exec_keeps",  "append_stream",       "vfork_child_writes", "append",     "read_write",  "two_opens",
    "parent_is_last", "exec_closes", "buffered_until_exit", "spawn_twice",        "same_bytes", "errno_stays",
};

static void expect_scenes(const char *what, const char *program, const char *environment)
{
    char without[1000], with[1500], command[500];
    for (size_t i = 0; i < (take_all() ? sizeof scenes / sizeof *scenes : 4); i++) {
        snprintf(without, sizeof without, "env %s", environment);
        snprintf(with, sizeof with, "env %s ETXTBSY_LOG=%s LD_PRELOAD=%s", environment, place.log, LIBRARY);
        snprintf(command, sizeof command, "%s %s $TARGET", program, scenes[i]);
        expect_as_without(what, without, with, command, strcmp(scenes[i], "same_bytes") != 0);
    }
}

Test(together, with_sanitizers)
{
    /* A shared AddressSanitizer wants to be the first library of all, before whatever is preloaded, unless it is told otherwise. */
    static const struct {
        const char *name, *compiler, *environment;
    } sanitizers[] = {
        { "AddressSanitizer, static", "cc -fsanitize=address -static-libasan", "ASAN_OPTIONS=detect_leaks=0" },
        { "AddressSanitizer, shared", "cc -fsanitize=address", "ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0" },
        { "UndefinedBehaviorSanitizer", "cc -fsanitize=undefined -fno-sanitize-recover=all", "UBSAN_OPTIONS=" },
        { "ThreadSanitizer", "cc -fsanitize=thread", "TSAN_OPTIONS=" },
        { "AddressSanitizer of clang", "clang -fsanitize=address,undefined", "ASAN_OPTIONS=detect_leaks=0" },
        { "MemorySanitizer of clang", "clang -fsanitize=memory", "MSAN_OPTIONS=" },
    };
    for (size_t i = 0; i < sizeof sanitizers / sizeof *sanitizers; i++) {
        char program[PATH_MAX], build[3 * PATH_MAX];
        snprintf(program, sizeof program, "%s/sanitized", place.root);
        snprintf(build, sizeof build,
                 "%s -D_GNU_SOURCE -g -w -o %s %s/tests/programs/cases.c >/dev/null 2>&1 && %s none x 2>/dev/null; test $? = 2",
                 sanitizers[i].compiler, program, SOURCE_DIR, program);
        if (system(build) != 0) {
            fprintf(stderr, "skipped: no program with %s can be built and run here\n", sanitizers[i].name);
            continue;
        }
        expect_scenes(sanitizers[i].name, program, sanitizers[i].environment);
    }
}

Test(together, with_valgrind)
{
    char missing[100];
    if (!have_programs("valgrind", missing)) {
        fprintf(stderr, "skipped: there is no valgrind here\n");
        cr_skip_test("there is no valgrind here");
    }
    static const char *const few[] = { "append", "duplicates", "append_stream" };
    for (size_t i = 0; i < 3; i++) {
        char with[1000], command[500];
        snprintf(with, sizeof with, "env ETXTBSY_LOG=%s LD_PRELOAD=%s", place.log, LIBRARY);
        snprintf(command, sizeof command, "valgrind -q --error-exitcode=9 %s/tests/cases %s $TARGET", BUILD_DIR, few[i]);
        expect_as_without("valgrind", "env", with, command, true);
    }
}

/* ---- other ways to libc's functions ---- */

Test(together, with_plugins_and_namespaces)
{
    /* What the library doesn't see is refused, as without it. */
    static const struct {
        const char *scene;
        bool redirects;
    } rows[] = {
        { "plugin", true },
        { "plugin_bound_to_itself", false },
        { "plugin_in_a_namespace", false },
        { "plugin_that_waits_for_a_thread", false },
        { "closed_by_a_plugin", true },
        { "functions_of_libc_itself", false },
        { "functions_by_default", true },
        { "the_library_itself", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char command[500];
        snprintf(command, sizeof command, "$BUILD/tests/loads %s $TARGET", rows[i].scene);
        place_reset(&place);
        struct result expected = run(WITHOUT_SHIM, NULL, command);
        cr_expect_eq(expected.status, 0, "%s", rows[i].scene);
        place_reset(&place);
        struct result idle = run(WITH_SHIM, NULL, command);
        expect_same(&expected, &idle, rows[i].scene);

        place_reset(&place);
        pid_t running = run_busy(place.target);
        struct result refused = rows[i].redirects ? expected : run(WITHOUT_SHIM, NULL, command);
        struct result busy = run(WITH_SHIM, NULL, command);
        stop(running);
        expect_same(&refused, &busy, rows[i].scene);
        cr_expect_eq(log_count(&place, "outcome", "replaced"), rows[i].redirects, "%s", rows[i].scene);
        cr_expect_eq(litter_count(&place), 0, "%s", rows[i].scene);
    }
}

Test(together, with_a_program_that_has_an_open_of_its_own)
{
    char with[1000];
    snprintf(with, sizeof with, "env ETXTBSY_LOG=%s LD_PRELOAD=%s", place.log, LIBRARY);
    expect_as_without("own open", "env", with, "$BUILD/tests/own_open $TARGET", true);
}
