#include "intervention.h"

#include <string.h>

#include "../sys/clock.h"
#include "../sys/process.h"
#include "../sys/scratch.h"

struct intervention *intervention_begin(const char *op, const char *path, int error)
{
    int saved = errno;
    struct intervention *intervention = scratch_map(sizeof *intervention);
    if (intervention) {
        intervention->event = (struct event){ .op = op, .path = path, .error = error, .held_fd = -1, .attempts = 1 };
        process_comm(intervention->comm);
        process_exe(intervention->exe, sizeof intervention->exe);
    }
    errno = saved;
    return intervention;
}

void intervention_end(struct intervention *intervention)
{
    scratch_unmap(intervention, sizeof *intervention);
}

/* The first complaint about the configuration, and how many there were. */
struct complaints {
    struct policy_complaint first;
    unsigned count;
    char found[256], file[256];
};

static void note_complaint(void *context, const struct policy_complaint *complaint)
{
    struct complaints *complaints = context;
    if (complaints->count++)
        return;
    /* The text that it points into is gone when the decision is made. */
    struct text found = TEXT(complaints->found), file = TEXT(complaints->file);
    size_t length = complaint->found_length;
    text_bytes(&found, complaint->found, length < sizeof complaints->found ? length : sizeof complaints->found - 1);
    text_add(&file, complaint->file ? complaint->file : "environment");
    complaints->first = *complaint;
}

static void say_complaint(struct intervention *intervention, const struct complaints *complaints)
{
    struct event event = { .op = intervention->event.op,
                           .path = complaints->file,
                           .held_fd = -1,
                           .event = "config",
                           .outcome = "ignored",
                           .verdict = "failed",
                           .reason = "configuration",
                           .message = intervention->message };
    struct text message = TEXT(intervention->message);
    text_add(&message, complaints->file);
    if (complaints->first.line) {
        text_add(&message, ":");
        text_number(&message, complaints->first.line);
    }
    text_add(&message, ": found \"");
    text_add(&message, complaints->found);
    text_add(&message, "\", expected ");
    text_add(&message, complaints->first.expected);
    text_add(&message, "; the value that was in force before stays");
    if (complaints->count > 1) {
        text_add(&message, " (and ");
        text_number(&message, complaints->count - 1);
        text_add(&message, " more: see etxtbsy check)");
    }
    size_t length = event_format(&event, intervention->line, EVENT_LINE_SIZE);
    event_send(intervention->policy.log, &event, intervention->line, length);
}

enum policy_action intervention_decide(struct intervention *intervention, enum policy_operation operation, const char *path)
{
    static bool complained; /* once a process; a race says it twice */
    struct complaints complaints = { .count = 0 };
    struct policy_listener listener = { note_complaint, &complaints };
    struct policy_question question = {
        .operation = operation,
        .path = path,
        .exe = intervention->exe,
        .comm = intervention->comm,
    };
    intervention->sources = policy_sources();
    policy_decide(&intervention->policy, &question, &intervention->sources, &listener);

    enum policy_action action = (enum policy_action)intervention->policy.value[KEY_ACTION];
    if (complaints.count && !complained && action != ACTION_OFF) {
        complained = true;
        say_complaint(intervention, &complaints);
    }
    struct text rule = TEXT(intervention->rule);
    policy_add_origin(&rule, &intervention->policy.origin[KEY_ACTION]);
    intervention->event.action = policy_action_name(action);
    intervention->event.rule = intervention->rule;
    return action;
}

struct wait_bounds intervention_bounds(const struct intervention *intervention)
{
    const uint64_t *value = intervention->policy.value;
    struct wait_bounds bounds = {
        .first_ns = value[KEY_FIRST],
        .cap_ns = value[KEY_CAP],
        .max_wait_ns = value[KEY_MAX_WAIT],
        .max_attempts = value[KEY_MAX_ATTEMPTS],
    };
    /* The parent's thread stands still meanwhile. */
    if (value[KEY_MAX_WAIT_VFORK] < bounds.max_wait_ns && process_borrows_memory())
        bounds.max_wait_ns = value[KEY_MAX_WAIT_VFORK];
    return bounds;
}

void intervention_add_generation(struct intervention *intervention)
{
    const struct stage_generation *generation = &intervention->report.generation;
    if (generation->path[0])
        intervention->event.generation = generation->path;
    if (generation->reason)
        intervention->event.reason = generation->reason;
}

/* The same about others who are at work on a file. False when it isn't about that. */
static bool add_turn(struct text *message, const struct event *event)
{
    static const struct {
        const char *reason, *outcome, *text;
    } sentences[] = {
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

/* One sentence for a person, from the same facts as the fields. Without an errno nothing was busy: the policy wanted it. */
static void compose_message(struct intervention *intervention)
{
    static const struct {
        const char *outcome, *busy, *idle;
    } sentences[] = {
        { "succeeded", " was busy, and no longer is after a wait", NULL },
        { "waiting", " is busy; waiting for it", NULL },
        { "gave-up", " was busy until the wait ended", NULL },
        { "replaced", " was busy: a new file took its name, the old one lives on for those who run it",
          ": a new file took its name, the old one lives on for those who use it" },
        { "created", NULL, " is new: it took its name when it was complete" },
        { "unchanged", " was busy, and written again with the bytes that it had: it was left as it is",
          " was written again with the bytes that it had: it was left as it is" },
        { "in-place", NULL, " can't be replaced: it is written in place" },
        { "published-early", " was busy: a new file took its name while somebody could still write to it",
          ": a new file took its name while somebody could still write to it" },
        { "discarded", " was busy, and then unlinked, moved away or replaced by somebody: what was written is gone",
          " was unlinked, moved away or replaced by somebody: what was written is gone" },
        { "aborted", ": the new file could not be finished; it is gone, and what was there before stays", NULL },
        { "failed", " could not be replaced: the bytes are in the stage, which was kept", NULL },
        { "pending", " will be replaced when the last holder of the stage lets go", NULL },
        { "refused", "io_uring was refused, so that the program's files can be seen", NULL },
        { "observed", " is busy; nothing was done", NULL },
    };
    const struct event *event = &intervention->event;
    struct text message = TEXT(intervention->message);
    text_add(&message, event->target && event->target[0] ? event->target : event->path ? event->path : "");
    if (add_turn(&message, event)) {
        intervention->event.message = intervention->message;
        return;
    }
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
        if (!strcmp(sentences[i].outcome, event->outcome))
            text_add(&message, !sentences[i].busy || (!event->error && sentences[i].idle) ? sentences[i].idle : sentences[i].busy);
    if (event->held_fd >= 0) {
        text_add(&message, "; this process itself has it open for writing, as descriptor ");
        text_number(&message, (uint64_t)event->held_fd);
    } else if (event->reason) {
        text_add(&message, " (");
        text_add(&message, event->reason);
        text_add(&message, ")");
    }
    intervention->event.message = intervention->message;
}

size_t intervention_word(struct intervention *intervention, const char *event, const char *outcome, const char *verdict)
{
    intervention->event.event = event;
    intervention->event.outcome = outcome;
    intervention->event.verdict = verdict;
    compose_message(intervention);
    size_t length = event_format(&intervention->event, intervention->line, EVENT_LINE_SIZE);
    intervention->line[length] = '\0';
    return length;
}

void intervention_say(struct intervention *intervention, const char *event, const char *outcome, const char *verdict)
{
    size_t length = intervention_word(intervention, event, outcome, verdict);
    event_send(intervention->policy.log, &intervention->event, intervention->line, length);
}

void intervention_say_waited(struct intervention *intervention, const char *outcome, const char *verdict)
{
    intervention->event.attempts = intervention->wait.attempts;
    intervention->event.waited_ns = wait_elapsed_ns(&intervention->wait);
    intervention_say(intervention, "wait", outcome, verdict);
}
