/*
 * "Is this for me?" in README.md: the messages that stand there are what the tools say, and each row of the comparison is tried.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "harness.h"

#define README SOURCE_DIR "/README.md"
#define CELL_MAX 400

static struct place place;

/* In the place's directory: `app`, which is to run, `new`, and new.tar with that as `app`. */
static void make_files(void)
{
    place_reset(&place);
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                                       "mv $TARGET app && cp $NEW new && tar -cf new.tar --transform s/new/app/ new")),
                 0);
}

static void make(void)
{
    place_make(&place);
    setenv("ETXTBSY_LOG", "none", 1);
}

static void drop(void)
{
    place_remove(&place);
}

TestSuite(comparison, .init = make, .fini = drop, .timeout = 120);

/* What became of the name, by the kernel's word: one rename over it leaves it whole at every instant. */
static const char *fate_of_name(int watch)
{
    static char events[1 << 16];
    const char *fate = "untouched";
    ssize_t length = read(watch, events, sizeof events);
    for (char *at = events; length > 0 && at < events + length;) {
        struct inotify_event *event = (struct inotify_event *)at;
        if (event->len && !strcmp(event->name, "app"))
            fate =
                event->mask & IN_MOVED_TO && strcmp(fate, "gone, then half written") ? "always whole" : "gone, then half written";
        at += sizeof *event + event->len;
    }
    return fate;
}

static void try_command(const char *command, const char *result, const char *name)
{
    char path[PATH_MAX], environment[PATH_MAX], program[100];
    snprintf(program, sizeof program, "%.*s", (int)strcspn(command, " "), command);
    char missing[100];
    if (strcmp(program, "etxtbsy") != 0 && !have_programs(program, missing)) {
        fprintf(stderr, "skipped: %s (there is no %s here)\n", command, missing);
        return;
    }
    make_files();
    snprintf(path, sizeof path, "%s/app", place.directory);
    snprintf(environment, sizeof environment, "PATH=%s:%s", BUILD_DIR, getenv("PATH"));
    pid_t busy = run_busy(path);
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    cr_assert_geq(inotify_add_watch(watch, place.directory, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO), 0);
    bool done = status_code(run_shell(&place, WITHOUT_SHIM, environment, command)) == 0;
    cr_expect_str_eq(done ? "done" : "refused", result, "%s: %s", command, read_file(place.err, NULL));
    cr_expect_str_eq(done ? fate_of_name(watch) : "", name, "%s", command);
    cr_expect_eq(same_content(path, place.new), done, "%s", command);
    if (!done)
        cr_expect_not_null(strstr(read_file(place.err, NULL), "Text file busy"), "%s: %s", command, read_file(place.err, NULL));
    close(watch);
    stop(busy);
}

/* The text of a row's next cell; NULL: there is none. */
static char *next_cell(char **row, char cell[CELL_MAX])
{
    size_t length = strcspn(*row, "|");
    if (!(*row)[length])
        return NULL;
    const char *begin = *row + strspn(*row, " ");
    size_t used = begin < *row + length ? (size_t)(*row + length - begin) : 0;
    while (used && begin[used - 1] == ' ')
        used--;
    snprintf(cell, CELL_MAX, "%.*s", (int)used, begin);
    *row += length + 1;
    return cell;
}

Test(comparison, each_command_does_what_its_row_says)
{
    char *text = read_file(README, NULL), *row = strstr(text, "| command | over a running `app` | the name `app` meanwhile |");
    int count = 0;
    cr_assert_not_null(row, "there is no such table in README.md");
    strsep(&row, "\n");
    strsep(&row, "\n");
    for (char *line; (line = strsep(&row, "\n")) && *line == '|';) {
        char commands[CELL_MAX], result[CELL_MAX], name[CELL_MAX], *at = commands;
        line++;
        cr_assert(next_cell(&line, commands) && next_cell(&line, result) && next_cell(&line, name), "%s", line);
        for (char *command; (command = strchr(at, '`')); at = command + strlen(command) + 1, count++) {
            command[1 + strcspn(command + 1, "`")] = '\0';
            try_command(++command, result, name);
        }
    }
    cr_expect_geq(count, 13, "only %d commands were tried", count);
}

/* The words by which a reader finds the row are those that the programs have. */
Test(comparison, the_messages_are_the_programs_own)
{
    static const struct {
        const char *needs, *command, *message;
    } messages[] = {
        { "cp", "cp new app", "cp: cannot create regular file 'app': Text file busy" },
        { "dash", "dash -c ./tool", ": 1: ./tool: Text file busy" },
        { "bash", "bash -c ./script", "bad interpreter: Text file busy" },
        { "python3", "python3 -c 'import subprocess; subprocess.run(\"./tool\")'", "OSError: [Errno 26] Text file busy" },
        { "node", "node -e 'require(\"child_process\").execFileSync(\"./tool\")'", "spawnSync ./tool ETXTBSY" },
        { "java javac", "java Start.java", "error=26, Text file busy" },
        { "rustc", "rustc start.rs && ./start", "ExecutableFileBusy" },
        { "go", "GO111MODULE=off GOCACHE=$PWD/cache go run start.go", "fork/exec ./tool: text file busy" },
    };
    char *text = read_file(README, NULL), path[PATH_MAX], missing[100];
    make_files();
    cr_assert_eq(status_code(run_shell(&place, WITHOUT_SHIM, NULL,
                                       "cp app tool; printf '#!%s/tool\\n' \"$PWD\" >script; chmod +x script\n"
                                       "echo 'class Start { public static void main(String[] unused) throws Exception { new "
                                       "ProcessBuilder(\"./tool\").start(); } }' >Start.java\n"
                                       "echo 'fn main() { std::process::Command::new(\"./tool\").status().unwrap(); }' >start.rs\n"
                                       "printf 'package main\\nimport \"os/exec\"\\nfunc main() { "
                                       "println(exec.Command(\"./tool\").Run().Error()); panic(1) }\\n' >start.go")),
                 0);
    snprintf(path, sizeof path, "%s/app", place.directory);
    run_busy(path);
    snprintf(path, sizeof path, "%s/tool", place.directory);
    hold_open(path, -1);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        cr_expect_not_null(strstr(text, messages[i].message), "README.md doesn't have \"%s\"", messages[i].message);
        if (!have_programs(messages[i].needs, missing)) {
            fprintf(stderr, "skipped: the message of %s\n", messages[i].needs);
            continue;
        }
        cr_expect_neq(status_code(run_shell(&place, WITHOUT_SHIM, "LC_ALL=C", messages[i].command)), 0);
        cr_expect_not_null(strstr(read_file(place.err, NULL), messages[i].message), "%s: %s", messages[i].command,
                           read_file(place.err, NULL));
    }
}
