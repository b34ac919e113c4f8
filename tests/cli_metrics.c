/*
 * `etxtbsy metrics`: the numbers are the log's, the format is Prometheus's (promtool says so), and the whole way from the library
 * to an alert works: a real node_exporter and a real Prometheus, on loopback.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static struct place place;

static void make_place(void)
{
    place_make(&place);
    cr_assert_eq(chdir(place.directory), 0);
    setenv("LOG", place.log, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
}

static void make_storm(void)
{
    make_place();
    const char *const argv[] = { BUILD_DIR "/tests/conflicts", TARGET_PROGRAM, place.directory, "300", NULL };
    cr_assert_eq(run_program_with(&place, WITH_SHIM, NULL, argv), 0, "%s", read_file(place.err, NULL));
}

static void remove_place(void)
{
    cr_assert_eq(chdir("/"), 0);
    place_remove(&place);
}

TestSuite(metrics, .init = make_place, .fini = remove_place, .timeout = 60);
TestSuite(metrics_of_a_storm, .init = make_storm, .fini = remove_place, .timeout = 120);

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

/* The value of a series, by its name and labels; the sum of all that begin so. */
static double value_of(const char *text, const char *series)
{
    double sum = 0;
    bool any = false;
    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (!strncmp(at, series, strlen(series))) {
            sum += strtod(at + strcspn(at, " \n") + 1, NULL);
            any = true;
        }
    cr_expect(any, "no %s in %s", series, text);
    return sum;
}

Test(metrics_of_a_storm, are_the_logs_numbers)
{
    static const char *const verdicts[] = { "transient", "replaced", "refused", "self-held", "persistent", "failed" };
    cr_assert_eq(shell("$BUILD/etxtbsy metrics $LOG"), 0, "%s", errors());
    char *text = output();
    struct json_object *lines = log_lines(&place);
    double count = (double)json_object_array_length(lines), waited = 0, within = 0, bytes = 0;
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        struct json_object *line = json_object_array_get_idx(lines, i), *value;
        json_object_object_get_ex(line, "waited_ms", &value);
        waited += json_object_get_double(value);
        within += json_object_get_double(value) <= 2 && !strncmp(line_string(line, "op"), "posix_spawn", 11);
        if (!strcmp(line_string(line, "outcome"), "replaced"))
            bytes += (double)line_number(line, "bytes");
    }
    cr_expect_float_eq(value_of(text, "etxtbsy_log_lines_total "), count, 0.1);
    cr_expect_float_eq(value_of(text, "etxtbsy_interventions_total{"), count, 0.1);
    cr_expect_float_eq(value_of(text, "etxtbsy_outcomes_total{"), count, 0.1);
    cr_expect_float_eq(value_of(text, "etxtbsy_wait_seconds_count{"), count, 0.1);
    cr_expect_float_eq(value_of(text, "etxtbsy_wait_seconds_sum{"), waited / 1000, 1e-5);
    cr_expect_float_eq(value_of(text, "etxtbsy_wait_seconds_bucket{operation=\"exec\",le=\"0.002\"}"), within, 0.1);
    cr_expect_float_eq(value_of(text, "etxtbsy_replaced_bytes_total "), bytes, 0.1);
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        double sum = 0;
        for (int operation = 0; operation < 4; operation++) {
            static const char *const operations[] = { "exec", "write", "truncate", "rename" };
            char series[128];
            snprintf(series, sizeof series, "etxtbsy_interventions_total{operation=\"%s\",verdict=\"%s\"}", operations[operation],
                     verdicts[i]);
            sum += value_of(text, series);
        }
        cr_expect_float_eq(sum, (double)log_count(&place, "verdict", verdicts[i]), 0.1, "%s", verdicts[i]);
    }
    double buckets = value_of(text, "etxtbsy_wait_seconds_bucket{operation=\"exec\",le=\"+Inf\"}");
    cr_expect_float_eq(buckets, value_of(text, "etxtbsy_wait_seconds_count{operation=\"exec\"}"), 0.1);
}

/* So many targets have series of their own; the others are one. */
Test(metrics_of_a_storm, have_bounded_labels)
{
    cr_assert_eq(shell("$BUILD/etxtbsy metrics $LOG"), 0);
    double all = value_of(output(), "etxtbsy_target_conflicts_total{");
    cr_assert_eq(shell("$BUILD/etxtbsy metrics --targets 2 $LOG | grep ^etxtbsy_target_conflicts | tee targets"), 0);
    cr_expect_float_eq(value_of(output(), "etxtbsy_target_conflicts_total{"), all, 0.1);
    cr_expect_gt(value_of(output(), "etxtbsy_target_conflicts_total{target=\"(other)\","), 0);
    cr_expect_eq(shell("test $(grep -o 'target=\"[^\"]*' targets | sort -u | wc -l) = 3"), 0);
    cr_assert_eq(shell("$BUILD/etxtbsy metrics --targets 0 $LOG"), 0);
    cr_expect_float_eq(value_of(output(), "etxtbsy_target_conflicts_total{target=\"(other)\","), all, 0.1);

    /* Who has a series keeps it while the log grows. */
    cr_assert_eq(
        shell("$BUILD/etxtbsy metrics -t 2 $LOG | grep -o '^etxtbsy_target.*target=\"[^\"]*' | sort -u > all; head -n -100 $LOG | "
              "$BUILD/etxtbsy metrics -t 2 - | grep -o '^etxtbsy_target.*target=\"[^\"]*' | sort -u | comm -23 - all"),
        0);
    cr_expect_str_empty(output());
    cr_expect_eq(shell("$BUILD/etxtbsy metrics --targets many $LOG"), 2);
}

Test(metrics_of_a_storm, have_escaped_labels)
{
    struct json_object *lines = log_lines(&place);
    FILE *file = fopen("hostile", "w");
    for (size_t i = 0; i < json_object_array_length(lines); i++) {
        struct json_object *line = json_object_array_get_idx(lines, i);
        json_object_object_add(line, "target", json_object_new_string("/x\"} 1\n# \\ \033[1m"));
        if (i % 2)
            json_object_object_add(line, "target_b64", json_object_new_string("L3j/eQ=="));
        fprintf(file, "%s\n", json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
    }
    fclose(file);
    cr_assert_eq(shell("$BUILD/etxtbsy metrics hostile"), 0);
    EXPECT_TEXT(output(), "target=\"/x\\\"} 1\\\\x0a# \\\\ \\\\x1b[1m\",");
    EXPECT_TEXT(output(), "target=\"/x\\\\xffy\",");
    EXPECT_NO_TEXT(output(), "\033");
    char missing[100];
    if (have_programs("promtool", missing))
        cr_expect_eq(shell("$BUILD/etxtbsy metrics hostile | promtool check metrics"), 0, "%s", errors());
}

Test(metrics_of_a_storm, output_is_whole_or_not_there)
{
    struct stat file;
    cr_assert_eq(
        shell("mkdir out; echo old > out/x.prom; chmod 600 out/x.prom; umask 077; $BUILD/etxtbsy metrics --output out/x.prom $LOG"),
        0);
    cr_expect_str_empty(output());
    cr_expect_eq(stat("out/x.prom", &file), 0);
    cr_expect_eq(file.st_mode & 0777, 0644);
    EXPECT_TEXT(read_file("out/x.prom", NULL), "\netxtbsy_log_broken_lines_total 0\n");

    /* What isn't whole isn't put in place: a missing log would make the counters fall. */
    cr_expect_eq(shell("echo old > out/x.prom; $BUILD/etxtbsy metrics -o out/x.prom $LOG /nonexistent/log"), 2);
    cr_expect_str_eq(read_file("out/x.prom", NULL), "old\n");
    cr_expect_eq(shell("$BUILD/etxtbsy metrics -o /nonexistent/x.prom $LOG"), 2);
    cr_expect_eq(shell("$BUILD/etxtbsy metrics $LOG > /dev/full"), 2);
    cr_expect_eq(shell("mkdir out/d.prom; $BUILD/etxtbsy metrics -o out/d.prom $LOG"), 2);
    cr_expect_eq(shell("ls -A out"), 0);
    cr_expect_str_eq(output(), "d.prom\nx.prom\n");

    /* A link stays a link, and what is no file is only written to. */
    cr_expect_eq(
        shell("ln -s x.prom out/link; $BUILD/etxtbsy metrics -o out/link $LOG; test -L out/link && grep -q etxtbsy out/x.prom"), 0);
    cr_expect_eq(shell("mkfifo out/pipe; cat out/pipe > piped & $BUILD/etxtbsy metrics -o out/pipe $LOG; wait; test -p out/pipe"),
                 0);
    cr_expect(same_content("piped", "out/x.prom"));
    cr_expect_eq(shell("$BUILD/etxtbsy metrics -o /dev/full $LOG"), 2);

    cr_expect_eq(shell("echo x > bad; cat $LOG >> bad; $BUILD/etxtbsy metrics bad"), 1);
    EXPECT_TEXT(output(), "\netxtbsy_log_broken_lines_total 1\n");
    EXPECT_TEXT(errors(), "bad:1: ");
    cr_expect_eq(shell("ETXTBSY_LOG=/nonexistent/log $BUILD/etxtbsy metrics"), 0, "nothing was logged yet");
    EXPECT_TEXT(output(), "\netxtbsy_log_lines_total 0\n");
    cr_expect_eq(shell("$BUILD/etxtbsy metrics --help"), 0);
    EXPECT_TEXT(output(), "Exit status: 0");
}

/* What runs the old version now; what has ended, or was started since, doesn't count. */
Test(metrics, know_who_runs_an_old_version)
{
    char series[PATH_MAX], command[PATH_MAX];
    pid_t first = run_busy(place.target), second = run_busy(place.target);
    cr_assert_eq(
        status_code(run_shell(&place, WITH_SHIM, NULL, "cp $BUILD/tests/cases other && cp $BUILD/tests/target-static $TARGET")), 0);
    pid_t third = run_busy(place.target);
    cr_assert_eq(shell("$BUILD/etxtbsy metrics $LOG"), 0, "%s", errors());
    snprintf(series, sizeof series, "etxtbsy_old_version_processes{target=\"%s\"}", place.target);
    cr_expect_float_eq(value_of(output(), series), 2, 0.1);
    snprintf(command, sizeof command, "etxtbsy_old_version_replaced_timestamp_seconds{target=\"%s\"}", place.target);
    cr_expect_float_eq(value_of(output(), command), (double)time(NULL), 60);

    stop(first);
    cr_assert_eq(shell("$BUILD/etxtbsy metrics $LOG"), 0);
    cr_expect_float_eq(value_of(output(), series), 1, 0.1);

    /* A line of another host, or of an earlier boot, says nothing about the processes here. */
    cr_assert_eq(shell("sed 's/\"host\":\"[^\"]*/\"host\":\"elsewhere/' $LOG | $BUILD/etxtbsy metrics -"), 0);
    EXPECT_NO_TEXT(output(), series);
    cr_assert_eq(shell("sed 's/\"ts\":\"20../\"ts\":\"1999/' $LOG | $BUILD/etxtbsy metrics -"), 0);
    EXPECT_NO_TEXT(output(), series);

    stop(second);
    cr_assert_eq(shell("$BUILD/etxtbsy metrics $LOG"), 0);
    EXPECT_NO_TEXT(output(), series);
    stop(third);
}

static bool skip_without(const char *programs)
{
    char missing[100];
    if (have_programs(programs, missing))
        return false;
    fprintf(stderr, "skipped: there is no %s here\n", missing);
    return true;
}

Test(metrics_of_a_storm, please_promtool)
{
    if (skip_without("promtool"))
        return;
    cr_expect_eq(shell("$BUILD/etxtbsy metrics $LOG | promtool check metrics"), 0, "%s%s", output(), errors());
    cr_expect_str_empty(errors(), "%s", errors());
}

Test(metrics, rules_are_right)
{
    if (skip_without("promtool"))
        return;
    cr_expect_eq(shell("promtool check rules " SOURCE_DIR "/scripts/prometheus/rules.yml"), 0, "%s%s", output(), errors());
    cr_expect_eq(shell("cd " SOURCE_DIR "/scripts/prometheus && promtool test rules rules_test.yml"), 0, "%s%s", output(),
                 errors());
}

static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0 &&
              getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* A server in the background, which ends with the test. */
static pid_t start_server(const char *const argv[], const char *said)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int log = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        dup2(log, 1);
        dup2(log, 2);
        close_range(3, ~0u, 0);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

/* From the library to the alert: conflicts, a log, metrics, node_exporter, Prometheus, and what its rules make of them. */
Test(metrics, come_to_prometheus, .timeout = 120)
{
    if (skip_without("prometheus prometheus-node-exporter curl"))
        return;
    int exporter_port = free_port(), port = free_port();
    char exporter_address[64], address[64], directory[PATH_MAX], config[1024], query[512];
    cr_assert_eq(mkdir("textfiles", 0755), 0);
    snprintf(exporter_address, sizeof exporter_address, "--web.listen-address=127.0.0.1:%d", exporter_port);
    snprintf(address, sizeof address, "--web.listen-address=127.0.0.1:%d", port);
    snprintf(directory, sizeof directory, "--collector.textfile.directory=%s/textfiles", place.directory);
    snprintf(config, sizeof config,
             "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s/scripts/prometheus/rules.yml]\n"
             "scrape_configs: [{job_name: node, static_configs: [{targets: ['127.0.0.1:%d']}]}]\n",
             SOURCE_DIR, exporter_port);
    write_file("prometheus.yml", config, 0644);

    /* An old version that runs; that it was replaced two days ago is put in here. */
    run_busy(place.target);
    cr_assert_eq(status_code(run_shell(&place, WITH_SHIM, NULL, "cp $NEW $TARGET")), 0);
    cr_assert_eq(
        shell("$BUILD/etxtbsy metrics $LOG | sed '/replaced_timestamp_seconds{/s/ [0-9.]*$/ '$(date +%s -d '2 days ago')/ > "
              "textfiles/etxtbsy.prom"),
        0);
    pid_t exporter = start_server((const char *const[]){ "prometheus-node-exporter", exporter_address,
                                                         "--collector.disable-defaults", "--collector.textfile", directory, NULL },
                                  "exporter.log");
    pid_t prometheus = start_server(
        (const char *const[]){ "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", address, NULL },
        "prometheus.log");
    snprintf(query, sizeof query,
             "curl -sgG 127.0.0.1:%d/api/v1/query --data-urlencode "
             "'query=etxtbsy_interventions_total{operation=\"write\",verdict=\"replaced\"}'",
             port);
    bool scraped = false, alerted = false;
    for (int tries = 0; tries < 200 && !(scraped && alerted); tries++) {
        scraped = scraped || (shell(query) == 0 && strstr(output(), ",\"1\"]"));
        char alerts[128];
        snprintf(alerts, sizeof alerts, "curl -s 127.0.0.1:%d/api/v1/alerts", port);
        alerted = shell(alerts) == 0 && strstr(output(), "EtxtbsyOldVersionStillRuns") && strstr(output(), place.target) &&
                  strstr(output(), "\"state\":\"firing\"");
        usleep(200000);
    }
    kill(prometheus, SIGKILL);
    kill(exporter, SIGKILL);
    waitpid(prometheus, NULL, 0);
    waitpid(exporter, NULL, 0);
    cr_expect(scraped, "%s\n%s", read_file("exporter.log", NULL), read_file("prometheus.log", NULL));
    cr_expect(alerted, "%s", output());
}
