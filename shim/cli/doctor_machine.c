#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../policy/policy.h"
#include "cli.h"
#include "program.h"
#include "doctor.h"
#include "enforce.h"
#include "log_place.h"

#define NOT_ENFORCED_REMEDY                                                                                                        \
    "nothing is refused there, so nothing can be remedied: cp then writes over a program that runs. Use the action atomic "        \
    "for that path (write = atomic), which doesn't wait for a refusal"

static void say_enforcement(const char *name, const char *directory)
{
    struct enforce probe = enforce_probe(directory);
    if (probe.write == ENFORCED && probe.exec == ENFORCED)
        finding_add(FINDING_FINE, name, NULL, "%s: the kernel enforces ETXTBSY in both directions", directory);
    else if (probe.write == NOT_ENFORCED || probe.exec == NOT_ENFORCED)
        finding_add(FINDING_PROBLEM, name, NOT_ENFORCED_REMEDY, "%s: ETXTBSY isn't enforced %s", directory,
                    probe.write == ENFORCED  ? "for programs that are being written to"
                    : probe.exec == ENFORCED ? "for programs that run"
                                             : "at all");
    else
        finding_add(FINDING_NOTE, name, "try it where you may write and start programs: TMPDIR=DIRECTORY etxtbsy doctor",
                    "%s: whether ETXTBSY is enforced can't be tried out: %s", directory, strerror(probe.error));
}

void doctor_directory(const char *directory)
{
    if (access(directory, W_OK) == 0)
        say_enforcement("file system", directory);
}

static void look_at_proc(void)
{
    if (access("/proc/self/fd/0", F_OK) == 0 || access("/proc/self/exe", F_OK) == 0)
        finding_add(FINDING_FINE, "/proc", NULL, "mounted");
    else
        finding_add(FINDING_PROBLEM, "/proc", "mount -t proc proc /proc", "isn't mounted: nothing can be redirected without it");
}

/* Whoever looks for a limit that makes waits slow finds that this isn't one. */
static void say_inotify(void)
{
    finding_add(FINDING_FINE, "inotify", NULL, "a wait goes by the clock and takes no instance, so their limit doesn't bound it");
}

static void count_complaint(void *context, const struct policy_complaint *complaint)
{
    unsigned *count = context;
    (void)complaint;
    ++*count;
}

static void say_log_trouble(void *context, const struct log_trouble *trouble)
{
    (void)context;
    finding_add(FINDING_NOTE, "log", trouble->remedy, "no line can be written to %s: %s; programs go on without", trouble->path,
                trouble->what);
}

static void look_at_configuration(void)
{
    extern char **environ;
    unsigned count = 0;
    const struct policy_listener listener = { count_complaint, &count };
    struct policy policy;
    policy_remember_environment(environ);
    struct policy_sources sources = policy_sources();
    for (int operation = 0; operation < POLICY_OPERATIONS; operation++) {
        const struct policy_question question = { (enum policy_operation)operation, "", "", "" };
        policy_decide(&policy, &question, &sources, &listener);
    }
    const char *disable = policy_variable(&sources, "DISABLE");
    if (disable && !strcmp(disable, "1"))
        finding_add(FINDING_PROBLEM, "environment", "unset ETXTBSY_DISABLE", "ETXTBSY_DISABLE=1: everything is off");
    log_place_examine(policy.log, say_log_trouble, NULL);
    if (count)
        finding_add(FINDING_NOTE, "configuration", "etxtbsy check", "has mistakes; what they were to say isn't in force");
    else
        finding_add(FINDING_FINE, "configuration", NULL, "no mistakes");
}

static void look_at_preload_file(void)
{
    char text[4096] = "";
    FILE *file = fopen("/etc/ld.so.preload", "re");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    const char *list = getenv("LD_PRELOAD");
    if (program_names_library(text))
        finding_add(FINDING_FINE, "reach", NULL,
                    "/etc/ld.so.preload has the library: every dynamic program on this machine loads it");
    else if (program_names_library(list))
        finding_add(FINDING_FINE, "reach", NULL, "LD_PRELOAD has the library: what is started from here loads it");
    else
        finding_add(FINDING_NOTE, "reach",
                    "etxtbsy run -- CMD for one command; Environment=LD_PRELOAD=... for a service; `etxtbsy doctor CMD` for more",
                    "nothing is started with the library from here: neither LD_PRELOAD nor /etc/ld.so.preload has it");
}

void doctor_machine(const char *library)
{
    struct utsname host;
    const char *directory = getenv("TMPDIR");
    if (uname(&host) == 0)
        finding_add(FINDING_FINE, "machine", NULL, "%s %s, %s", host.sysname, host.release, host.machine);
    finding_add(FINDING_FINE, "library", NULL, "%s can be loaded", library);
    look_at_preload_file();
    say_enforcement("kernel", directory && *directory ? directory : "/tmp");
    look_at_proc();
    say_inotify();
    look_at_configuration();
}
