/*
 * `etxtbsy run`: a command under the library, and what the library did for it.
 *
 * The command is started by this very program, loaded anew with the library, so that its own start is waited for like any other.
 * The log that the summary is made from is one more sink, in a directory of our own: what outlives the command finds it gone and
 * writes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../policy/keys.h"
#include "cli.h"
#include "log_place.h"
#include "program.h"
#include "summary.h"
#include "supervise.h"

/* As env(1) and nice(1) have it. */
#define STATUS_OURS 125
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127

#define ALSO_LOG "ETXTBSY_" POLICY_ALSO_LOG
#define START_ONLY "start" /* an option that nobody is told of: the second half of a run, under the library */

static void usage(FILE *stream)
{
    fputs("usage: etxtbsy run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
          "\n"
          "    etxtbsy run make install\n"
          "    etxtbsy run --log /var/log/etxtbsy.json --max-wait 30s -- ./deploy.sh --all\n"
          "\n"
          "Runs COMMAND under the library: what it starts waits for files that are being written, and what it writes\n"
          "replaces files that are running. Afterwards says on stderr what there was to do, how long the longest wait\n"
          "was, and who still runs an old version; nothing when there was nothing to do.\n"
          "If that is against expectation: `etxtbsy doctor COMMAND` says whether the library reaches it, and whether this\n"
          "kernel and file system refuse anything at all.\n"
          "\n"
          "    -l, --log SINKS      where the log goes: a path with a slash in it, or what `log` takes in the configuration\n"
          "    -w, --write ACTION   when a running program is written: redirect, atomic, retry, observe or off\n"
          "    -e, --exec ACTION    when a file is started that is being written: retry, observe or off\n"
          "    -m, --max-wait TIME  how long anything may wait: 30s, 250ms, 0\n"
          "    -c, --conf FILE      one more configuration file, stronger than " POLICY_SYSTEM_FILE "\n"
          "    -q, --quiet          no summary; COMMAND then takes the place of this process\n"
          "    -h, --help           this text\n"
          "\n"
          "The options stand for the variables ETXTBSY_LOG, ETXTBSY_WRITE, ETXTBSY_EXEC, ETXTBSY_MAX_WAIT and\n"
          "ETXTBSY_CONF, and are stronger than these. Other libraries in LD_PRELOAD stay, and come before this one.\n"
          "\n"
          "Exit status: COMMAND's; a signal that ends COMMAND ends this, too. 125: a usage error, or the library can't\n"
          "be loaded into COMMAND (stderr says why); 126: COMMAND can't be executed; 127: there is no COMMAND.\n",
          stream);
}

/* What a newcomer does next. */
static const char *start_trouble(const char *command, int error)
{
    if (error == ENOENT && !strchr(command, '/'))
        return "there is no such program in PATH; one in this directory is called ./NAME";
    if (error == ENOENT && access(command, F_OK) == 0)
        return "what its first line names, or the loader that it asks for, isn't there; `head -n 1` or `readelf -l` shows it";
    if (error == EACCES && access(command, F_OK) == 0 && access(command, X_OK) < 0)
        return "it isn't executable; chmod +x, or say what runs it: sh FILE";
    return strerror(error);
}

/* The two halves' meeting point: loaded with the library now, so this exec waits as the policy says. */
static int start_command(char **command)
{
    execvp(command[0], command);
    int error = errno;
    cli_trouble_at(command[0], start_trouble(command[0], error));
    return error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}

static int start_under_library(void *context)
{
    char **command = context;
    size_t count = 0;
    while (command[count])
        count++;
    char **argv = calloc(count + 5, sizeof *argv);
    if (!argv)
        return cli_trouble("no memory"), STATUS_OURS;
    memcpy(argv, ((char *[]){ "etxtbsy", "run", "--" START_ONLY, "--" }), 4 * sizeof *argv);
    memcpy(argv + 4, command, count * sizeof *argv);
    execv("/proc/self/exe", argv);
    return start_command(command); /* without /proc: then its own start isn't waited for */
}

/* False: the value isn't one, which has been said. */
static bool set_variable(const char *option, const char *variable, enum policy_key key, enum policy_operation operation,
                         const char *value)
{
    uint64_t unused;
    const char *expected = key_parse(key, operation, value, strlen(value), &unused);
    if (expected) {
        fprintf(stderr, "etxtbsy: --%s is %s, not \"", option, expected);
        cli_print_escaped(stderr, value, strlen(value));
        fputs("\"\n", stderr);
    } else if (setenv(variable, value, 1) < 0) {
        cli_trouble("no memory");
        return false;
    }
    return !expected;
}

/* A path may be relative where a user gives it; the library wants absolute ones. */
static bool set_log(const char *value)
{
    char *absolute = NULL, *directory = NULL;
    if (value[0] != '/' && strchr(value, '/') && !strchr(value, ',')) {
        if (!(directory = getcwd(NULL, 0)) || asprintf(&absolute, "%s/%s", directory, value) < 0)
            return cli_trouble_at(value, strerror(errno)), false;
    }
    bool set = set_variable("log", "ETXTBSY_LOG", KEY_LOG, POLICY_EXEC, absolute ? absolute : value);
    free(directory);
    free(absolute);
    return set;
}

/* The bound of one operation is stronger than that of all, so those in the environment must not stand beside an option. */
static bool set_max_wait(const char *value)
{
    for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
        char variable[64] = "ETXTBSY_";
        const char *name = policy_operation_name(operation);
        size_t length = strlen(variable);
        for (; *name; name++)
            variable[length++] = (char)(*name - 'a' + 'A');
        snprintf(variable + length, sizeof variable - length, "_MAX_WAIT");
        unsetenv(variable);
    }
    return set_variable("max-wait", "ETXTBSY_MAX_WAIT", KEY_MAX_WAIT, POLICY_EXEC, value);
}

static bool set_conf(const char *file)
{
    char *path = realpath(file, NULL);
    bool readable = path && access(path, R_OK) == 0 && setenv("ETXTBSY_CONF", path, 1) == 0;
    if (!readable)
        cli_trouble_at(file, strerror(errno));
    free(path);
    return readable;
}

static void say_log_trouble(void *context, const struct log_trouble *trouble)
{
    (void)context;
    char *text = NULL;
    if (asprintf(&text, "no line can be written to it: %s; %s", trouble->what, trouble->remedy) >= 0)
        cli_trouble_at(trouble->path, text);
    free(text);
}

/* Where the lines of this run go besides. Without it there is a run, but no summary. */
struct private_log {
    char directory[PATH_MAX / 2], file[PATH_MAX];
};

/* Behind that of a run that this one is a part of. */
static bool add_sink(const char *file)
{
    const char *outer = getenv(ALSO_LOG);
    char *sinks = NULL;
    uint64_t unused;
    if (outer && *outer && asprintf(&sinks, "%s,%s", outer, file) < 0)
        return false;
    if (sinks && key_parse(KEY_LOG, POLICY_EXEC, sinks, strlen(sinks), &unused)) { /* that was none, or they are too many */
        free(sinks);
        sinks = NULL;
    }
    bool added = setenv(ALSO_LOG, sinks ? sinks : file, 1) == 0;
    free(sinks);
    return added;
}

static bool make_private_log(struct private_log *log)
{
    const char *base = getenv("TMPDIR");
    if (!base || base[0] != '/' || strpbrk(base, ", ") || strlen(base) > 256)
        base = "/tmp";
    snprintf(log->directory, sizeof log->directory, "%s/etxtbsy-run-XXXXXX", base);
    if (!mkdtemp(log->directory)) {
        cli_trouble_at(log->directory, strerror(errno));
        fputs("etxtbsy: so there will be no summary\n", stderr);
        return false;
    }
    snprintf(log->file, sizeof log->file, "%s/log", log->directory);
    int fd = open(log->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0 && add_sink(log->file);
}

static int run_with_summary(char **command)
{
    struct private_log log;
    bool has_log = make_private_log(&log);
    int status = supervise(start_under_library, command), error = errno;
    signal(SIGPIPE, SIG_IGN);
    if (status >= 0 && has_log)
        summary_say(log.file);
    if (has_log) {
        unlink(log.file);
        rmdir(log.directory);
    }
    if (status < 0) {
        cli_trouble("can't make a process: %s", strerror(error));
        return STATUS_OURS;
    }
    supervise_end(status);
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        { "log", required_argument, NULL, 'l' },
        { "write", required_argument, NULL, 'w' },
        { "exec", required_argument, NULL, 'e' },
        { "max-wait", required_argument, NULL, 'm' },
        { "conf", required_argument, NULL, 'c' },
        { "quiet", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },
        { START_ONLY, no_argument, NULL, 1 },
        { 0 },
    };
    bool quiet = false, fine = true;
    int option;

    while (fine && (option = getopt_long(argc, argv, "+l:w:e:m:c:qh", options, NULL)) != -1)
        switch (option) {
        case 1:
            if (argv[optind] && !strcmp(argv[optind], "--") && argv[optind + 1])
                return start_command(argv + optind + 1);
            fine = false;
            fputs("`etxtbsy run --help` lists the options\n", stderr);
            break;
        case 'l':
            fine = set_log(optarg);
            break;
        case 'w':
            fine = set_variable("write", "ETXTBSY_WRITE", KEY_ACTION, POLICY_WRITE, optarg);
            break;
        case 'e':
            fine = set_variable("exec", "ETXTBSY_EXEC", KEY_ACTION, POLICY_EXEC, optarg);
            break;
        case 'm':
            fine = set_max_wait(optarg);
            break;
        case 'c':
            fine = set_conf(optarg);
            break;
        case 'q':
            quiet = true;
            break;
        case 'h':
            usage(stdout);
            return CLI_FINE;
        default:
            fputs("`etxtbsy run --help` lists the options\n", stderr);
            fine = false;
        }
    if (!fine)
        return STATUS_OURS;
    char **command = argv + optind;
    if (!*command) {
        usage(stderr);
        return STATUS_OURS;
    }

    char path[PATH_MAX];
    const char *reason = program_find(command[0], path, sizeof path) ? program_refuses(path) : NULL;
    if (reason) {
        cli_trouble_at(path, reason);
        fputs("etxtbsy: `etxtbsy doctor ", stderr);
        cli_print_escaped(stderr, command[0], strlen(command[0]));
        fputs("` says what to do about it\n", stderr);
        return STATUS_OURS;
    }
    const char *library = program_library();
    char *preload = library ? program_preload(getenv("LD_PRELOAD"), library) : NULL;
    if (!preload || setenv("LD_PRELOAD", preload, 1) < 0)
        return STATUS_OURS;
    free(preload);
    if (getenv("ETXTBSY_LOG")) /* asked for here and now; a configuration's is for others, too */
        log_place_examine(getenv("ETXTBSY_LOG"), say_log_trouble, NULL);
    return quiet ? start_under_library(command) : run_with_summary(command);
}

int run_main(int argc, char **argv)
{
    int status = run(argc, argv);
    if (status)
        _exit(status); /* whatever becomes of our own output: nobody has to know that this isn't the command */
    return status;
}
