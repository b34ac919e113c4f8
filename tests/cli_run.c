/*
 * `etxtbsy run`: nobody is to notice that it stands in between, and what it says at the end is to be true.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "harness.h"

#define COMMAND BUILD_DIR "/etxtbsy"
#define RUN "$BUILD/etxtbsy run "

static struct place place;
static char temporary[PATH_MAX / 2];

static void make_place(void)
{
    place_make(&place);
    snprintf(temporary, sizeof temporary, "%s/tmp", place.root);
    cr_assert_eq(mkdir(temporary, 0700), 0);
    setenv("TMPDIR", temporary, 1);
    setenv("ETXTBSY_LOG", "none", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
}

static void remove_place(void)
{
    char *left = tree_text(temporary);
    cr_expect_str_empty(left, "left behind: %s", left);
    place_remove(&place);
}

TestSuite(run, .timeout = 60, .init = make_place, .fini = remove_place);

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
#define EXPECT_EMPTY(text) cr_expect_str_empty(text, "found: %s", text)

Test(run, without_arguments_teaches)
{
    cr_expect_eq(shell(RUN), 125);
    EXPECT_TEXT(errors(), "usage: etxtbsy run");
    EXPECT_TEXT(errors(), "etxtbsy run make install");
    EXPECT_TEXT(errors(), "-- ./deploy.sh --all");
    EXPECT_TEXT(errors(), "`etxtbsy doctor COMMAND` says whether the library reaches it");
    cr_expect_eq(shell(RUN "--help"), 0);
    EXPECT_TEXT(output(), "Exit status: COMMAND's");
    cr_expect_eq(shell(RUN "--frob true"), 125);
    cr_expect_eq(shell(RUN "--start"), 125, "the second half of a run, without the first");
    cr_expect_eq(shell(RUN "--start --"), 125);
}

/* As env(1) has it, with and without the summary. */
Test(run, has_the_commands_exit_status)
{
    static const struct {
        const char *command;
        int status;
    } runs[] = {
        { "true", 0 },
        { "sh -c 'exit 3'", 3 },
        { "sh -c 'exit 255'", 255 },
        { "/nonexistent/program", 127 },
        { "no-such-program", 127 },
        { "/etc/passwd", 126 },
        { "/", 126 },
        { "''", 127 },
        { "-- echo --help", 0 },
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        for (int quiet = 0; quiet < 2; quiet++) {
            char command[256], env[256];
            snprintf(command, sizeof command, RUN "%s %s", quiet ? "--quiet" : "", runs[i].command);
            cr_expect_eq(shell(command), runs[i].status, "%s: %s", command, errors());
            cr_expect_eq(runs[i].status == 126 || runs[i].status == 127, *errors() != '\0', "%s: %s", command, errors());
            snprintf(env, sizeof env, "env %s", runs[i].command);
            cr_expect_eq(shell(env), runs[i].status, "%s", env);
        }
    cr_expect_eq(shell(RUN "sh -c 'exit 3' >&-"), 3, "whether our own output can be written doesn't matter");
    cr_expect_eq(shell(RUN "no-such-program >&-"), 127);
}

Test(run, ends_by_the_commands_signal)
{
    static const int signals[] = { SIGTERM, SIGKILL, SIGSEGV, SIGINT, SIGHUP, SIGPIPE };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char script[64];
        snprintf(script, sizeof script, "kill -%d $$", signals[i]);
        const char *const argv[] = { COMMAND, "run", "sh", "-c", script, NULL };
        int status = run_program_with(&place, WITHOUT_SHIM, NULL, argv);
        cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == signals[i], "wait status %x for signal %d", (unsigned)status,
                  signals[i]);
    }
}

/* What goes in, what comes out, where it runs and what it has open is as without. */
Test(run, leaves_everything_as_it_is)
{
    static const char *const commands[] = {
        "cat < $NEW",
        "sh -c 'echo out; echo err >&2'",
        "sh -c 'ls /proc/self/fd; exec 9< /dev/null; ls /proc/self/fd'",
        "pwd",
        "sh -c 'umask; ulimit -a; id'",
        "grep -E 'Sig(Blk|Ign|Cgt)|NoNewPrivs|CapEff' /proc/self/status",
        "ps -o pgid= -p $$ | wc -l",
        "sh -c 'test $(ps -o pgid= -p $PPID) = $(ps -o pgid= -p $$)'",
        "env -u LD_PRELOAD -u ETXTBSY_ALSO_LOG -u _ env",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        for (int quiet = 0; quiet < 2; quiet++) {
            char under[512];
            int status = shell(commands[i]);
            char *out = output(), *err = errors();
            snprintf(under, sizeof under, RUN "%s %s", quiet ? "-q" : "", commands[i]);
            cr_expect_eq(shell(under), status, "%s: %s", commands[i], errors());
            if (!strstr(commands[i], "$PPID")) {
                cr_expect_str_eq(output(), out, "%s", commands[i]);
                cr_expect_str_eq(errors(), err, "%s", commands[i]);
            }
            free(out);
            free(err);
        }
}

/* Ignored and blocked signals, as nohup and some daemons leave them. */
Test(run, passes_dispositions_on)
{
    static const char show[] = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
    char under[256];
    cr_assert_eq(shell("trap '' HUP INT CHLD; grep -E 'Sig(Blk|Ign)' /proc/self/status"), 0);
    char *out = output();
    snprintf(under, sizeof under, "trap '' HUP INT CHLD; " RUN "%s; test $? -eq 0", show);
    cr_assert_eq(shell(under), 0, "%s", errors());
    cr_expect_str_eq(output(), out);
}

Test(run, quiet_takes_the_place_of_the_process)
{
    cr_expect_eq(shell("sh -c 'echo $$; exec " RUN "-q sh -c \"echo \\$\\$\"'"), 0, "%s", errors());
    char *first = strtok(output(), "\n"), *second = strtok(NULL, "\n");
    cr_expect_str_eq(first, second);
}

/* The other ends of pipes see the command's close, not ours. */
Test(run, holds_nothing_open)
{
    cr_expect_eq(shell("mkfifo go; " RUN "sh -c 'exec >&-; read x < go' | { cat; echo x > go; }"), 0, "%s", errors());
    cr_expect_eq(
        shell("exec 8< /dev/null; " RUN
              "sh -c 'for i in $(seq 100); do ls -l /proc/$PPID/fd | grep -q \" 8 -> \" || exit 0; sleep 0.05; done; exit 1'"),
        0);
}

static pid_t start_run(const char *script)
{
    pid_t pid = fork();
    if (pid == 0) {
        int out = open(place.out, O_WRONLY | O_CREAT | O_TRUNC, 0600), err = open(place.err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(out, 1);
        dup2(err, 2);
        for (int number = 1; number < NSIG; number++)
            signal(number, SIG_DFL);
        execl(COMMAND, "etxtbsy", "run", "sh", "-c", script, (char *)NULL);
        _exit(99);
    }
    cr_assert(eventually(strstr(output(), "ready")));
    return pid;
}

Test(run, hands_signals_on)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        int status;
        char script[160], expected[64];
        unlink(place.out);
        snprintf(script, sizeof script, "trap 'echo got %d; exit 7' %d; echo ready; while :; do sleep 0.05; done", signals[i],
                 signals[i]);
        snprintf(expected, sizeof expected, "got %d\n", signals[i]);
        pid_t pid = start_run(script);
        kill(pid, signals[i]);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%x", (unsigned)status);
        EXPECT_TEXT(output(), expected);
    }
}

Test(run, killed_takes_the_command_with_it)
{
    int status;
    char *end;
    pid_t pid = start_run("echo $$ ready; exec sleep 100");
    pid_t command = (pid_t)strtol(output(), &end, 10);
    cr_assert_gt(command, 1);
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(eventually(kill(command, 0) < 0 && errno == ESRCH));
    cr_assert_eq(shell("rm -r $TMPDIR/etxtbsy-run-*"), 0, "nobody was there to remove it");
}

/* A terminal, and a shell with job control at it. */
static int terminal;
static char screen[1 << 16];
static size_t seen;

static bool comes(const char *text)
{
    for (int tries = 0; tries < 1000; tries++) {
        ssize_t got = read(terminal, screen + seen, sizeof screen - 1 - seen);
        seen += got > 0 ? (size_t)got : 0;
        screen[seen] = '\0';
        char *found = strstr(screen, text);
        if (found) {
            size_t behind = (size_t)(found - screen) + strlen(text);
            memmove(screen, screen + behind, seen - behind + 1);
            seen -= behind;
            return true;
        }
        usleep(10000);
    }
    return false;
}

static void type(const char *text)
{
    cr_assert_eq(write(terminal, text, strlen(text)), (ssize_t)strlen(text));
}

#define EXPECT_SCREEN(text) cr_assert(comes(text), "\"%s\" doesn't come: %s", text, screen)

Test(run, knows_job_control, .timeout = 120)
{
    pid_t shell_pid = forkpty(&terminal, NULL, NULL, NULL);
    if (shell_pid == 0) {
        setenv("BUILD", BUILD_DIR, 1);
        setenv("PS1", "", 1);
        for (int number = 1; number < NSIG; number++)
            signal(number, SIG_DFL);
        execlp("bash", "bash", "--norc", "--noprofile", "--noediting", "-i", (char *)NULL);
        _exit(99);
    }
    struct termios modes;
    fcntl(terminal, F_SETFL, O_NONBLOCK);
    tcgetattr(terminal, &modes);
    modes.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(terminal, TCSANOW, &modes);
    type("echo up$((1+1))\n");
    EXPECT_SCREEN("up2");

    /* Ctrl-Z stops both, fg lets both go on, and the status comes through. */
    type(RUN "sh -c 'echo go$((1+1)); read x; echo line $x; exit 5'\n");
    EXPECT_SCREEN("go2");
    type("\032");
    EXPECT_SCREEN("Stopped");
    type("echo status $?; ps -o stat= -o comm= | grep -c '^T'\n");
    EXPECT_SCREEN("status 148");
    EXPECT_SCREEN("2\r");
    type("fg\n");
    type("hello\n");
    EXPECT_SCREEN("line hello");
    type("echo status $?\n");
    EXPECT_SCREEN("status 5");

    /* In the background, a read from the terminal stops it; bg and kill reach it. */
    type(RUN "tr a-z A-Z &\n");
    EXPECT_SCREEN("[1]");
    type("sleep 0.3; jobs\n");
    EXPECT_SCREEN("Stopped");
    type("fg\n");
    type("again\n");
    EXPECT_SCREEN("AGAIN");
    type("\004");
    type("echo status $?\n");
    EXPECT_SCREEN("status 0");

    /* Ctrl-C ends it as it ends the command; one that takes it for something else goes on. */
    type(RUN "sleep 100\n");
    usleep(300000);
    type("\003");
    type("echo status $?\n");
    EXPECT_SCREEN("status 130");
    type(RUN "sh -c 'trap \"echo caught once; exit 4\" INT; echo go$((2+2)); while :; do sleep 0.1; done'\n");
    EXPECT_SCREEN("go4");
    type("\003");
    EXPECT_SCREEN("caught once");
    type("echo status $?\n");
    EXPECT_SCREEN("status 4");
    type("exit\n");
    int status;
    cr_expect_eq(waitpid(shell_pid, &status, 0), shell_pid);
}

Test(run, says_nothing_when_nothing_happened)
{
    cr_expect_eq(shell(RUN "cp $NEW copy"), 0);
    EXPECT_EMPTY(output());
    EXPECT_EMPTY(errors());
}

Test(run, says_what_happened_and_who_runs_the_old_version)
{
    char old[PATH_MAX];
    pid_t pid = run_busy(place.target);
    snprintf(old, sizeof old, "etxtbsy: target (pid %d) still runs the old version of %s\n", (int)pid, place.target);
    cr_expect_eq(shell(RUN "cp $NEW $TARGET"), 0);
    cr_expect(same_content(place.target, place.new));
    char *said = errors();
    EXPECT_TEXT(said, "etxtbsy: 1 intervention: write: 1 replaced\n");
    EXPECT_TEXT(said, old);
    EXPECT_EMPTY(output());
    stop(pid);

    /* Nobody runs it any more. */
    place_reset_files(&place);
    pid = run_busy(place.target);
    char command[256];
    snprintf(command, sizeof command, RUN "sh -c 'cp $NEW $TARGET; kill -9 %d; sleep 0.1'", (int)pid);
    cr_expect_eq(shell(command), 0);
    EXPECT_TEXT(errors(), "1 replaced");
    EXPECT_NO_TEXT(errors(), "old version");
}

Test(run, counts_by_kind_and_names_the_longest_wait)
{
    char *const storm[] = { BUILD_DIR "/tests/conflicts", NULL };
    char command[PATH_MAX];
    snprintf(command, sizeof command, "mkdir storm; ETXTBSY_LOG=%s " RUN "%s " TARGET_PROGRAM " storm 100", place.log, storm[0]);
    cr_assert_eq(shell(command), 0, "%s", errors());
    struct json_object *lines = log_lines(&place);
    size_t count = json_object_array_length(lines);
    char expected[128];
    snprintf(expected, sizeof expected, "etxtbsy: %zu interventions: exec: ", count);
    EXPECT_TEXT(errors(), expected);
    snprintf(expected, sizeof expected, "%zu unchanged", log_count(&place, "outcome", "unchanged"));
    EXPECT_TEXT(errors(), expected);
    EXPECT_TEXT(errors(), "; longest wait ");
    EXPECT_TEXT(errors(), ", for /");
    cr_assert_eq(shell("rm -r storm"), 0);
}

/* The first program is waited for like any other. */
Test(run, waits_for_the_command_itself)
{
    for (int quiet = 0; quiet < 2; quiet++) {
        hold_until_tried(place.target, 100);
        cr_expect_eq(shell(quiet ? RUN "--quiet $TARGET well" : RUN "$TARGET well"), 0, "%s", errors());
        cr_expect_str_eq(output(), "started well\n");
        if (!quiet)
            EXPECT_TEXT(errors(), "etxtbsy: 1 intervention: exec: 1 succeeded; longest wait ");
    }
}

Test(run, refuses_what_the_library_cannot_be_loaded_into)
{
    cr_expect_eq(shell("ln -s $BUILD/tests/target-static s; " RUN "./s x"), 125);
    EXPECT_TEXT(errors(), "./s: it is linked statically");
    EXPECT_EMPTY(output());
    cr_expect_eq(shell("printf '#!%s\\n' $BUILD/tests/target-static > script; chmod +x script; " RUN "./script"), 125, "%s",
                 errors());
    EXPECT_TEXT(errors(), "linked statically");

    if (getuid() == 0) {
        cr_expect_eq(shell("cp $TARGET setid; chown 65534 setid; chmod 4755 setid; " RUN "./setid x"), 125);
        EXPECT_TEXT(errors(), "set-user-id");
        cr_expect_eq(shell("chown 0 setid; chmod 4755 setid; " RUN "./setid x"), 0, "set-user-id, and no other user: %s", errors());
    }
    cr_expect_eq(shell("mkdir alone; cp $BUILD/etxtbsy alone; alone/etxtbsy run true"), 125);
    EXPECT_TEXT(errors(), "the library can't be loaded: ");
    cr_expect_eq(shell("echo rubbish > alone/libetxtbsy.so; alone/etxtbsy run true"), 125);
    EXPECT_TEXT(errors(), "alone/libetxtbsy.so: ");
    cr_expect_eq(shell("mkdir 'a b'; cp $BUILD/etxtbsy $BUILD/libetxtbsy.so 'a b'; 'a b/etxtbsy' run true"), 125);
    EXPECT_TEXT(errors(), "blank");
    cr_expect_eq(shell("echo 'echo by a shell' > plain; chmod +x plain; " RUN "./plain"), 0, "no #!: %s", errors());
    cr_expect_str_eq(output(), "by a shell\n");
}

/* What goes wrong the first time is said in one sentence, with what to do next; and the command runs wherever it can. */
Test(run, helps_with_the_first_mistakes)
{
    static const struct {
        const char *command;
        int status;
        const char *said;
    } mistakes[] = {
        { RUN "no-such-program", 127,
          "no-such-program: there is no such program in PATH; one in this directory is called ./NAME\n" },
        { RUN "./no/such", 127, "./no/such: No such file or directory\n" },
        { "echo echo >script; " RUN "./script", 126, "./script: it isn't executable; chmod +x, or say what runs it: sh FILE\n" },
        { "printf '#!/no/such\\n' >script; chmod +x script; " RUN "./script", 127, "./script: what its first line names" },
        { RUN "$BUILD/tests/target-static x", 125, "linked statically" },
        { RUN "$BUILD/tests/target-static x", 125, "tests/target-static` says what to do about it\n" },
        { RUN "--log /no/such/directory/log true", 0,
          "/no/such/directory/log: no line can be written to it: there is no directory /no/such/directory; mkdir -p "
          "/no/such/directory\n" },
        { "ETXTBSY_LOG=stderr,/no/such/log " RUN "true", 0, "mkdir -p /no/such\n" },
        { RUN "--log $PWD sh -c 'exit 3'", 3, "it is a directory; name a file in it, " },
        { "ln -s there log; " RUN "--log ./log sh -c 'exit 3'", 3,
          "it is a symbolic link, and none is followed; name the file itself\n" },
        { RUN "--log ./new/log mkdir new", 0, "mkdir -p " },
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        cr_expect_eq(shell(mistakes[i].command), mistakes[i].status, "%s: %s", mistakes[i].command, errors());
        EXPECT_TEXT(errors(), mistakes[i].said);
        place_reset_files(&place);
    }
    cr_expect_eq(shell(RUN "--log ./log true && " RUN "--log ./log true && ETXTBSY_LOG=/dev/null,journal " RUN "true"), 0);
    EXPECT_EMPTY(errors());
    /* The library itself goes on in silence. */
    run_busy(place.target);
    cr_expect_eq(status_code(run_shell(&place, WITH_SHIM, "ETXTBSY_LOG=/no/such/log", "cp $NEW $TARGET")), 0);
    EXPECT_EMPTY(errors());
    cr_expect(same_content(place.new, place.target));
}

Test(run, finds_its_library_beside_itself)
{
    cr_expect_eq(shell("mkdir both; cp $BUILD/etxtbsy $BUILD/libetxtbsy.so both; both/etxtbsy run sh -c 'echo $LD_PRELOAD'"), 0);
    EXPECT_TEXT(output(), "/dir/both/libetxtbsy.so");
}

/* Other libraries come first; ours isn't there twice. */
Test(run, keeps_what_is_preloaded)
{
    cr_expect_eq(shell("LD_PRELOAD=libm.so.6 " RUN "sh -c 'echo $LD_PRELOAD'"), 0);
    cr_expect_str_eq(output(), "libm.so.6:" LIBRARY "\n");
    cr_expect_eq(shell(RUN RUN "sh -c 'echo $LD_PRELOAD'"), 0);
    cr_expect_str_eq(output(), LIBRARY "\n");
    cr_expect_eq(shell("ln -s $BUILD/libetxtbsy.so l.so; LD_PRELOAD=$PWD/l.so " RUN "sh -c 'echo ${LD_PRELOAD##*/}'"), 0);
    cr_expect_str_eq(output(), "l.so\n");
}

/* Both want to be nearer to the program than anybody else. */
Test(run, comes_behind_a_sanitizer_and_fakeroot)
{
    char missing[100];
    if (have_programs("gcc", missing) && shell("echo 'int main(void) { return 4; }' > x.c; gcc -fsanitize=address x.c -o x") == 0) {
        cr_expect_eq(shell("LD_PRELOAD=$(gcc -print-file-name=libasan.so) " RUN "./x"), 4, "%s", errors());
        EXPECT_EMPTY(errors());
    } else {
        fprintf(stderr, "skipped: there is no gcc with a sanitizer here\n");
    }
    if (have_programs("fakeroot", missing)) {
        run_busy(place.target);
        cr_expect_eq(
            shell("touch f; fakeroot " RUN "sh -c 'chown 12:34 f; stat -c %u:%g f; cp -p $NEW $TARGET; stat -c %u $TARGET'"), 0,
            "%s", errors());
        cr_expect_str_eq(output(), "12:34\n0\n");
        EXPECT_TEXT(errors(), "1 replaced");
    } else {
        fprintf(stderr, "skipped: there is no fakeroot here\n");
    }
}

Test(run, options_are_examined_before_anything_starts)
{
    static const struct {
        const char *options, *expected;
    } mistakes[] = {
        { "--write maybe", "--write is retry, redirect, atomic, observe or off, not \"maybe\"" },
        { "--exec redirect", "--exec is retry, observe or off, not \"redirect\"" },
        { "--max-wait 3parsecs", "--max-wait is a duration such as 10s" },
        { "--max-wait ''", "--max-wait is a duration" },
        { "--log stdrr", "--log is stderr" },
        { "--log ''", "--log is" },
        { "--conf /nonexistent/conf", "/nonexistent/conf: No such file" },
        { "--write \"$(printf '\\033[1m')\"", "not \"\\x1b[1m\"" },
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        char command[256];
        snprintf(command, sizeof command, RUN "%s touch started", mistakes[i].options);
        cr_expect_eq(shell(command), 125, "%s", command);
        EXPECT_TEXT(errors(), mistakes[i].expected);
        cr_expect_neq(access("started", F_OK), 0);
    }
}

static const char show[] = "sh -c 'env | grep ^ETXTBSY_ | grep -v ALSO_LOG | LC_ALL=C sort'";

Test(run, options_are_stronger_than_the_environment)
{
    char command[1024];
    snprintf(command, sizeof command,
             "ETXTBSY_WRITE=off ETXTBSY_EXEC_MAX_WAIT=1s ETXTBSY_KEEP=1 " RUN
             "--log ./logs/x --write retry --exec observe --max-wait 30s --conf ../dir/conf %s",
             show);
    cr_assert_eq(shell("touch conf"), 0);
    cr_assert_eq(shell(command), 0, "%s", errors());
    snprintf(command, sizeof command,
             "ETXTBSY_CONF=%s/conf\nETXTBSY_EXEC=observe\nETXTBSY_KEEP=1\nETXTBSY_LOG=%s/./logs/"
             "x\nETXTBSY_MAX_WAIT=30s\nETXTBSY_WRITE=retry\n",
             place.directory, place.directory);
    cr_expect_str_eq(output(), command);
}

Test(run, options_have_their_effect)
{
    pid_t pid = run_busy(place.target);
    cr_expect_neq(shell(RUN "--write off cp $NEW $TARGET"), 0);
    EXPECT_TEXT(errors(), "Text file busy");
    EXPECT_NO_TEXT(errors(), "etxtbsy:");
    cr_expect_neq(shell(RUN "--write retry --max-wait 10ms --log $PWD/../log cp $NEW $TARGET"), 0);
    EXPECT_TEXT(errors(), "etxtbsy: 1 intervention: write: 1 gave-up");
    cr_expect_eq(log_count(&place, "outcome", "gave-up"), 1);
    cr_expect_neq(shell("printf '[write]\\naction = observe\\n' > conf; " RUN "--conf conf cp $NEW $TARGET"), 0);
    EXPECT_TEXT(errors(), "1 observed");
    stop(pid);
}

/* The summary's log takes nothing from the user's: not from a rule's own, not from none. */
Test(run, disturbs_no_log)
{
    char command[512];
    pid_t pid = run_busy(place.target);
    snprintf(command, sizeof command,
             "unset ETXTBSY_LOG; printf 'log = none\\n[rule]\\npath = **/target\\nlog = %s\\n' > conf; " RUN
             "--conf conf cp $NEW $TARGET",
             place.log);
    cr_assert_eq(shell(command), 0, "%s", errors());
    EXPECT_TEXT(errors(), "1 replaced");
    cr_expect_eq(log_count(&place, "outcome", "replaced"), 1);
    stop(pid);
}

/* A run within a run: both say what happened in it. */
Test(run, may_be_part_of_a_run)
{
    run_busy(place.target);
    cr_assert_eq(shell(RUN "sh -c '" RUN "cp $NEW $TARGET; echo between >&2'"), 0);
    char *said = errors(), *between = strstr(said, "between\n");
    cr_assert_not_null(between, "%s", said);
    EXPECT_TEXT(between, "etxtbsy: 1 intervention: write: 1 replaced");
    *between = '\0';
    EXPECT_TEXT(said, "etxtbsy: 1 intervention: write: 1 replaced");
}

/* Who outlives the command finds the summary's log gone, makes no other, and does its work. */
Test(run, children_may_outlive_the_command)
{
    run_busy(place.target);
    cr_assert_eq(shell("mkfifo go; " RUN "sh -c 'sh -c \"read x < go; cp $NEW $TARGET; echo done > done\" > /dev/null 2>&1 &'"), 0,
                 "%s", errors());
    EXPECT_EMPTY(errors());
    char *left = tree_text(temporary), done[PATH_MAX];
    cr_expect_str_empty(left, "%s", left);
    snprintf(done, sizeof done, "%s/done", place.directory);
    cr_assert_eq(shell("echo x > go"), 0);
    cr_expect(eventually(access(done, F_OK) == 0));
    cr_expect(same_content(place.target, place.new));
}

/* Without a place for the summary's log there is a run all the same. */
Test(run, goes_on_without_a_temporary_directory)
{
    if (getuid() == 0 && access("/proc/sys", W_OK) == 0)
        cr_expect_eq(shell("TMPDIR=/proc " RUN "echo ran"), 0);
    else
        cr_expect_eq(shell("TMPDIR=/nonexistent " RUN "echo ran"), 0);
    cr_expect_str_eq(output(), "ran\n");
    EXPECT_TEXT(errors(), "there will be no summary");
}
