/*
 * Every row of tools.def: the same program on an idle file with and without the shim, which must not differ, and on a busy
 * file under the shim, which must end as on the idle one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#include <criterion/parameterized.h>

enum kind { WRITE, CHANGE, START, INTERPRET };

static const struct tool {
    enum kind kind;
    const char *name, *needs, *command;
} tools[] = {
#define WRITES(name, needs, command) { WRITE, name, needs, command },
#define CHANGES(name, needs, command) { CHANGE, name, needs, command },
#define STARTS(name, needs, command) { START, name, needs, command },
#define INTERPRETS(name, needs, command) { INTERPRET, name, needs, command },
#include "tools.def"
};

#define TOOLS (sizeof tools / sizeof *tools)

struct result {
    int status;
    char *tree, *out, *err;
};

static void discard(struct result *result)
{
    free(result->tree);
    free(result->out);
    free(result->err);
}

static char script[PATH_MAX];

static struct result use(const struct place *place, const struct tool *tool, enum shim shim, const char *environment)
{
    setenv("SCRIPT", script, 1);
    struct result result = { .status = status_code(run_shell(place, shim, environment, tool->command)) };
    /* A writer may outlive the command that started it. */
    if (tool->kind == WRITE && result.status == 0)
        (void)eventually(same_content(place->target, place->new));
    if (shim == WITH_SHIM && !eventually(litter_count(place) == 0))
        cr_expect_fail("%s: a stage is left behind", tool->name);
    result.tree = tree_text(place->directory);
    result.out = read_file(place->out, NULL);
    result.err = read_file(place->err, NULL);
    return result;
}

/* Fresh files, and the script that the tool is to start. */
static void prepare_files(struct place *place, const struct tool *tool)
{
    char line[PATH_MAX];
    place_reset_files(place);
    if (tool->kind == INTERPRET) {
        snprintf(line, sizeof line, "#!%s\n", place->target);
        write_file(script, line, 0755);
    }
}

/* A fresh place. */
static void prepare(struct place *place, const struct tool *tool)
{
    prepare_files(place, tool);
    unlink(place->log);
}

static void expect_same(const struct tool *tool, const char *how, const struct result *expected, const struct result *actual)
{
    cr_expect_eq(actual->status, expected->status, "%s, %s: status %d instead of %d: %s", tool->name, how, actual->status,
                 expected->status, actual->err);
    cr_expect_str_eq(actual->tree, expected->tree, "%s, %s: the files are\n%s instead of\n%s", tool->name, how, actual->tree,
                     expected->tree);
    cr_expect_str_eq(actual->out, expected->out, "%s, %s: said %s instead of %s", tool->name, how, actual->out, expected->out);
    cr_expect_str_eq(actual->err, expected->err, "%s, %s: complained %s instead of %s", tool->name, how, actual->err,
                     expected->err);
}

static bool starts(const struct tool *tool)
{
    return tool->kind == START || tool->kind == INTERPRET;
}

/*
 * Whether the tool gets by without us: it unlinks first, renames, or doesn't open the file that is busy. Leaves the log alone:
 * a line that is late may come meanwhile.
 */
static bool needs_no_help(struct place *place, const struct tool *tool, const struct result *expected)
{
    prepare_files(place, tool);
    pid_t other = starts(tool) ? hold_open(place->target, 200) : run_busy(place->target);
    struct result alone = use(place, tool, WITHOUT_SHIM, NULL);
    bool same = alone.status == expected->status && !strcmp(alone.tree, expected->tree) && !strcmp(alone.out, expected->out);
    discard(&alone);
    stop(other);
    return same;
}

static void try_tool(struct place *place, const struct tool *tool)
{
    prepare(place, tool);
    struct result expected = use(place, tool, WITHOUT_SHIM, NULL);
    if (expected.status != 0) { /* half installed, or no terminal to be had */
        fprintf(stderr, "skipped: %s doesn't work here, even without the shim: %s\n", tool->name, expected.err);
        discard(&expected);
        return;
    }
    if (tool->kind == WRITE)
        cr_assert(same_content(place->target, place->new), "%s: idle: doesn't write $NEW", tool->name);

    prepare(place, tool);
    struct result idle = use(place, tool, WITH_SHIM, NULL);
    expect_same(tool, "idle with the shim", &expected, &idle);
    cr_expect_neq(access(place->log, F_OK), 0, "%s: an idle file is logged", tool->name);
    discard(&idle);

    prepare(place, tool);
    pid_t other = starts(tool) ? hold_until_tried(place->target, 30) : run_busy(place->target);
    struct result busy = use(place, tool, WITH_SHIM, NULL);
    expect_same(tool, "busy", &expected, &busy);
    discard(&busy);
    /* A line is written just behind the rename, perhaps by a process that outlives the command. */
    for (int tries = 0; tries < 20 && access(place->log, F_OK) < 0; tries++)
        usleep(10000);
    stop(other);
    if (access(place->log, F_OK) < 0 && !needs_no_help(place, tool, &expected))
        cr_expect(eventually(access(place->log, F_OK) == 0), "%s: succeeds on a busy file, and the log doesn't say how",
                  tool->name);
    json_object_put(log_lines(place));
    discard(&expected);
}

/* A new file appears under its name when it is complete, and not before: so it is documented. */
static bool looks_for_its_new_file(const struct tool *tool)
{
    return strstr(tool->name, "read while written") || strstr(tool->name, "while open");
}

/* Under the action atomic a file that isn't busy ends as in place, too: one that is there, and one that is new. */
static void try_atomic(struct place *place, const struct tool *tool)
{
    for (int is_new = 0; is_new < (looks_for_its_new_file(tool) ? 1 : 2); is_new++) {
        struct result results[2];
        for (int shim = WITHOUT_SHIM; shim <= WITH_SHIM; shim++) {
            prepare(place, tool);
            if (is_new)
                unlink(place->target);
            results[shim] = use(place, tool, shim, shim == WITH_SHIM ? ATOMIC : NULL);
        }
        if (results[0].status && results[1].status) { /* an error message may have a time or a number in it */
            free(results[1].err);
            results[1].err = strdup(results[0].err);
        }
        expect_same(tool, is_new ? "new, atomic" : "idle, atomic", &results[0], &results[1]);
        cr_expect_eq(log_count(place, "error", "ETXTBSY"), 0, "%s: an idle file is called busy", tool->name);
        discard(&results[0]);
        discard(&results[1]);
    }
}

/*
 * A sample does for `make test`: the first row of all that need the same programs, and some of the others. `make prove-tools`
 * takes all.
 */
#define SAMPLE 10

static bool is_sampled(size_t row)
{
    size_t first = 0;
    while (strcmp(tools[first].needs, tools[row].needs))
        first++;
    return first == row || row % SAMPLE == 0 || take_all();
}

/* With a list of names in TOOLS_TO_TEST, commas between them, only rows whose name starts with one of these words. */
static bool is_wanted(const struct tool *tool)
{
    const char *wanted = getenv("TOOLS_TO_TEST");
    for (const char *word = wanted; word && *word;) {
        size_t length = strcspn(word, ",");
        if (!strncmp(tool->name, word, length) && (tool->name[length] == '\0' || tool->name[length] == ' '))
            return true;
        word += length + (word[length] == ',');
    }
    return !wanted;
}

/* Rows are taken by the dozen: a process for each would cost more than the rows. */
#define DOZEN 12
#define DOZENS ((TOOLS + DOZEN - 1) / DOZEN)

ParameterizedTestParameters(tools, end_as_on_an_idle_file)
{
    static int numbers[DOZENS];
    for (size_t i = 0; i < DOZENS; i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, DOZENS);
}

ParameterizedTest(int *dozen, tools, end_as_on_an_idle_file, .timeout = 300)
{
    struct place place;
    place_make(&place);
    snprintf(script, sizeof script, "%s/script", place.root);
    for (size_t i = (size_t)*dozen; i < TOOLS; i += DOZENS) {
        char missing[100];
        if (!is_wanted(&tools[i]) || !is_sampled(i))
            continue;
        if (have_programs(tools[i].needs, missing)) {
            try_tool(&place, &tools[i]);
            if ((tools[i].kind == WRITE || tools[i].kind == CHANGE) && (i % SAMPLE == 0 || take_all()))
                try_atomic(&place, &tools[i]);
        } else {
            fprintf(stderr, "skipped: %s (there is no %s here)\n", tools[i].name, missing); /* cr_log_warn is a failure */
        }
    }
    place_remove(&place);
}
