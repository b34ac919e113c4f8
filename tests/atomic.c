/*
 * The action atomic, and hard_links = break: who uses the old file goes on with it, a new one appears when it is complete, and
 * what can't be replaced is written in place, as ever.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#include <criterion/parameterized.h>

static void expect_done(const struct place *place, int status, const char *what)
{
    char *err = read_file(place->err, NULL);
    cr_expect_eq(status_code(status), 0, "%s: status %d: %s", what, status_code(status), err);
    free(err);
}

static void expect_content(const char *path, const char *expected)
{
    char *content = read_file(path, NULL);
    cr_expect_str_eq(content, expected, "%s has \"%s\"", path, content);
    free(content);
}

/* The kernel protects no shared library: whoever has mapped it sees what a cp writes over it. */
Test(atomic, who_has_mapped_the_file_keeps_it)
{
    struct place place;
    place_make(&place);
    run_shell(&place, WITHOUT_SHIM, NULL, "head -c 4096 /dev/zero | tr '\\0' x > ../x");
    for (int shim = WITHOUT_SHIM; shim <= WITH_SHIM; shim++) {
        place_reset(&place);
        FILE *library = fopen(place.target, "r");
        const char *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(library), 0);
        fclose(library);
        cr_assert_neq(mapped, MAP_FAILED);
        expect_done(&place, run_shell(&place, shim, ATOMIC, "cp ../x $TARGET"), "cp");
        cr_expect_eq(mapped[1], shim == WITH_SHIM ? 'E' : 'x', "%d: '%c'", shim, mapped[1]);
        munmap((void *)mapped, 4096);
    }
    cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
    cr_expect_eq(log_count(&place, "action", "atomic"), 1);
    cr_expect_eq(log_count(&place, "error", "none"), 1, "nothing was busy");
    place_remove(&place);
}

/* A shell reads its script as it goes. */
Test(atomic, a_script_that_is_being_read_is_read_to_its_end)
{
    static const char script[] = "#!/bin/bash\ncp ../other \"$0\"\necho the old end\n";
    static const char other[] = "#!/bin/bash\n############################\necho somebody else's line\n";
    struct place place;
    char path[PATH_MAX];
    place_make(&place);
    snprintf(path, sizeof path, "%s/other", place.root);
    for (int shim = WITHOUT_SHIM; shim <= WITH_SHIM; shim++) {
        place_reset(&place);
        write_file(place.target, script, 0755);
        write_file(path, other, 0644);
        run_shell(&place, shim, ATOMIC, "$TARGET");
        char *out = read_file(place.out, NULL);
        if (shim == WITHOUT_SHIM)
            cr_expect_neq(strcmp(out, "the old end\n"), 0, "in place it isn't: else this test shows nothing");
        else
            cr_expect_str_eq(out, "the old end\n", "%s", out);
        expect_content(place.target, other);
        free(out);
    }
    place_remove(&place);
}

Test(atomic, a_new_file_appears_when_it_is_complete)
{
    static const char *const shells[] = { "dash", "bash", "busybox sh", "zsh", "mksh" };
    struct place place;
    char command[500], missing[100];
    place_make(&place);
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        snprintf(command, sizeof command, "%.*s", (int)strcspn(shells[i], " "), shells[i]);
        if (!have_programs(command, missing)) {
            fprintf(stderr, "skipped: a new file in %s (it isn't here)\n", shells[i]);
            continue;
        }
        place_reset(&place);
        snprintf(command, sizeof command,
                 "mkfifo go; %s -c 'umask 027; { echo half; read x; echo rest; } > new < go' & exec 3> go; sleep .2;"
                 "ls; test ! -e new || exit 9; echo >&3; wait; cat new; stat -c %%a new",
                 shells[i]);
        int status = run_shell(&place, WITH_SHIM, ATOMIC, command);
        expect_done(&place, status, shells[i]);
        char *out = read_file(place.out, NULL);
        cr_expect_str_eq(out, "go\ntarget\nhalf\nrest\n640\n", "%s: %s", shells[i], out);
        cr_expect_eq(log_count(&place, "outcome", "created"), 1, "%s", shells[i]);
        cr_expect_eq(litter_count(&place), 0);
        free(out);
    }
    place_remove(&place);
}

Test(atomic, a_killed_writer_leaves_no_new_file)
{
    struct place place;
    char path[PATH_MAX];
    place_make(&place);
    snprintf(path, sizeof path, "%s/new", place.directory);
    run_shell(&place, WITH_SHIM, ATOMIC, "(echo half; exec sleep 60) > new & p=$!; sleep .3; kill -9 $p; wait");
    cr_expect_eq(access(path, F_OK), -1);
    cr_expect_eq(litter_count(&place), 1);
    expect_done(&place, run_shell(&place, WITH_SHIM, ATOMIC, "echo whole > new"), "echo");
    expect_content(path, "whole\n");
    cr_expect_eq(litter_count(&place), 0);
    place_remove(&place);
}

/* The exec side never meets a file that is half written. */
Test(atomic, a_program_is_never_started_half_written, .timeout = 60)
{
    struct place place;
    place_make(&place);
    int status = run_shell(&place, WITH_SHIM, ATOMIC,
                           "cp $NEW $TARGET; i=0; while [ $i -lt 30 ]; do cat $NEW > $TARGET; i=$((i+1)); done & p=$!;"
                           "while kill -0 $p 2>/dev/null; do $TARGET 2>/dev/null; s=$?; [ $s -lt 126 ] || exit $s; done; wait");
    expect_done(&place, status, "start while it is deployed");
    cr_expect_eq(log_count(&place, "event", "wait"), 0, "somebody had to wait");
    place_remove(&place);
}

/* What the same commands leave without the shim: modes, owners, ACLs, contents, messages, status. */
static const struct {
    const char *name, *needs, *command;
} same[] = {
    { "modes by umask", "sh", "umask 0; : > a; umask 077; : > b; umask 027; cat $NEW > c; stat -c '%n %a' a b c" },
    { "set-group-id directory", "chgrp",
      "mkdir d; chgrp 1234 d && chmod 2775 d; : > d/new; cat $NEW > d/new; stat -c '%a %u %g' d/new" },
    { "default ACL", "setfacl getfacl",
      "mkdir d; setfacl -d -m u:1234:rw,g::r,o::- d; umask 022; : > d/new; getfacl -c d/new; echo x > d/new; getfacl -c d/new" },
    { "owner without the right to read", "setpriv",
      "chmod 777 .; setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'umask 0777; echo x > new; stat -c %a new; "
      "echo y > new; echo y >> new'" },
    { "read-only target", "setpriv",
      "chmod 777 .; chmod 555 $TARGET; setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'cat $NEW > $TARGET'" },
    { "directory that isn't writable", "setpriv",
      "chmod 755 .; chmod 777 $TARGET; setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo x > new; echo y > $TARGET'" },
    { "not a regular file", "sh", "mkfifo f; cat f & echo x > f; wait; echo x > /dev/null; echo y > .; echo z > nowhere/file" },
    { "symbolic links", "ln",
      "ln -s target l; echo x > l; cat target; ln -s nowhere d; echo y > d; cat nowhere; ln -s loop loop; echo z > loop; ls" },
    { "odd paths", "sh", ": > ./a; : > .//b; mkdir d; : > d/../c; : > d/; : > ''; cd d; : > ../e; ls; ls .." },
    { "no clobbering", "bash", "bash -c 'set -C; echo x > new; echo y > new; echo z >| new; cat new'" },
    { "appending behind", "sh", "exec 3> new; echo a >&3; echo b >> new; exec 3>&-; exec 3>> new; echo c >&3; cat new" },
    { "two of one name", "sh", "exec 3> new 4> new; echo abcdef >&3; echo x >&4; exec 3>&- 4>&-; cat new" },
    { "by its descriptor", "sh", "exec 3> new; echo a >&3; echo b >> /dev/fd/3; exec 3>&-; cat new" },
    { "an empty file", "sh", ": > new; : > $TARGET; stat -c '%n %s' new $TARGET" },
    { "in a subshell", "sh", "(echo a; (echo b); echo c) > new; { echo d & wait; } >> new; cat new" },
    { "gcc", "gcc",
      "echo 'int main(void) { return 7; }' > a.c; gcc -o a a.c && ./a; echo $?; gcc -c a.c; gcc -o a a.o; ./a; echo $?" },
    { "make and ar", "make gcc ar",
      "printf 'l.a: a.o b.o\\n\\tar rcD l.a a.o b.o\\n' > Makefile; echo 'int a;' > a.c; echo 'int b;' > b.c; "
      "make -s; make; ar t l.a; ls" },
    { "python", "python3",
      "python3 -c 'f = open(\"new\", \"w\"); f.write(\"x\"); g = open(\"new\", \"a\"); g.write(\"y\"); "
      "f.close(); g.close(); print(open(\"new\").read())'" },
    { "truncate", "truncate", "truncate -s 100 new; truncate -s 7 $TARGET; truncate -s +3 $TARGET; stat -c '%n %s' new $TARGET" },
    { "a long name", "sh", "n=$(printf '%0255d' 0); echo x > $n; echo y > $n; cat $n" },
};

#define SAME (sizeof same / sizeof *same)

ParameterizedTestParameters(atomic, an_idle_file_ends_as_in_place)
{
    static int numbers[SAME];
    for (size_t i = 0; i < SAME; i++)
        numbers[i] = (int)i;
    return cr_make_param_array(int, numbers, SAME);
}

ParameterizedTest(int *number, atomic, an_idle_file_ends_as_in_place)
{
    const char *name = same[*number].name, *now[2][3];
    char missing[100];
    int status[2];
    struct place place;
    place_make(&place);
    if (!have_programs(same[*number].needs, missing) || (!strcmp(same[*number].needs, "setpriv") && geteuid())) {
        place_remove(&place);
        cr_skip_test("%s needs %s, and root", name, same[*number].needs);
    }
    place_share_build(&place);
    for (int shim = WITHOUT_SHIM; shim <= WITH_SHIM; shim++) {
        place_reset(&place);
        chmod(place.root, 0777); /* for a log by somebody else */
        status[shim] = status_code(run_shell(&place, shim, shim == WITH_SHIM ? ATOMIC : NULL, same[*number].command));
        now[shim][0] = tree_text(place.directory);
        now[shim][1] = read_file(place.out, NULL);
        now[shim][2] = read_file(place.err, NULL);
        cr_expect_eq(litter_count(&place), 0, "%s", name);
    }
    cr_expect_eq(status[1], status[0], "%s: status %d instead of %d", name, status[1], status[0]);
    for (int i = 0; i < 3; i++)
        cr_expect_str_eq(now[1][i], now[0][i], "%s: %s instead of %s", name, now[1][i], now[0][i]);
    place_remove(&place);
}

Test(atomic, what_cannot_be_replaced_is_written_in_place_and_said)
{
    struct place place;
    struct stat before, after;
    place_make(&place);
    expect_done(&place, run_shell(&place, WITHOUT_SHIM, NULL, "ln $TARGET other"), "ln");
    stat(place.target, &before);
    expect_done(&place, run_shell(&place, WITH_SHIM, ATOMIC, "echo new > $TARGET; cat other"), "echo");
    stat(place.target, &after);
    expect_content(place.out, "new\n");
    cr_expect_eq(after.st_ino, before.st_ino);
    cr_expect_eq(log_count(&place, "outcome", "in-place"), 1);
    cr_expect_eq(log_count(&place, "reason", "hard-links"), 1);
    place_remove(&place);
}

/* The other name keeps the old file. */
Test(atomic, hard_links_are_broken_where_the_configuration_says_so)
{
    static const char *const environments[] = { "ETXTBSY_HARD_LINKS=break", "ETXTBSY_HARD_LINKS=break " ATOMIC };
    struct place place;
    char other[PATH_MAX];
    place_make(&place);
    snprintf(other, sizeof other, "%s/other", place.directory);
    for (int atomic = 0; atomic < 2; atomic++) {
        place_reset(&place);
        expect_done(&place, run_shell(&place, WITHOUT_SHIM, NULL, "ln $TARGET other"), "ln");
        pid_t running = atomic ? 0 : run_busy(place.target);
        expect_done(&place, run_shell(&place, WITH_SHIM, environments[atomic], "cp $NEW $TARGET"), "cp");
        cr_expect(same_content(place.target, place.new), "%d", atomic);
        cr_expect(same_content(other, TARGET_PROGRAM), "%d", atomic);
        cr_expect_eq(log_count(&place, "outcome", "replaced"), 1, "%d", atomic);
        if (running)
            stop(running);
    }
    place_remove(&place);
}

/* A rule is for the files that it names: others are opened as ever, and nothing is said. */
Test(atomic, a_rule_is_for_its_files_alone)
{
    struct place place;
    char conf[PATH_MAX], environment[PATH_MAX + 32];
    place_make(&place);
    snprintf(conf, sizeof conf, "%s/conf", place.root);
    snprintf(environment, sizeof environment, "ETXTBSY_CONF=%s", conf);
    write_file(conf, "[rule]\npath = **/*.so*\nwrite = atomic\n", 0644);
    expect_done(&place, run_shell(&place, WITH_SHIM, environment, "echo 1 > lib.so.1; echo 2 > text; echo 3 > $TARGET"), "echo");
    struct json_object *lines = log_lines(&place);
    cr_expect_eq(json_object_array_length(lines), 1);
    cr_expect_str_eq(line_string(json_object_array_get_idx(lines, 0), "outcome"), "created");
    json_object_put(lines);
    place_remove(&place);
}

/* A process without such a rule looks for one once, with one open, and makes no other system call. */
Test(atomic, costs_one_call_where_nobody_asks_for_it)
{
    struct place place;
    char missing[100];
    place_make(&place);
    if (!have_programs("strace", missing)) {
        place_remove(&place);
        cr_skip_test("there is no strace here");
    }
    if (access("/etc/etxtbsy.conf", F_OK) == 0) {
        place_remove(&place);
        cr_skip_test("there is an /etc/etxtbsy.conf here");
    }
    const char *const command = "strace -o ../trace -E LD_PRELOAD=$LIBRARY dash -c ': > a; : > b; : > a; : > c' &&"
                                "strace -o ../plain dash -c ': > a; : > b; : > a; : > c' &&"
                                "sed '1,/c\", O/!d' ../trace | grep -c '^open.*etxtbsy.conf';"
                                "sed -n '/\"a\", O/,$p' ../trace | grep -vc etxtbsy.conf; sed -n '/\"a\", O/,$p' ../plain | wc -l";
    setenv("LIBRARY", LIBRARY, 1);
    expect_done(&place, run_shell(&place, WITHOUT_SHIM, NULL, command), "strace");
    int seen, with, without;
    char *out = read_file(place.out, NULL);
    cr_assert_eq(sscanf(out, "%d %d %d", &seen, &with, &without), 3, "%s", out);
    cr_expect_eq(seen, 1, "%s", out);
    cr_expect_eq(with, without, "%s", out);
    place_remove(&place);
}
