#include "advice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* Why a busy file wasn't replaced, and what helps: the words of `reason` in the log's schema. */
static const struct {
    const char *reason, *remedy;
} remedies[] = {
    { "hard-links", "the file has other names; remove them, or set hard_links = break, which leaves them with the old file" },
    { "mount-point", "the file is mounted by itself; mount its directory instead" },
    { "immutable", "the file has the immutable or append-only attribute: chattr -i -a" },
    { "sticky-directory", "its directory is sticky and somebody else's; deploy as its owner, or to another directory" },
    { "directory", "its directory can't be written to; give the writer that right, or deploy as another user" },
    { "immutable-directory", "its directory has the immutable or append-only attribute: chattr -i -a, for the directory" },
    { "rename", "files in its directory can't be renamed, which was tried; deploy to another directory" },
    { "name-too-long", "the name of a new file beside it would be too long; give it a shorter one" },
    { "read-only", "its file system is mounted read-only" },
    { "no-space", "there is no room for a second file: free as much as the new one takes" },
    { "quota", "a quota leaves no room for a second file: raise it, or free as much as the new one takes" },
    { "swap-file", "it is a swap file in use: swapoff, before it is written" },
    { "no-proc", "/proc isn't mounted where the writer runs; mount it there" },
    { "descriptors", "the writer had no free descriptor: ulimit -n" },
    { "unreadable", "the writer can't read the old content, part of which is to stay; give it that right" },
    { "owner", "the new file couldn't be given the old one's owner; deploy as root or as that owner" },
    { "attributes", "the new file couldn't be given the old one's mode, ACL or extended attributes" },
    { "not-a-regular-file", "only regular files can be replaced" },
    { "flags", "the program opens the file in a way that leaves nothing to replace; let it write a new file and rename it" },
    { "path", "the path couldn't be resolved, or led to another file meanwhile" },
    { "locked",
      "another process has an advisory lock on it, and respect_locks = on; wait for it longer, or look why it keeps the lock" },
    { "serialised", "another process was replacing it, and serialise = on; wait for it longer, or look why it takes so long" },
    { "policy", "the action is observe; let it be retry for [exec] and [rename], redirect for [write] and [truncate]" },
    { "io_uring", "io_uring = refuse is in force; nothing to do unless the program needs it" },
};

static const char *remedy_for(const char *reason)
{
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++)
        if (!strcmp(remedies[i].reason, reason))
            return remedies[i].remedy;
    return NULL;
}

/* Whether waiting is the right remedy for all but a few: then it is the bound that is too low for these. */
static bool mostly_ends_by_itself(const struct group *group)
{
    return group->verdicts[VERDICT_TRANSIENT] >= 9 * group->verdicts[VERDICT_PERSISTENT];
}

static void advise_persistent(FILE *out, const struct group *group)
{
    const struct tally_name *holder = tally_first(&group->holders);
    const char *who = holder ? holder->text : NULL;
    char longest[REPORT_WAIT_SIZE];
    fprintf(out, "%llu of %llu gave up: ", (unsigned long long)group->verdicts[VERDICT_PERSISTENT],
            (unsigned long long)group->ended);
    switch (group->operation) {
    case LINE_EXEC:
        report_wait(longest, group->waits_us.max);
        if (mostly_ends_by_itself(group)) {
            fprintf(out, "the others got through by waiting, so raise max_wait of [exec] (%s was too short). Who writes it ",
                    longest);
            fputs("can spare them that, too: write another file, and rename that over this one", out);
            break;
        }
        fprintf(out, "%s keeps it open for writing. Let it write another file and rename that over this one; ",
                who ? who : "somebody (`etxtbsy who` names it)");
        fprintf(out, "or, if it only takes longer, raise max_wait of [exec] (%s was too short)", longest);
        break;
    case LINE_RENAME:
        fprintf(out, "the host that shares the file holds it. Free it there, or raise max_wait of [rename]");
        break;
    default:
        fprintf(out, "%s runs it, and waiting is no use as long as it does. ", who ? who : "somebody (`etxtbsy who` names it)");
        fprintf(out, "Set the action redirect for it, or stop that program first");
    }
}

static void advise_unended(FILE *out, const struct group *group)
{
    fprintf(out,
            "%llu waited for a second or longer, and no line says how it ended: killed meanwhile, still waiting, or the start ",
            (unsigned long long)tally_unended(group));
    fputs("of a program that doesn't load the library", out);
    if (group->waited_for)
        fprintf(out, ". %s held it", group->waited_for);
    fputs("; `etxtbsy who` names who holds it now", out);
}

char *advice_for(const struct group *group)
{
    const char *reason = group->reason ? group->reason : "", *remedy = remedy_for(reason);
    char *text = NULL;
    size_t size;
    if (group->worst < VERDICT_REFUSED && !tally_unended(group))
        return NULL;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    if (group->worst < VERDICT_REFUSED) {
        advise_unended(out, group);
        fclose(out);
        return text;
    }
    switch (group->worst) {
    case VERDICT_FAILED:
        if (!strcmp(reason, "configuration"))
            fputs("a line of the configuration has no effect: `etxtbsy check` says which, and what was expected", out);
        else if (!strcmp(reason, "write-failed"))
            fprintf(out, "a write into the new file failed (%s), so the old file stays: mend the cause, and write again",
                    group->error);
        else if (!strcmp(reason, "writer-killed"))
            fputs("a writer was killed before the new file was complete, so the old file stays: write again", out);
        else if (group->stage && *group->stage)
            fprintf(out, "a new file couldn't take the name (%s): its bytes are in %s. Mend the cause, then rename that file",
                    group->error, group->stage);
        else
            fprintf(out, "it failed (%s): something is broken; the line's `message` says what", group->error);
        break;
    case VERDICT_PERSISTENT:
        advise_persistent(out, group);
        break;
    case VERDICT_SELF_HELD:
        fprintf(out, "%s has it open for writing itself", group->comm);
        if (group->held_fd >= 0)
            fprintf(out, " (descriptor %lld)", (long long)group->held_fd);
        fputs(" when it starts it, so no wait helps: it has to close it before. A bug in that program", out);
        break;
    default:
        fprintf(out, "not %s (%s): %s",
                group->operation == LINE_WRITE || group->operation == LINE_TRUNCATE ? "replaced" : "remedied",
                *reason ? reason : "no reason given", remedy ? remedy : "see `reason` in the log's schema");
    }
    fclose(out);
    return text;
}
