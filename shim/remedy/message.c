#include "message.h"

#include <string.h>

#include "../stage/stage.h"

static void add_process(struct text *message, const char *comm, pid_t pid)
{
    text_add(message, comm);
    text_add(message, " (pid ");
    text_number(message, (uint64_t)pid);
    text_add(message, ")");
}

/* "; held by make (pid 17) and 2 more" */
static void add_holders(struct text *message, const struct event *event)
{
    const struct holder_list *holders = event->holders;
    if (!holders || !holders->count)
        return;
    text_add(message, "; held by ");
    add_process(message, holders->holder[0].comm, holders->holder[0].pid);
    if (holders->count > 1) {
        text_add(message, " and ");
        text_number(message, holders->count - 1);
        text_add(message, holders->truncated ? " more, at least" : " more");
    }
}

/*
 * The tables are strings of strings: words of any length, and no pointers, each of which would be a relocation in every process
 * that starts. A row has three, and there is an empty one behind the last row.
 */
#define ROW(first, second, third) first "\0" second "\0" third "\0"

static const char *behind(const char *word)
{
    return word + strlen(word) + 1;
}

/* Of others who are at work on a file. False when it isn't about that. */
static bool add_turn(struct text *message, const struct event *event)
{
    /* clang-format off */
    static const char sentences[] = /* reason, outcome, sentence */
        ROW(STAGE_LOCKED, "waiting", " is locked by another process; waiting for it")
        ROW(STAGE_SERIALISED, "waiting", " is being replaced by another process; waiting for it")
        ROW(STAGE_LOCKED, "succeeded", " was locked by another process, and no longer is after a wait")
        ROW(STAGE_LOCKED, "gave-up", " was locked by another process until the wait ended, and was used all the same")
        ROW(STAGE_LOCKED, "observed", " is locked by another process; nothing was done")
        ROW(STAGE_SERIALISED, "succeeded", " was being replaced by another process, which has finished after a wait")
        ROW(STAGE_SERIALISED, "gave-up", " was being replaced by another process until the wait ended: the last one to finish wins");
    /* clang-format on */
    for (const char *reason = sentences, *sentence; event->reason && *reason; reason = behind(sentence)) {
        const char *outcome = behind(reason);
        sentence = behind(outcome);
        if (!strcmp(reason, event->reason) && !strcmp(outcome, event->outcome)) {
            text_add(message, sentence);
            return true;
        }
    }
    return false;
}

static const char *sentence_of_giving_up(const struct event *event)
{
    if (event->held_fd >= 0)
        return " is busy, and no wait helps";
    if (event->error != ETXTBSY)
        return " was busy, and then the call failed with another error";
    return event->reason ? " was busy until the wait ended, and could not be replaced" : " was busy until the wait ended";
}

/* Without an errno nothing was busy: the policy wanted it. */
void message_add(struct text *message, const struct event *event)
{
    /* clang-format off */
    static const char sentences[] = /* outcome, if busy, if idle */
        ROW("succeeded", " was busy, and no longer is after a wait", "")
        ROW("waiting", " is busy; waiting for it", "")
        ROW("replaced", " was busy: a new file took its name, the old one lives on for those who run it",
            ": a new file took its name, the old one lives on for those who use it")
        ROW("created", "", " is new: it took its name when it was complete")
        ROW("unchanged", " was busy, and written again with the bytes that it had: it was left as it is",
            " was written again with the bytes that it had: it was left as it is")
        ROW("in-place", "", " can't be replaced: it is written in place")
        ROW("published-early", " was busy: a new file took its name while somebody could still write to it",
            ": a new file took its name while somebody could still write to it")
        ROW("discarded", " was busy, and then unlinked, moved away or replaced by somebody: what was written is gone",
            " was unlinked, moved away or replaced by somebody: what was written is gone")
        ROW("aborted", ": the new file could not be finished; it is gone, and what was there before stays", "")
        ROW("failed", " could not be replaced: the bytes are in the stage, which was kept", "")
        ROW("pending", " will be replaced when the last holder of the stage lets go", "")
        ROW("refused", "io_uring was refused, so that the program's files can be seen", "")
        ROW("observed", " is busy; nothing was done", "");
    /* clang-format on */
    text_add(message, event->target && event->target[0] ? event->target : event->path ? event->path : "");
    if (add_turn(message, event))
        return;
    for (const char *outcome = sentences, *idle; *outcome; outcome = behind(idle)) {
        const char *busy = behind(outcome);
        idle = behind(busy);
        if (strcmp(outcome, event->outcome) != 0)
            continue;
        /* The analyser sees no further than the first word. NOLINTNEXTLINE(clang-analyzer-core*) */
        text_add(message, !*busy || (!event->error && *idle) ? idle : busy);
    }
    if (!strcmp(event->outcome, "gave-up"))
        text_add(message, sentence_of_giving_up(event));
    if (!strcmp(event->outcome, "replaced") && !strcmp(event->verdict, "transient"))
        text_add(message, "; nobody runs it any more");
    if (event->held_fd >= 0) {
        text_add(message, "; this process itself has it open for writing, as descriptor ");
        text_number(message, (uint64_t)event->held_fd);
    } else if (event->reason) {
        text_add(message, " (");
        text_add(message, event->reason);
        text_add(message, ")");
    }
    add_holders(message, event);
}
