/*
 * The command's reading of logs: lines that are good and lines that are hostile, files of all kinds, and the arithmetic on what
 * they say.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "../shim/cli/advice.h"
#include "../shim/cli/lines.h"
#include "../shim/cli/moment.h"
#include "../shim/cli/quantiles.h"
#include "../shim/cli/timeline.h"
#include "schema.h"

#define REQUIRED                                                                                                                   \
    "\"ts\":\"2026-11-22T15:48:32.463Z\",\"v\":1,\"event\":\"wait\",\"op\":\"execve\",\"outcome\":\"succeeded\",\"verdict\":"      \
    "\"transient\","                                                                                                               \
    "\"path\":\"/a\",\"target\":\"/b\""
#define GOOD "{" REQUIRED ",\"waited_ms\":1.500}"

/* ---- one line -------------------------------------------------------------------------------------------------------------- */

static char strings[1 << 20];

static const char *parse_bytes(struct line *line, const char *text, size_t length)
{
    struct json_tokener *tokener = line_tokener();
    struct line_room room = { strings, strings + length };
    const char *fault = line_parse(line, tokener, text, length, &room);
    json_tokener_free(tokener);
    return fault;
}

static const char *parse(struct line *line, const char *text)
{
    return parse_bytes(line, text, strlen(text));
}

Test(lines, a_line_of_the_first_version_is_understood)
{
    struct line line;
    cr_assert_null(parse(&line, GOOD), "%s", parse(&line, GOOD));
    cr_expect_eq(line.at_ms, 1795362512463);
    cr_expect_eq(line.operation, LINE_EXEC);
    cr_expect_eq(line.outcome, OUTCOME_SUCCEEDED);
    cr_expect_eq(line.verdict, VERDICT_TRANSIENT);
    cr_expect_eq(line.waited_us, 1500);
    cr_expect_str_eq(line.path, "/b");
    cr_expect_str_empty(line.unit);
    cr_expect_eq(line.holder_count, 0);
    cr_expect_eq(line.held_fd, -1);
}

Test(lines, fields_that_came_later_are_understood)
{
    struct line line;
    const char *fault =
        parse(&line, "{" REQUIRED ",\"waited_ms\":0,\"unit\":\"x.service\",\"boot_id\":\"b\",\"held_fd\":3,\"pid\":7,"
                     "\"old_inode\":18446744073709551615,\"bytes\":5,\"reason\":\"hard-links\",\"new_thing\":[{}],"
                     "\"holders\":[{\"pid\":12,\"comm\":\"cp\",\"exe\":\"/bin/cp\",\"uid\":0,\"started\":\"s\",\"how\":"
                     "\"write\",\"fd\":4},{},{},{},{},{}]}");
    cr_assert_null(fault, "%s", fault);
    cr_expect_str_eq(line.unit, "x.service");
    cr_expect_str_eq(line.boot_id, "b");
    cr_expect_str_eq(line.reason, "hard-links");
    cr_expect_eq(line.held_fd, 3);
    cr_expect_eq(line.old_inode, UINT64_MAX);
    cr_expect_eq(line.holder_count, LINE_HOLDERS);
    cr_expect_eq(line.holders[0].pid, 12);
    cr_expect_eq(line.holders[0].fd, 4);
    cr_expect_str_eq(line.holders[0].comm, "cp");
    cr_expect_str_eq(line.holders[0].how, "write");
    cr_expect_eq(line.holders[1].pid, -1);
}

Test(lines, the_exact_bytes_are_taken)
{
    struct line line;
    cr_assert_null(parse(&line, "{" REQUIRED ",\"waited_ms\":0,\"target_b64\":\"L3j/eQ==\"}"));
    cr_expect_str_eq(line.path, "/x\xffy");
}

Test(lines, words_of_a_newer_version_are_unknown_and_no_fault)
{
    struct line line;
    cr_assert_null(parse(&line,
                         "{\"ts\":\"2026-11-22T15:48:32.463Z\",\"v\":1,\"event\":\"x\",\"op\":\"openat\",\"outcome\":\"new\","
                         "\"verdict\":\"newer\",\"path\":\"\",\"target\":\"\",\"exe\":\"/bin/x\",\"waited_ms\":0}"));
    cr_expect_eq(line.outcome, OUTCOME_UNKNOWN);
    cr_expect_eq(line.verdict, VERDICT_UNKNOWN);
    cr_expect_str_eq(line.path, "/bin/x", "where there is no file, the program stands for it");
}

Test(lines, every_call_belongs_to_an_operation)
{
    static const struct {
        const char *event, *op, *action;
        enum line_operation operation;
    } calls[] = {
        { "wait", "execve", "retry", LINE_EXEC },
        { "wait", "fexecve", "retry", LINE_EXEC },
        { "wait", "posix_spawnp", "retry", LINE_EXEC },
        { "wait", "system", "retry", LINE_EXEC },
        { "wait", "syscall", "retry", LINE_EXEC },
        { "wait", "syscall", "redirect", LINE_WRITE },
        { "wait", "fopen64", "retry", LINE_WRITE },
        { "redirect", "close", "redirect", LINE_WRITE },
        { "redirect", "execve", "redirect", LINE_WRITE },
        { "pending", "dup2", "redirect", LINE_WRITE },
        { "wait", "posix_spawn_file_actions_addopen", "retry", LINE_WRITE },
        { "wait", "truncate64", "redirect", LINE_TRUNCATE },
        { "redirect", "truncate", "redirect", LINE_TRUNCATE },
        { "wait", "renameat2", "retry", LINE_RENAME },
        { "wait", "unlinkat", "retry", LINE_RENAME },
        { "config", "open", "none", LINE_OTHER },
        { "refuse", "syscall", "none", LINE_OTHER },
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct line line;
        char text[512];
        snprintf(text, sizeof text,
                 "{\"ts\":\"2026-11-22T15:48:32.463Z\",\"v\":1,\"event\":\"%s\",\"op\":\"%s\",\"outcome\":\"gave-up\",\"verdict\":"
                 "\"persistent\",\"path\":\"/a\",\"target\":\"/b\",\"waited_ms\":0,\"action\":\"%s\"}",
                 calls[i].event, calls[i].op, calls[i].action);
        cr_assert_null(parse(&line, text));
        cr_expect_eq(line.operation, calls[i].operation, "%s", text);
    }
}

Test(lines, what_is_wrong_is_said)
{
    static const struct {
        const char *text, *fault;
    } lines[] = {
        { "", "ends in the middle" },
        { "x", "unexpected" },
        { "null", "" },
        { "[]", "isn't a JSON object" },
        { "\"a\"", "isn't a JSON object" },
        { "{}", "is missing" },
        { "{" REQUIRED "}", "`waited_ms` is missing" },
        { "{" REQUIRED ",\"waited_ms\":1.5", "ends in the middle" },
        { "{" REQUIRED ",\"waited_ms\":1.5,}", "" },
        { GOOD "{", "" },
        { GOOD GOOD, "" },
        { "{" REQUIRED ",\"waited_ms\":NaN}", "" },
        { "{" REQUIRED ",\"waited_ms\":-1}", "possible time" },
        { "{" REQUIRED ",\"waited_ms\":1e300}", "possible time" },
        { "{" REQUIRED ",\"waited_ms\":99999999999999999999999999}", "possible time" },
        { "{" REQUIRED ",\"waited_ms\":\"1\"}", "possible time" },
        { "{" REQUIRED ",\"waited_ms\":1,\"pid\":-4}", "negative" },
        { "{" REQUIRED ",\"waited_ms\":1,\"pid\":1.5}", "whole number" },
        { "{" REQUIRED ",\"waited_ms\":1,\"pid\":{}}", "whole number" },
        { "{" REQUIRED ",\"waited_ms\":1,\"comm\":3}", "be a string" },
        { "{" REQUIRED ",\"waited_ms\":1,\"comm\":null}", "be a string" },
        { "{" REQUIRED ",\"waited_ms\":1,\"comm\":\"a\\u0000b\"}", "NUL" },
        { "{" REQUIRED ",\"waited_ms\":1,\"comm\":\"\xff\"}", "utf-8" },
        { "{" REQUIRED ",\"waited_ms\":1,\"target_b64\":\"*\"}", "base64" },
        { "{" REQUIRED ",\"waited_ms\":1,\"target_b64\":\"AAAA\"}", "NUL" },
        { "{" REQUIRED ",\"waited_ms\":1,\"holders\":{}}", "array" },
        { "{" REQUIRED ",\"waited_ms\":1,\"holders\":[1]}", "object" },
        { "{" REQUIRED ",\"waited_ms\":1,\"holders\":[{\"comm\":[]}]}", "be a string" },
        { "{" REQUIRED ",\"waited_ms\":1,\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", "nesting" },
        { "{" REQUIRED ",\"v\":2,\"waited_ms\":1}", "version" },
        { "{" REQUIRED ",\"v\":\"1\",\"waited_ms\":1}", "whole number" },
        { "{" REQUIRED ",\"ts\":\"yesterday\",\"waited_ms\":1}", "`ts`" },
        { "{" REQUIRED ",\"ts\":\"2026-13-22T15:48:32.463Z\",\"waited_ms\":1}", "`ts`" },
        { "{" REQUIRED ",\"ts\":4,\"waited_ms\":1}", "be a string" },
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct line line;
        const char *fault = parse(&line, lines[i].text);
        cr_assert_not_null(fault, "taken for good: %s", lines[i].text);
        cr_expect_not_null(strcasestr(fault, lines[i].fault), "\"%s\" isn't in \"%s\": %s", lines[i].fault, fault, lines[i].text);
    }
    struct line line;
    static const char nul[] = "{" REQUIRED ",\"waited_ms\":1,\"comm\":\"a\0b\"}";
    cr_expect_not_null(strstr(parse_bytes(&line, nul, sizeof nul - 1), "NUL"));
}

#define JOURNAL                                                                                                                    \
    "\"_PID\":\"14966\",\"MESSAGE\":\"/b was busy\",\"PRIORITY\":\"6\",\"SYSLOG_IDENTIFIER\":\"etxtbsy\",\"ETXTBSY_V\":\"1\","     \
    "\"ETXTBSY_TS\":\"2026-11-22T15:48:32.463Z\",\"ETXTBSY_EVENT\":\"wait\",\"ETXTBSY_OP\":\"execve\",\"ETXTBSY_OUTCOME\":\"gave-" \
    "up\","                                                                                                                        \
    "\"ETXTBSY_VERDICT\":\"persistent\",\"ETXTBSY_PATH\":\"123\",\"ETXTBSY_WAITED_MS\":\"2.500\",\"ETXTBSY_PID\":\"77\""

Test(lines, an_entry_of_the_journal_is_a_line)
{
    struct line line;
    const char *fault = parse(&line, "{" JOURNAL ",\"ETXTBSY_TARGET\":[47,120,27,91],\"ETXTBSY_COMM\":\"[x]\",\"ETXTBSY_HOLDERS\":"
                                     "\"[{\\\"pid\\\":5,\\\"comm\\\":\\\"cp\\\",\\\"how\\\":\\\"write\\\"}]\"}");
    cr_assert_null(fault, "%s", fault);
    cr_expect_eq(line.waited_us, 2500);
    cr_expect_eq(line.pid, 77);
    cr_expect_eq(line.verdict, VERDICT_PERSISTENT);
    cr_expect_str_eq(line.path, "/x\033[");
    cr_expect_str_eq(line.comm, "[x]", "a name that looks like an array stays a name");
    cr_expect_eq(line.holder_count, 1);
    cr_expect_str_eq(line.holders[0].comm, "cp");

    cr_expect_not_null(parse(&line, "{" JOURNAL ",\"ETXTBSY_TARGET\":[47,0,27]}"), "a NUL");
    cr_expect_not_null(parse(&line, "{" JOURNAL ",\"ETXTBSY_TARGET\":\"/a\",\"ETXTBSY_OLD_INODE\":\"12 x\"}"), "no number");
    cr_expect_not_null(parse(&line, "{" JOURNAL "}"), "no target");
    cr_expect_not_null(parse(&line, "{\"MESSAGE\":\"of somebody else\"}"));
}

/* A line cut anywhere is broken, and so is nearly any line with a wrong byte; none of them does harm. */
Test(lines, damage_does_no_harm)
{
    static const char good[] =
        "{" REQUIRED ",\"waited_ms\":1.5,\"holders\":[{\"pid\":1,\"comm\":\"x\"}],\"stage_b64\":\"L3j/eQ==\"}";
    struct line line;
    char damaged[sizeof good];
    cr_assert_null(parse(&line, good));
    for (size_t length = 0; length < sizeof good - 1; length++)
        cr_expect_not_null(parse_bytes(&line, good, length), "cut at %zu", length);
    for (size_t at = 0; at < sizeof good - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy(damaged, good, sizeof good);
            damaged[at] = (char)byte;
            parse_bytes(&line, damaged, sizeof good - 1);
        }
}

static bool is_one_of(const char *word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(words[i], word))
            return true;
    return false;
}

/* Whoever adds a word to the schema adds it here. */
Test(lines, every_word_of_the_schema_is_known)
{
    static const char *const fields[] = { "outcome", "verdict" };
    struct json_object *schema = schema_get(), *properties, *field, *words;
    cr_assert(schema && json_object_object_get_ex(schema, "properties", &properties));
    for (int i = 0; i < 2; i++) {
        cr_assert(json_object_object_get_ex(properties, fields[i], &field) && json_object_object_get_ex(field, "enum", &words));
        for (size_t w = 0; w < json_object_array_length(words); w++) {
            const char *word = json_object_get_string(json_object_array_get_idx(words, w));
            cr_expect(i ? is_one_of(word, line_verdicts, LINE_VERDICTS) : is_one_of(word, line_outcomes, LINE_OUTCOMES), "%s %s",
                      fields[i], word);
        }
    }
}

/* ---- advice ---------------------------------------------------------------------------------------------------------------- */

/* Lines of one file, with nothing in them but what they are given; then the advice. */
static struct tally *sums;

static void begin_sums(void)
{
    cr_assert_not_null(sums = calloc(1, sizeof *sums));
    tally_begin(sums);
}

static void add_lines(int count, enum line_verdict verdict, enum line_operation operation, const char *reason)
{
    struct line line = { .at_ms = 1,
                         .operation = operation,
                         .outcome = OUTCOME_GAVE_UP,
                         .verdict = verdict,
                         .waited_us = 2500000,
                         .path = "/a",
                         .host = "",
                         .comm = "cp",
                         .exe = "",
                         .unit = "",
                         .boot_id = "",
                         .reason = reason,
                         .error = "",
                         .stage = "" };
    while (count-- > 0)
        tally_add(sums, &line);
}

static void add_waiting(uint64_t waited_us)
{
    struct line line = { .at_ms = 1,
                         .operation = LINE_EXEC,
                         .outcome = OUTCOME_WAITING,
                         .verdict = VERDICT_TRANSIENT,
                         .waited_us = waited_us,
                         .path = "/a",
                         .host = "",
                         .comm = "sh",
                         .exe = "",
                         .unit = "",
                         .boot_id = "",
                         .reason = "",
                         .error = "",
                         .stage = "",
                         .holders = { { .comm = "rsync", .exe = "/usr/bin/rsync" } },
                         .holder_count = 1 };
    tally_add(sums, &line);
}

static void expect_advice(const char *expected)
{
    char *advice = advice_for(sums->groups[0]);
    if (!expected)
        cr_expect_null(advice, "%s", advice);
    else
        cr_expect(advice && strstr(advice, expected), "no \"%s\" in: %s", expected, advice);
    free(advice);
    tally_end(sums);
    free(sums);
}

/* Whatever the library gives as the reason for a refusal, there is something to do about it. */
Test(lines, there_is_a_remedy_for_each_reason)
{
    /* These never come with the verdict refused. */
    static const char *const others[] = { "self-held",       "not-trackable",   "target-unlinked",
                                          "target-replaced", "generation-name", "generation-link",
                                          "write-failed",    "writer-killed",   "configuration" };
    struct json_object *schema = schema_get(), *properties, *field, *words;
    cr_assert(schema && json_object_object_get_ex(schema, "properties", &properties));
    cr_assert(json_object_object_get_ex(properties, "reason", &field) && json_object_object_get_ex(field, "enum", &words));
    for (size_t i = 0; i < json_object_array_length(words); i++) {
        const char *reason = json_object_get_string(json_object_array_get_idx(words, i));
        char expected[64];
        if (is_one_of(reason, others, sizeof others / sizeof *others))
            continue;
        snprintf(expected, sizeof expected, "not replaced (%s): ", reason);
        begin_sums();
        add_lines(1, VERDICT_REFUSED, LINE_WRITE, reason);
        char *advice = advice_for(sums->groups[0]);
        cr_expect_null(strstr(advice, "see `reason`"), "%s", advice);
        free(advice);
        expect_advice(expected);
    }
}

/* The reason is that of the lines which the advice is about, however many others have one, too. */
Test(lines, advice_is_about_the_worst)
{
    begin_sums();
    add_lines(20, VERDICT_REPLACED, LINE_WRITE, "generation-link");
    add_lines(1, VERDICT_REFUSED, LINE_WRITE, "quota");
    add_lines(20, VERDICT_TRANSIENT, LINE_WRITE, "serialised");
    expect_advice("not replaced (quota): a quota leaves no room");
    begin_sums();
    add_lines(1, VERDICT_REFUSED, LINE_EXEC, "policy");
    expect_advice("not remedied (policy): the action is observe");
    begin_sums();
    add_lines(100, VERDICT_TRANSIENT, LINE_EXEC, "");
    expect_advice(NULL);
}

/* Wait or redesign: where nearly all waits were long enough, the bound is too low; where they weren't, the design is wrong. */
Test(lines, advice_tells_a_low_bound_from_a_wrong_design)
{
    begin_sums();
    add_lines(90, VERDICT_TRANSIENT, LINE_EXEC, "");
    add_lines(10, VERDICT_PERSISTENT, LINE_EXEC, "");
    expect_advice("10 of 100 gave up: the others got through by waiting, so raise max_wait of [exec] (2.50s was too short)");
    begin_sums();
    add_lines(80, VERDICT_TRANSIENT, LINE_EXEC, "");
    add_lines(20, VERDICT_PERSISTENT, LINE_EXEC, "");
    expect_advice("20 of 100 gave up: somebody (`etxtbsy who` names it) keeps it open for writing. Let it write another file");
}

/* Who is killed while he waits has left one line. A start of a static program says `waiting` at once, and then nothing. */
Test(lines, advice_names_who_held_up_a_wait_without_an_end)
{
    begin_sums();
    add_waiting(1000100);
    expect_advice("1 waited for a second or longer, and no line says how it ended");
    begin_sums();
    add_waiting(1000100);
    expect_advice(". rsync (/usr/bin/rsync) held it; `etxtbsy who`");
    begin_sums();
    add_waiting(1000100);
    add_lines(1, VERDICT_TRANSIENT, LINE_EXEC, "");
    expect_advice(NULL);
    begin_sums();
    add_waiting(100);
    expect_advice(NULL);

    /* It comes before what ended well. */
    begin_sums();
    struct line other = { .at_ms = 1,
                          .outcome = OUTCOME_REPLACED,
                          .verdict = VERDICT_REPLACED,
                          .path = "/0",
                          .host = "",
                          .comm = "",
                          .exe = "",
                          .unit = "",
                          .boot_id = "",
                          .reason = "",
                          .error = "",
                          .stage = "" };
    tally_add(sums, &other);
    add_waiting(1000100);
    tally_sort(sums);
    cr_expect_str_eq(sums->groups[0]->path, "/a");
    expect_advice("1 waited for a second or longer");
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

static char name[] = "/tmp/etxtbsy-lines-XXXXXX";

static void make_name(void)
{
    int fd = mkstemp(name);
    cr_assert_geq(fd, 0);
    close(fd);
}

static void remove_name(void)
{
    unlink(name);
}

TestSuite(lines, .init = make_name, .fini = remove_name);

struct seen {
    uint64_t count, sum;
    int64_t last_pid;
    bool ordered;
};

static void see(void *context, const struct line *line)
{
    struct seen *seen = context;
    seen->count++;
    seen->ordered = seen->ordered && line->pid > seen->last_pid;
    seen->last_pid = line->pid;
    seen->sum += line->waited_us;
}

struct reading {
    struct seen seen;
    uint64_t count, broken;
    bool whole;
    char *said;
};

/* Reads the file with stderr caught. */
static struct reading read_name(void)
{
    struct reading reading = { .seen = { .ordered = true, .last_pid = -2 } };
    struct lines *lines = lines_begin(see, &reading.seen);
    FILE *said = tmpfile();
    int saved = dup(2);
    dup2(fileno(said), 2);
    reading.whole = lines_read(lines, name);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    reading.count = lines_count(lines);
    reading.broken = lines_broken(lines);
    lines_end(lines);
    rewind(said);
    size_t size = 0;
    if (getdelim(&reading.said, &size, '\0', said) < 0)
        reading.said = strdup("");
    fclose(said);
    return reading;
}

static void write_name(const char *text, size_t length)
{
    FILE *file = fopen(name, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, length, file), length);
    fclose(file);
}

static void write_gzip(const char *mode, int from, int to)
{
    gzFile file = gzopen(name, mode);
    for (int i = from; i < to; i++)
        gzprintf(file, "{" REQUIRED ",\"waited_ms\":0.001,\"pid\":%d}\n", i);
    cr_assert_eq(gzclose(file), Z_OK);
}

Test(lines, many_lines_come_in_order)
{
    FILE *file = fopen(name, "w");
    for (int i = 0; i < 50000; i++)
        fprintf(file, "{" REQUIRED ",\"waited_ms\":0.001,\"pid\":%d,\"comm\":\"%*s\"}\n", i, i % 700, "");
    fclose(file);
    struct reading reading = read_name();
    cr_expect(reading.whole && reading.seen.ordered);
    cr_expect_eq(reading.seen.count, 50000);
    cr_expect_eq(reading.seen.sum, 50000);
    cr_expect_eq(reading.broken, 0);
    cr_expect_str_empty(reading.said);
}

Test(lines, gzip_is_known_by_its_content)
{
    write_gzip("w", 0, 3000);
    write_gzip("a", 3000, 6000); /* a second member, as when rotated logs are put together by cat */
    struct reading reading = read_name();
    cr_expect(reading.whole && reading.seen.ordered);
    cr_expect_eq(reading.seen.count, 6000);
}

Test(lines, gzip_that_ends_in_the_middle_is_said)
{
    write_gzip("w", 0, 3000);
    cr_assert_eq(truncate(name, 3000), 0);
    struct reading reading = read_name();
    cr_expect_not(reading.whole);
    cr_expect_gt(reading.seen.count, 10, "what was there before is used");
    cr_expect_not_null(strstr(reading.said, "end in the middle"), "%s", reading.said);
}

Test(lines, gzip_with_a_wrong_byte_is_said)
{
    write_gzip("w", 0, 3000);
    int fd = open(name, O_WRONLY);
    cr_assert_eq(pwrite(fd, "\xff\xff\xff\xff\xff\xff", 6, 2000), 6);
    close(fd);
    struct reading reading = read_name();
    cr_expect_not(reading.whole);
    cr_expect_not_null(strstr(reading.said, name), "%s", reading.said);
}

Test(lines, a_broken_line_is_named_and_passed_over)
{
    static const char text[] = GOOD "\n\n" GOOD "\nx\n" GOOD "\n" GOOD; /* an empty one, a broken one, and one without an end */
    char expected[128];
    write_name(text, sizeof text - 1);
    struct reading reading = read_name();
    snprintf(expected, sizeof expected, "%s:4: ", name);
    cr_expect(reading.whole);
    cr_expect_eq(reading.seen.count, 4);
    cr_expect_eq(reading.broken, 1);
    cr_expect_eq(reading.count, 5);
    cr_expect_eq(strncmp(reading.said, expected, strlen(expected)), 0, "%s", reading.said);
}

Test(lines, many_broken_lines_are_counted_and_not_all_named)
{
    char text[20000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? '\n' : 'x';
    write_name(text, sizeof text);
    struct reading reading = read_name();
    cr_expect_eq(reading.broken, 10000);
    cr_expect_lt(strlen(reading.said), 4000);
    cr_expect_not_null(strstr(reading.said, "and 9980 more broken lines"), "%s", reading.said);
}

Test(lines, a_line_of_a_megabyte_is_broken_once)
{
    static char text[3 << 20];
    size_t length = 0, good = strlen(GOOD "\n");
    char expected[128];
    memcpy(text, GOOD "\n", good);
    length = good;
    memset(text + length, 'x', 2 << 20);
    length += 2 << 20;
    text[length++] = '\n';
    memcpy(text + length, GOOD "\n", good);
    length += good;
    write_name(text, length);
    struct reading reading = read_name();
    snprintf(expected, sizeof expected, "%s:2: the line is longer", name);
    cr_expect_eq(reading.seen.count, 2);
    cr_expect_eq(reading.broken, 1);
    cr_expect_eq(strncmp(reading.said, expected, strlen(expected)), 0, "%s", reading.said);

    write_name(text + good, (2 << 20)); /* no end at all */
    reading = read_name();
    cr_expect_eq(reading.broken, 1, "%s", reading.said);
}

/* Every length around the reader's blocks: no line is lost or cut where one block ends and the next begins. */
Test(lines, lines_of_any_length_are_whole)
{
    static char line[LINE_SIZE_MAX + 16];
    for (int pad = LINE_SIZE_MAX - 400; pad <= LINE_SIZE_MAX; pad += 97) {
        FILE *file = fopen(name, "w");
        int length = snprintf(line, sizeof line, "{" REQUIRED ",\"waited_ms\":0.001,\"x\":\"%*s\"}\n", pad - 200, "");
        for (int i = 0; i < 7; i++)
            fprintf(file, "%s{" REQUIRED ",\"waited_ms\":0.001}\n", line);
        fclose(file);
        struct reading reading = read_name();
        cr_expect_eq(reading.seen.count, length - 1 > LINE_SIZE_MAX ? 7 : 14, "%d: %s", length, reading.said);
        cr_expect_eq(reading.count, 14);
    }
}

Test(lines, binary_rubbish_does_no_harm)
{
    static char text[1 << 20];
    srand(1);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)rand();
    write_name(text, sizeof text);
    struct reading reading = read_name();
    cr_expect_eq(reading.seen.count, 0);
    cr_expect_gt(reading.broken, 100);
    for (const char *at = reading.said; *at; at++)
        cr_assert(*at == '\n' || (unsigned char)*at >= 0x20, "a control character comes to the terminal");
}

/* ---- moments --------------------------------------------------------------------------------------------------------------- */

#define NOW INT64_C(1795362512463) /* 2026-11-22T15:48:32.463Z */

Test(moment, is_read_as_a_person_gives_it)
{
    static const struct {
        const char *text;
        int64_t ms;
    } moments[] = {
        { "2026-11-22T15:48:32.463Z", NOW },
        { "2026-11-22 15:48:32Z", NOW - 463 },
        { "2026-11-22 15:48:32.5Z", NOW + 37 },
        { "2026-11-22T16:48:32+01:00", NOW - 463 },
        { "2026-11-22T10:18:32-0530", NOW - 463 },
        { "2026-11-22 15:48:32", NOW - 463 },
        { "2026-11-22 15:48", NOW - 32463 },
        { "2026-11-22", NOW - 56912463 },
        { "today", NOW - 56912463 },
        { "yesterday", NOW - 56912463 - 86400000 },
        { "now", NOW },
        { "2h ago", NOW - 7200000 },
        { "-2h", NOW - 7200000 },
        { "2 hours ago", NOW - 7200000 },
        { "1d 12h ago", NOW - 129600000 },
        { "-90min", NOW - 5400000 },
        { "-30s", NOW - 30000 },
        { "1week ago", NOW - 604800000 },
        { "@1795362512", NOW - 463 },
        { "2024-02-29", INT64_C(1709164800000) },
    };
    setenv("TZ", "UTC", 1);
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        int64_t ms = 0;
        cr_expect(moment_read(moments[i].text, NOW, &ms), "\"%s\" isn't understood", moments[i].text);
        cr_expect_eq(ms, moments[i].ms, "%s: %lld instead of %lld", moments[i].text, (long long)ms, (long long)moments[i].ms);
    }
}

Test(moment, local_time_is_local)
{
    int64_t ms;
    setenv("TZ", "XXX-3", 1); /* three hours east */
    cr_assert(moment_read("2026-11-22 18:48:32", NOW, &ms));
    cr_expect_eq(ms, NOW - 463);
}

Test(moment, nonsense_is_refused)
{
    static const char *const texts[] = { "",
                                         "2h",
                                         "ago",
                                         "-",
                                         "--2h",
                                         "2h agO",
                                         "2x ago",
                                         "-2h ago",
                                         "2026",
                                         "2026-1-2",
                                         "2026-13-01",
                                         "2026-11-22T",
                                         "2026-11-22 25:00",
                                         "2026-11-22 15:48 ",
                                         "@",
                                         "@12x",
                                         "tomorrow",
                                         "99999999999h ago",
                                         "2026-11-22x",
                                         "2026-11-22 15:48:32+1",
                                         "@-5" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int64_t ms;
        cr_expect_not(moment_read(texts[i], NOW, &ms), "\"%s\" is taken", texts[i]);
    }
}

Test(moment, is_written_as_in_the_log)
{
    char text[MOMENT_SIZE];
    int64_t ms;
    moment_write(text, NOW, true);
    cr_expect_str_eq(text, "2026-11-22T15:48:32.463Z");
    cr_expect(moment_read_stamp(text, strlen(text), &ms) && ms == NOW);
    moment_write(text, NOW, false);
    cr_expect_str_eq(text, "2026-11-22T15:48:32Z");
    moment_write(text, -1, true);
    cr_expect_str_eq(text, "1969-12-31T23:59:59.999Z");
}

/* ---- quantiles ------------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return one < other ? -1 : one > other;
}

Test(quantiles, are_right_within_their_promise)
{
    static uint64_t values[20000];
    struct quantiles quantiles = { 0 };
    const size_t count = sizeof values / sizeof *values;
    srand(2);
    for (size_t i = 0; i < count; i++) {
        values[i] = i % 5 ? (uint64_t)rand() % (UINT64_C(1) << (rand() % 40)) : 0; /* all magnitudes, and many zeros */
        quantiles_add(&quantiles, values[i]);
    }
    qsort(values, count, sizeof *values, by_value);
    for (unsigned of_thousand = 1; of_thousand <= 1000; of_thousand++) {
        uint64_t exact = values[(count * of_thousand + 999) / 1000 - 1], found = quantiles_at(&quantiles, of_thousand);
        cr_assert(found >= exact && (double)found <= (double)exact * 1.032, "%u: %llu for %llu", of_thousand,
                  (unsigned long long)found, (unsigned long long)exact);
    }
    cr_expect_eq(quantiles_at(&quantiles, 1000), quantiles.max);
    quantiles_free(&quantiles);
}

Test(quantiles, of_nothing_little_and_too_much)
{
    struct quantiles none = { 0 }, one = { 0 }, huge = { 0 };
    cr_expect_eq(quantiles_at(&none, 500), 0);
    quantiles_add(&one, 31);
    cr_expect_eq(quantiles_at(&one, 1), 31);
    quantiles_add(&huge, UINT64_MAX);
    quantiles_add(&huge, 0);
    cr_expect_eq(quantiles_at(&huge, 500), 0);
    cr_expect_gt(quantiles_at(&huge, 1000), UINT64_C(1) << 50);
    quantiles_free(&one);
    quantiles_free(&huge);
}

/* ---- the timeline ---------------------------------------------------------------------------------------------------------- */

static void add_at(struct timeline *timeline, int64_t ms, uint64_t waited_us)
{
    struct line line = { .at_ms = ms, .verdict = VERDICT_PERSISTENT, .waited_us = waited_us };
    timeline_add(timeline, &line);
}

static uint64_t sum_of(const struct timeline *timeline, int columns)
{
    uint64_t sum = 0;
    for (int i = 0; i < columns; i++)
        sum += timeline->columns[i].verdicts[VERDICT_PERSISTENT];
    return sum;
}

Test(timeline, loses_nothing_in_any_direction)
{
    for (int direction = 0; direction < 3; direction++) {
        struct timeline timeline = { 0 }, fitted;
        srand(3);
        for (int64_t i = 0; i < 3000; i++) /* forwards, backwards, and everywhere: years */
            add_at(&timeline,
                   direction == 0   ? NOW + i * i * 1000
                   : direction == 1 ? NOW - i * i * 1000
                                    : (int64_t)rand() * 1000,
                   0);
        int columns = timeline_fit(&timeline, &fitted, 50);
        cr_expect(columns > 25 && columns <= 50, "%d", columns);
        cr_expect_eq(sum_of(&fitted, columns), 3000);
        cr_expect_gt(fitted.columns[0].waits[0], 0);
        cr_expect_gt(fitted.columns[columns - 1].waits[0], 0);
        timeline_free(&fitted);
        timeline_free(&timeline);
    }
}

Test(timeline, knows_when_and_how_long)
{
    struct timeline timeline = { 0 }, fitted;
    add_at(&timeline, 1000000, 0);
    add_at(&timeline, 1000150, 999);
    add_at(&timeline, 1000250, 1000);
    add_at(&timeline, 1000250, 9999999);
    add_at(&timeline, 1000250, 10000000);
    cr_assert_eq(timeline_fit(&timeline, &fitted, 60), 3);
    cr_expect_eq(fitted.first * fitted.width_ms, 1000000);
    cr_expect_eq(fitted.columns[0].waits[0], 1);
    cr_expect_eq(fitted.columns[1].waits[1], 1);
    cr_expect_eq(fitted.columns[2].waits[2], 1);
    cr_expect_eq(fitted.columns[2].waits[5], 1);
    cr_expect_eq(fitted.columns[2].waits[6], 1);
    timeline_free(&fitted);
    timeline_free(&timeline);
}
