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

/* Of others who are at work on a file. False when it isn't about that. */
static bool add_turn(struct text *message, const struct event *event)
{
    static const struct {
        char reason[16], outcome[16], text[96];
    } sentences[] = {
        { STAGE_LOCKED, "waiting", " is locked by another process; waiting for it" },
        { STAGE_SERIALISED, "waiting", " is being replaced by another process; waiting for it" },
        { STAGE_LOCKED, "succeeded", " was locked by another process, and no longer is after a wait" },
        { STAGE_LOCKED, "gave-up", " was locked by another process until the wait ended, and was used all the same" },
        { STAGE_LOCKED, "observed", " is locked by another process; nothing was done" },
        { STAGE_SERIALISED, "succeeded", " was being replaced by another process, which has finished after a wait" },
        { STAGE_SERIALISED, "gave-up", " was being replaced by another process until the wait ended: the last one to finish wins" },
    };
    for (size_t i = 0; event->reason && i < sizeof sentences / sizeof *sentences; i++)
        if (!strcmp(sentences[i].reason, event->reason) && !strcmp(sentences[i].outcome, event->outcome)) {
            text_add(message, sentences[i].text);
            return true;
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
    static const struct {
        char outcome[16], busy[96], idle[80];
    } sentences[] = {
        { "succeeded", " was busy, and no longer is after a wait", "" },
        { "waiting", " is busy; waiting for it", "" },
        { "replaced", " was busy: a new file took its name, the old one lives on for those who run it",
          ": a new file took its name, the old one lives on for those who use it" },
        { "created", "", " is new: it took its name when it was complete" },
        { "unchanged", " was busy, and written again with the bytes that it had: it was left as it is",
          " was written again with the bytes that it had: it was left as it is" },
        { "in-place", "", " can't be replaced: it is written in place" },
        { "published-early", " was busy: a new file took its name while somebody could still write to it",
          ": a new file took its name while somebody could still write to it" },
        { "discarded", " was busy, and then unlinked, moved away or replaced by somebody: what was written is gone",
          " was unlinked, moved away or replaced by somebody: what was written is gone" },
        { "aborted", ": the new file could not be finished; it is gone, and what was there before stays", "" },
        { "failed", " could not be replaced: the bytes are in the stage, which was kept", "" },
        { "pending", " will be replaced when the last holder of the stage lets go", "" },
        { "refused", "io_uring was refused, so that the program's files can be seen", "" },
        { "observed", " is busy; nothing was done", "" },
    };
    text_add(message, event->target && event->target[0] ? event->target : event->path ? event->path : "");
    if (add_turn(message, event))
        return;
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
        if (!strcmp(sentences[i].outcome, event->outcome))
            text_add(message,
                     !sentences[i].busy[0] || (!event->error && sentences[i].idle[0]) ? sentences[i].idle : sentences[i].busy);
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
