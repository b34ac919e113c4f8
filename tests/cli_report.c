/*
 * `etxtbsy report` on what the library really logs: a small storm, and what can be made of its lines (other hosts, other times, a
 * unit, damage).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#define STORM BUILD_DIR "/tests/conflicts"
#define CONFLICTS "500"

static struct place place;

/* A log of every kind of conflict, in $LOG. */
static void make_log(void)
{
    place_make(&place);
    const char *const argv[] = { STORM, TARGET_PROGRAM, place.directory, CONFLICTS, NULL };
    int status = run_program_with(&place, WITH_SHIM, NULL, argv);
    cr_assert_eq(status, 0, "%d: %s", status, read_file(place.err, NULL));
    cr_assert_eq(litter_count(&place), 0);
    cr_assert_eq(chdir(place.directory), 0);
    setenv("LOG", place.log, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
}

static void remove_log(void)
{
    cr_assert_eq(chdir("/"), 0);
    place_remove(&place);
}

TestSuite(report, .init = make_log, .fini = remove_log);

static int shell(const char *command)
{
    return status_code(run_shell(&place, WITHOUT_SHIM, NULL, command));
}

static char *output(void)
{
    return read_file(place.out, NULL);
}

static char *errors(void)
{
    return read_file(place.err, NULL);
}

#define EXPECT_TEXT(text, part) cr_expect_not_null(strstr(text, part), "no \"%s\" in: %s", part, text)
#define EXPECT_NO_TEXT(text, part) cr_expect_null(strstr(text, part), "\"%s\" in: %s", part, text)

static struct json_object *json_of(const char *command)
{
    int status = shell(command);
    cr_assert_leq(status, 1, "%s: %d: %s", command, status, errors());
    struct json_object *report = json_tokener_parse(output());
    cr_assert_not_null(report, "not JSON: %s", output());
    return report;
}

static struct json_object *field(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    json_object_object_get_ex(object, name, &value);
    return value;
}

static int64_t number(struct json_object *object, const char *name)
{
    return json_object_get_int64(field(object, name));
}

/* The sum of one word in `outcomes` or `verdicts` over all groups. */
static int64_t sum(struct json_object *report, const char *counts, const char *word)
{
    struct json_object *groups = field(report, "groups");
    int64_t total = 0;
    for (size_t i = 0; i < json_object_array_length(groups); i++)
        total += number(field(json_object_array_get_idx(groups, i), counts), word);
    return total;
}

static struct json_object *group_of(struct json_object *report, const char *file, const char *operation)
{
    char path[PATH_MAX];
    struct json_object *groups = field(report, "groups");
    snprintf(path, sizeof path, "%s/%s", place.directory, file);
    for (size_t i = 0; i < json_object_array_length(groups); i++) {
        struct json_object *group = json_object_array_get_idx(groups, i);
        if (!strcmp(line_string(group, "path"), path) && !strcmp(line_string(group, "operation"), operation))
            return group;
    }
    cr_assert_fail("no group for %s of %s", operation, path);
    return NULL;
}

/* The report's sums are the log's, counted another way. */
Test(report, counts_every_line)
{
    static const char *const words[][2] = {
        { "outcome", "succeeded" }, { "outcome", "unchanged" },  { "outcome", "replaced" },  { "outcome", "gave-up" },
        { "verdict", "transient" }, { "verdict", "persistent" }, { "verdict", "self-held" }, { "verdict", "refused" },
    };
    struct json_object *report = json_of("$BUILD/etxtbsy report --json $LOG"), *lines = log_lines(&place);
    int64_t count = (int64_t)json_object_array_length(lines);
    cr_expect_gt(count, 450);
    cr_expect_eq(number(report, "lines"), count);
    cr_expect_eq(number(report, "matched"), count);
    cr_expect_eq(number(report, "broken"), 0);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        int64_t expected = (int64_t)log_count(&place, words[i][0], words[i][1]);
        cr_expect_eq(sum(report, i < 4 ? "outcomes" : "verdicts", words[i][1]), expected, "%s", words[i][1]);
        cr_expect_gt(expected, 0, "the storm has no %s", words[i][1]);
    }
}

/* Quantiles, maximum and the columns of time, for one group, against its lines. */
Test(report, waits_are_those_of_the_lines)
{
    struct json_object *report = json_of("$BUILD/etxtbsy report --json --path 'given-up-*' $LOG"), *lines = log_lines(&place);
    struct json_object *group = group_of(report, "given-up-0", "exec"), *waits = field(group, "waited_ms");
    double max = 0, p50 = json_object_get_double(field(waits, "p50"));
    size_t below = 0, count = 0, in_columns = 0;
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        struct json_object *line = json_object_array_get_idx(lines, i);
        double waited = json_object_get_double(field(line, "waited_ms"));
        if (strcmp(line_string(line, "target"), line_string(group, "path")))
            continue;
        max = waited > max ? waited : max;
        below += waited <= p50;
        count++;
    }
    cr_expect_eq(number(group, "count"), (int64_t)count);
    cr_expect_float_eq(json_object_get_double(field(waits, "max")), max, 0.0011);
    cr_expect_geq(2 * below, count, "half of them waited no longer than p50");
    cr_expect_leq(p50, json_object_get_double(field(waits, "p90")));
    cr_expect_leq(json_object_get_double(field(waits, "p99")), max + 0.0011);

    struct json_object *timeline = field(report, "timeline");
    for (size_t i = 0; i < json_object_array_length(timeline); i++) {
        struct json_object *column = json_object_array_get_idx(timeline, i);
        const char *seconds = json_object_get_string(field(column, "seconds")), *point = strchr(seconds, '.');
        in_columns += (size_t)number(field(column, "verdicts"), "persistent");
        cr_expect(point && strlen(point) == 4, "not to the millisecond: %s", seconds);
    }
    cr_expect_eq((int64_t)in_columns, sum(report, "verdicts", "persistent"));
}

Test(report, is_a_table_with_advice_and_the_waits_over_time)
{
    cr_assert_eq(shell("$BUILD/etxtbsy report $LOG"), 0);
    char *table = output(), path[PATH_MAX];
    snprintf(path, sizeof path, "\n%s/given-up-0\n  exec ", place.directory);
    EXPECT_TEXT(table, "  OPERATION     COUNT       p50       p90       p99       max  VERDICT     HELD BY         OUTCOMES\n");
    EXPECT_TEXT(table, path);
    EXPECT_TEXT(table, "gave up: ");
    EXPECT_TEXT(table, "keeps it open for writing");
    EXPECT_TEXT(table, "conflicts has it open for writing itself (descriptor ");
    EXPECT_TEXT(table, "not replaced (hard-links): the file has other names");
    EXPECT_TEXT(table, "Waits over time");
    EXPECT_TEXT(table, "   < 10 ms |");
    EXPECT_TEXT(table, "\xe2\x96\x88");
    EXPECT_NO_TEXT(table, "\033");

    /* The worst come first. */
    cr_expect_lt(strstr(table, "given-up-0"), strstr(table, "self-held-0"));
    cr_expect_lt(strstr(table, "self-held-0"), strstr(table, "refused-0"));
    cr_expect_lt(strstr(table, "refused-0"), strstr(table, "replaced-0"));

    /* Where the columns are fewer than the two times take. */
    cr_assert_eq(shell("head -1 $LOG | $BUILD/etxtbsy report - | tail -1 | grep -E '^ +[0-9T:.-]+Z to [0-9T:.-]+Z$'"), 0, "%s",
                 output());

    cr_assert_eq(shell("LC_ALL=C $BUILD/etxtbsy report $LOG"), 0);
    for (const char *at = output(); *at; at++)
        cr_assert_geq(*at, 0, "bytes that the locale can't show");
}

/* Numbers stand below their headings, whatever they are. */
Test(report, columns_are_aligned)
{
    cr_assert_eq(shell("$BUILD/etxtbsy report $LOG | grep -E '^  (OPERATION|exec|write|truncate|rename) '"), 0);
    char *table = output(), *heading = strstr(table, "COUNT");
    cr_assert_not_null(heading);
    const size_t count = (size_t)(heading - table) + 5, verdict = (size_t)(strstr(table, "VERDICT") - table);
    int rows = 0;
    for (char *line = strtok(table, "\n"); (line = strtok(NULL, "\n")); rows++) {
        cr_expect(line[count - 1] >= '0' && line[count - 1] <= '9' && line[count] == ' ', "%s", line);
        cr_expect(line[verdict] != ' ' && line[verdict - 1] == ' ', "%s", line);
    }
    cr_expect_gt(rows, 10);
}

Test(report, colours_are_for_terminals)
{
    char missing[100];
    if (!have_programs("script", missing))
        cr_skip_test("there is no script(1)");
    cr_assert_eq(shell("TERM=xterm script -qec \"$BUILD/etxtbsy report $LOG\" /dev/null"), 0);
    EXPECT_TEXT(output(), "\033[1m");
    EXPECT_TEXT(output(), "\033[31m");
    cr_assert_eq(shell("NO_COLOR=1 TERM=xterm script -qec \"$BUILD/etxtbsy report $LOG\" /dev/null"), 0);
    EXPECT_NO_TEXT(output(), "\033");
    EXPECT_TEXT(output(), "OPERATION");
}

/* One log as a file, gzip'd, in two halves, from standard input: always the same report. */
Test(report, reads_files_of_any_kind)
{
    static const char *const commands[] = {
        "gzip -k $LOG; $BUILD/etxtbsy report --json $LOG.gz",
        "split -n l/3 $LOG $LOG.; gzip $LOG.ab; $BUILD/etxtbsy report --json $LOG.aa $LOG.ab.gz $LOG.ac",
        "$BUILD/etxtbsy report --json - < $LOG",
        "cat $LOG | $BUILD/etxtbsy report --json -",
        "gzip -c $LOG | $BUILD/etxtbsy report --json -",
        "ETXTBSY_LOG=stderr,$LOG $BUILD/etxtbsy report --json",
        "taskset -c 0 $BUILD/etxtbsy report --json $LOG",
    };
    cr_assert_eq(shell("$BUILD/etxtbsy report --json $LOG"), 0);
    char *expected = output();
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        cr_expect_eq(shell(commands[i]), 0, "%s: %s", commands[i], errors());
        cr_expect_str_eq(output(), expected, "%s", commands[i]);
    }
}

Test(report, says_what_it_cannot_read)
{
    cr_expect_eq(shell("$BUILD/etxtbsy report /nonexistent/log"), 2);
    EXPECT_TEXT(errors(), "/nonexistent/log: No such file");
    cr_expect_eq(shell("$BUILD/etxtbsy report /nonexistent/log $LOG"), 2, "one can't be read, the others are");
    EXPECT_TEXT(output(), "given-up-0");
    cr_expect_eq(shell("$BUILD/etxtbsy report $(dirname $LOG)"), 2);
    EXPECT_TEXT(errors(), "Is a directory");
    cr_expect_eq(shell("ETXTBSY_LOG=stderr $BUILD/etxtbsy report"), 2);
    EXPECT_TEXT(errors(), "names no file");
    cr_expect_eq(shell("ETXTBSY_LOG=/nonexistent/log $BUILD/etxtbsy report"), 0, "nothing was logged yet");
    cr_expect_eq(shell("$BUILD/etxtbsy report --since never $LOG"), 2);
    EXPECT_TEXT(errors(), "etxtbsy: --since is a time such as ");
    EXPECT_TEXT(errors(), ", not \"never\"\n");
    cr_expect_eq(shell("$BUILD/etxtbsy report --json --html - $LOG"), 2);
    cr_expect_eq(shell("$BUILD/etxtbsy report --frob $LOG"), 2);
    cr_expect_eq(shell("$BUILD/etxtbsy report $LOG > /dev/full"), 2);
    cr_expect_eq(shell("$BUILD/etxtbsy report --html /nonexistent/page $LOG"), 2);
    cr_expect_eq(shell("$BUILD/etxtbsy report --help"), 0);
    EXPECT_TEXT(output(), "Exit status: 0");
}

Test(report, names_broken_lines_and_passes_over_them)
{
    char expected[PATH_MAX + 32];
    cr_assert_eq(shell("cut -c1-100 $LOG | head -1 > bad; head -3 $LOG >> bad; printf 'a\\033[31mb\\n' >> bad; "
                       "$BUILD/etxtbsy report --json bad"),
                 1);
    struct json_object *report = json_tokener_parse(output());
    cr_expect_eq(number(report, "broken"), 2);
    cr_expect_eq(number(report, "matched"), 3);
    snprintf(expected, sizeof expected, "bad:1: ");
    EXPECT_TEXT(errors(), expected);
    EXPECT_TEXT(errors(), "bad:5: ");
    cr_expect_eq(shell("$BUILD/etxtbsy report bad"), 1);
    EXPECT_TEXT(output(), "2 broken lines were passed over");
    EXPECT_NO_TEXT(errors(), "\033");
}

Test(report, chooses_by_time)
{
    /* Ten lines each from one, five and 49 hours ago. */
    cr_assert_eq(
        shell("for h in 1 5 49; do head -10 $LOG | sed \"s/\\\"ts\\\":\\\"[^\\\"]*/\\\"ts\\\":\\\"$(date -u -d \"$h hours ago\" "
              "+%FT%T.000Z)/\"; done > times"),
        0);
    static const struct {
        const char *options;
        int64_t matched;
    } choices[] = {
        { "", 30 },
        { "--since '2h ago'", 10 },
        { "--since -6h", 20 },
        { "--since -3d --until '6 hours ago'", 10 },
        { "--until -2d", 10 },
        { "--since 2h\\ ago --until -2h", 0 },
        { "--since $(date +%F -d tomorrow)", 0 },
        { "--since \"$(date '+%F %T' -d '90 minutes ago')\"", 10 },
        { "--since $(date -u +%FT%TZ -d '90 minutes ago')", 10 },
    };
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        char command[512];
        snprintf(command, sizeof command, "$BUILD/etxtbsy report --json times %s", choices[i].options);
        struct json_object *report = json_of(command);
        cr_expect_eq(number(report, "matched"), choices[i].matched, "%s: %lld", choices[i].options,
                     (long long)number(report, "matched"));
    }
}

Test(report, chooses_by_path_and_unit)
{
    struct json_object *report = json_of("$BUILD/etxtbsy report --json --path 'refused-?' $LOG");
    cr_expect_gt(number(report, "matched"), 0);
    cr_expect_eq(number(report, "matched"), sum(report, "verdicts", "refused"));
    cr_expect_eq(number(json_of("$BUILD/etxtbsy report --json --path '/nowhere/**' $LOG"), "matched"), 0);
    cr_expect_gt(number(json_of("$BUILD/etxtbsy report --json --path '/**/refused-0' $LOG"), "matched"), 0);

    cr_assert_eq(shell("head -10 $LOG | sed 's/^{/{\"unit\":\"deploy.service\",/' > units; head -5 $LOG >> units"), 0);
    cr_expect_eq(number(json_of("$BUILD/etxtbsy report --json --unit deploy.service units"), "matched"), 10);
    cr_expect_eq(number(json_of("$BUILD/etxtbsy report --json --unit deploy units"), "matched"), 10);
    cr_expect_eq(number(json_of("$BUILD/etxtbsy report --json --unit 'dep*' units"), "matched"), 10);
    cr_expect_eq(number(json_of("$BUILD/etxtbsy report --json --unit depl units"), "matched"), 0);
}

Test(report, knows_several_hosts_and_holders)
{
    cr_assert_eq(shell("head -20 $LOG | sed 's/\"host\":\"[^\"]*/\"host\":\"alpha/' > a; head -30 $LOG | sed "
                       "'s/\"host\":\"[^\"]*/\"host\":\"beta/; s/\"holders\":[^]]*],//; "
                       "s/^{/{\"holders\":[{\"pid\":1,\"comm\":\"rsync\",\"exe\":\"\\/usr\\/bin\\/rsync\"}],/' > b"),
                 0);
    struct json_object *report = json_of("$BUILD/etxtbsy report --json a b");
    struct json_object *hosts = field(report, "hosts"), *group = json_object_array_get_idx(field(report, "groups"), 0);
    cr_assert_eq(json_object_array_length(hosts), 2);
    cr_expect_str_eq(line_string(json_object_array_get_idx(hosts, 0), "name"), "alpha");
    cr_expect_eq(number(json_object_array_get_idx(hosts, 0), "count"), 20);
    cr_expect_eq(number(json_object_array_get_idx(hosts, 1), "count"), 30);
    cr_expect_not_null(strstr(json_object_to_json_string(field(group, "holders")), "rsync (\\/usr\\/bin\\/rsync)"), "%s",
                       json_object_to_json_string(group));
    cr_assert_eq(shell("$BUILD/etxtbsy report a b"), 0);
    EXPECT_TEXT(output(), "2 hosts: beta and others");
    EXPECT_TEXT(output(), " rsync  ");
}

/* What the library sent to a real systemd-journald, on a /run of its own, is what it wrote to a file. */
static const char journal[] =
    "mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal || exit 90; "
    "/lib/systemd/systemd-journald > journald 2>&1 & daemon=$!; "
    "for i in $(seq 50); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done; "
    "mkdir again; LD_PRELOAD=$BUILD/libetxtbsy.so ETXTBSY_LOG=journal,$LOG.too " STORM " " TARGET_PROGRAM " again 100 || exit 91; "
    "$BUILD/etxtbsy report --json $LOG.too > expected; count=$(wc -l < $LOG.too); "
    "for i in $(seq 50); do [ $(journalctl -q SYSLOG_IDENTIFIER=etxtbsy | wc -l) = $count ] && break; sleep 0.1; done; "
    "$BUILD/etxtbsy report --journal --json > found; status=$?; "
    "$BUILD/etxtbsy report --journal --json --since -1h > since; $BUILD/etxtbsy report --journal --json --until -1h > until; "
    "kill $daemon; exit $status";

Test(report, reads_the_journal, .timeout = 60)
{
    char missing[100];
    if (!have_programs("unshare journalctl /lib/systemd/systemd-journald", missing) || getuid() != 0 ||
        shell("unshare -m mount -t tmpfs none /run") != 0) {
        fprintf(stderr, "skipped: no journald can be run here\n");
        return;
    }
    if (shell("$BUILD/etxtbsy run --log journal true") != 0) {
        fprintf(stderr, "skipped: this library has no journal to send to\n");
        return;
    }
    const char *const argv[] = { "unshare", "-m", "sh", "-c", journal, NULL };
    int status = status_code(run_program_with(&place, WITHOUT_SHIM, NULL, argv));
    cr_assert_eq(status, 0, "%d: %s%s", status, errors(), read_file("journald", NULL));
    cr_expect_str_eq(read_file("found", NULL), read_file("expected", NULL));
    cr_expect_str_eq(read_file("since", NULL), read_file("expected", NULL));
    cr_expect_eq(number(json_tokener_parse(read_file("until", NULL)), "matched"), 0);
}

Test(report, says_that_there_is_no_journal)
{
    cr_expect_eq(shell("PATH=/nonexistent $BUILD/etxtbsy report --journal"), 2);
    EXPECT_TEXT(errors(), "journalctl: No such file");
}

/* More files than there is room for: the first ones keep their groups, and nothing is lost from the sums. */
Test(report, has_bounds)
{
    cr_assert_eq(shell("line=$(grep -m1 gave-up $LOG); for i in $(seq 5100); do printf '%s\\n' \"$line\"; done | "
                       "awk '{gsub(/\"target\":\"[^\"]*/, \"\\\"target\\\":\\\"/many/\" NR); print}' > many"),
                 0);
    struct json_object *report = json_of("$BUILD/etxtbsy report --json many");
    cr_expect_eq(json_object_array_length(field(report, "groups")), 5000);
    cr_expect_eq(number(field(report, "rest"), "count"), 100);
    cr_assert_eq(shell("$BUILD/etxtbsy report many"), 0);
    EXPECT_TEXT(output(), "of more than 5000 groups, the others together");
    EXPECT_TEXT(output(), "and 4950 more groups");
}

/* The log again, with a path that would be a tag, an attribute, a terminal's command, and a text that runs backwards. */
static void make_hostile(void)
{
    struct json_object *lines = log_lines(&place);
    FILE *file = fopen("hostile", "w");
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        struct json_object *line = json_object_array_get_idx(lines, i);
        json_object_object_add(line, "target", json_object_new_string("/x<script>alert(1)</script>\"'>&amp;\033[31m\xe2\x80\xae"));
        json_object_object_add(line, "comm", json_object_new_string("<b>\033]0;x\a"));
        fprintf(file, "%s\n", json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
    }
    fclose(file);
}

Test(report, hostile_names_stay_text)
{
    make_hostile();
    cr_assert_eq(shell("$BUILD/etxtbsy report hostile"), 0, "%s", errors());
    EXPECT_TEXT(output(), "/x<script>");
    EXPECT_TEXT(output(), "\\x1b[31m");
    EXPECT_TEXT(output(), "<b>\\x1b]0;x\\x07");
    EXPECT_NO_TEXT(output(), "\033");

    cr_assert_eq(shell("$BUILD/etxtbsy report --html page hostile"), 0);
    char *page = read_file("page", NULL);
    EXPECT_NO_TEXT(page, "<script");
    EXPECT_TEXT(page, "&#60;script&#62;");
    EXPECT_TEXT(page, "&#38;amp;");
    EXPECT_NO_TEXT(page, "\033");
    EXPECT_NO_TEXT(page, "\xe2\x80\xae");
}

Test(report, html_is_one_page)
{
    struct stat file;
    cr_assert_eq(shell("echo old > page; $BUILD/etxtbsy report --html page $LOG"), 0);
    cr_expect_str_empty(output());
    char *page = read_file("page", NULL);
    EXPECT_TEXT(page, "<svg ");
    EXPECT_TEXT(page, "given-up-0");
    EXPECT_TEXT(page, "prefers-color-scheme:dark");
    EXPECT_TEXT(page, "default-src 'none'");
    EXPECT_NO_TEXT(page, "<script");
    EXPECT_NO_TEXT(page, "http:");
    EXPECT_NO_TEXT(page, "https:");
    EXPECT_NO_TEXT(page, "url(");
    cr_expect_eq(stat("page", &file), 0);
    cr_expect_eq(file.st_mode & 0777, 0644);
    cr_expect_eq(shell("ls page.*"), 2, "no temporary file is left");

    cr_assert_eq(shell("$BUILD/etxtbsy report --html - $LOG"), 0);
    cr_expect_str_eq(output(), page);
}

/* A real browser lays it out, and nothing is cut off, lies on top of another text, or is squeezed; also on a telephone. */
Test(report, html_is_laid_out_by_a_browser, .timeout = 120)
{
    char missing[100];
    if (!have_programs("chromium", missing)) {
        fprintf(stderr, "skipped: there is no chromium here, so nobody has looked at the page\n");
        return;
    }
    /* The page forbids scripts, so the one that measures is put in here. */
    static const char measure[] =
        "<script>onload=()=>{const r=[...document.querySelectorAll('svg text')].map(t=>t.getBoundingClientRect());let o=0;"
        "for(let i=0;i<r.length;i++)for(let j=0;j<i;j++)if(r[i].left<r[j].right&&r[j].left<r[i].right&&r[i].top<r[j].bottom-3&&"
        "r[j].top<r[i].bottom-3)o++;const s=document.querySelector('svg').getBoundingClientRect();"
        "const c=r.filter(b=>b.left<s.left||b.right>s.right+1||b.bottom>s.bottom+1).length;"
        "const h=[...document.querySelectorAll('tbody tr')].filter(t=>t.offsetHeight>100).length;"
        "document.title='texts '+r.length+' overlap '+o+' cut '+c+' high '+h+' small '+r.filter(b=>b.height<7).length+' wide "
        "'+(document.documentElement.scrollWidth>innerWidth)}</script>";
    cr_assert_eq(shell("$BUILD/etxtbsy report --html page $LOG"), 0);
    char *page = read_file("page", NULL), *policy = strstr(page, "<meta http-equiv"), *end = strstr(policy, ">");
    FILE *file = fopen("measured.html", "w");
    fprintf(file, "%.*s%s%s", (int)(policy - page), page, end + 1, measure);
    fclose(file);
    static const char *const sizes[] = { "1000,900", "420,900" };
    for (size_t i = 0; i < 2; i++) {
        char command[400];
        snprintf(command, sizeof command,
                 "HOME=$PWD timeout 100 chromium --headless --no-sandbox --disable-gpu --window-size=%s --dump-dom "
                 "file://$PWD/measured.html | grep -o '<title>[^<]*'",
                 sizes[i]);
        cr_assert_eq(shell(command), 0, "%s", errors());
        EXPECT_TEXT(output(), "<title>texts ");
        EXPECT_TEXT(output(), " overlap 0 cut 0 high 0 small 0 wide false");
    }
}
