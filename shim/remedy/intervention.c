#include "intervention.h"

#include <string.h>

#include "../sys/clock.h"
#include "../sys/process.h"
#include "../sys/scratch.h"
#include "message.h"

#define LOOK_MARK_NS (100 * CLOCK_MS)
#define WAITING_MARK_NS CLOCK_SECOND

/*
 * How long holders are looked for in all. After a redirect the program stands still meanwhile; 10 ms are enough for 2,500
 * processes. During a wait it costs no time but the CPU's, which five hundred waiters share.
 */
#define REDIRECT_SCAN_NS (10 * CLOCK_MS)
#define WAIT_SCAN_NS (20 * CLOCK_MS)

/* Where there is room behind a string. */
static char *behind(char *string)
{
    return string + strlen(string) + 1;
}

/* What is looked at before it is filled in; not the room that paths and lists have, which would be touched for nothing. */
static void clear(struct intervention *intervention)
{
    struct stage_report *report = &intervention->report;
    memset(&intervention->scan, 0, offsetof(struct holders_scan, lines));
    memset(&intervention->target, 0, offsetof(struct stage_target, path));
    memset(report, 0, offsetof(struct stage_report, generation.path));
    report->generation.path[0] = '\0';
    intervention->word_length = 0;
}

struct intervention *intervention_begin(struct intervention **holder, const char *op, const char *path, int error)
{
    int saved = errno;
    struct intervention *intervention = scratch_map(sizeof *intervention);
    if (intervention) {
        clear(intervention);
        intervention->holder = holder;
        intervention->event = (struct event){ .op = op, .path = path, .error = error, .held_fd = -1, .attempts = 1 };
        process_comm(intervention->comm);
        process_exe(intervention->exe = intervention->text, EXE_SIZE);
        intervention->rule = behind(intervention->exe);
        intervention->rule[0] = '\0';
        intervention->event.comm = intervention->comm;
        intervention->event.exe = intervention->exe;
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

/* Room for the message, and, when that is there, for the line. */
static struct text begin_message(struct intervention *intervention)
{
    intervention->message = behind(intervention->rule);
    return text_over(intervention->message, MESSAGE_SIZE);
}

static size_t format(struct intervention *intervention, struct event *event, char *line, size_t size)
{
    event->host = &intervention->host;
    event->message = intervention->message;
    host_learn(&intervention->host, &intervention->scan.lines);
    return event_format(event, line, size);
}

static void send_line(struct intervention *intervention, struct event *event)
{
    char *line = behind(intervention->message);
    event_send(intervention->policy.log, event, line, format(intervention, event, line, EVENT_LINE_SIZE));
}

static void say_complaint(struct intervention *intervention, const struct complaints *complaints)
{
    struct event event = { .op = intervention->event.op,
                           .comm = intervention->comm,
                           .exe = intervention->exe,
                           .path = complaints->file,
                           .held_fd = -1,
                           .error = EINVAL,
                           .event = "config",
                           .outcome = "ignored",
                           .verdict = "failed",
                           .reason = "configuration" };
    struct text message = begin_message(intervention);
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
    send_line(intervention, &event);
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
    struct text rule = text_over(intervention->rule, RULE_SIZE);
    policy_add_origin(&rule, &intervention->policy.origin[KEY_ACTION]);
    intervention->event.action = policy_action_name(action);
    intervention->event.rule = intervention->rule;
    return action;
}

static struct wait_bounds bounds_of(const struct intervention *intervention)
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

void intervention_held(struct intervention *intervention, unsigned holds, uint64_t device, uint64_t inode)
{
    struct holders_scan *scan = &intervention->scan;
    if (!scan->looks_for) {
        holders_begin(scan, holds);
        scan->found = holder_list_add;
        scan->context = &intervention->holders;
        intervention->scan_budget_ns = WAIT_SCAN_NS;
    }
    holders_add_file(scan, device, inode);
}

/* The list of those that have been found, empty at first. */
static struct holder_list *list_of(struct intervention *intervention)
{
    struct holder_list *holders = &intervention->holders;
    if (!intervention->event.holders)
        memset(holders, 0, offsetof(struct holder_list, holder));
    intervention->event.holders = holders;
    return holders;
}

void intervention_has_no_holders(struct intervention *intervention)
{
    list_of(intervention);
}

/* Looks on for so long. Returns false when there is no more to find, or no more time for it. */
static bool look_on(struct intervention *intervention, uint64_t ns)
{
    struct holders_scan *scan = &intervention->scan;
    struct holder_list *holders = list_of(intervention);
    uint64_t budget = intervention->scan_budget_ns, take = ns < budget ? ns : budget;
    intervention->word_length = 0;
    holders->with_cmdline = intervention->policy.value[KEY_CMDLINE] == SWITCH_ON;
    bool done = holders_look(scan, take) || take == budget;
    intervention->scan_budget_ns -= take;
    holders->truncated |= done && (scan->incomplete || scan->looking_for);
    holders->hidden = scan->hidden;
    return !done;
}

void intervention_look(struct intervention *intervention, enum intervention_occasion occasion)
{
    enum policy_holders wanted = (enum policy_holders)intervention->policy.value[KEY_HOLDERS];
    if (!event_is_wanted(intervention->policy.log) || wanted == HOLDERS_NEVER ||
        (wanted == HOLDERS_GIVE_UP && occasion != ON_GIVING_UP) || !intervention->scan.looking_for)
        return;
    if (occasion == ON_REDIRECT)
        intervention->scan_budget_ns = REDIRECT_SCAN_NS;
    look_on(intervention, intervention->scan_budget_ns);
}

static void note_wait(struct intervention *intervention, uint64_t waited_ns)
{
    const struct wait *wait = &intervention->wait;
    struct event *event = &intervention->event;
    event->attempts = wait->attempts;
    event->waited_ns = waited_ns;
    event->first_delay_ns = wait->first_delay_ns;
    event->last_delay_ns = wait->last_delay_ns;
}

void intervention_note_wait(struct intervention *intervention)
{
    note_wait(intervention, wait_elapsed_ns(&intervention->wait));
}

static void say_waiting(struct intervention *intervention)
{
    intervention->said_waiting = true;
    intervention_note_wait(intervention);
    intervention_say(intervention, "wait", "waiting", "transient");
}

/* In a pause of the wait. What there is to find is looked for in the time that would be slept away. */
static void marked(struct wait *wait, uint64_t spare_ns)
{
    struct intervention *intervention = wait->context;
    bool looks = intervention->looks && intervention->scan.looking_for && intervention->scan_budget_ns;
    if (looks)
        looks = look_on(intervention, spare_ns);
    if (wait_elapsed_ns(wait) >= WAITING_MARK_NS && !intervention->said_waiting)
        say_waiting(intervention);
    wait->mark_ns = looks ? wait_elapsed_ns(wait) : intervention->said_waiting ? 0 : WAITING_MARK_NS;
}

void intervention_begin_wait(struct intervention *intervention, enum intervention_wait kind)
{
    struct wait_bounds bounds = bounds_of(intervention);
    wait_begin(&intervention->wait, &bounds);
    intervention->looks = kind == WAIT_FOR_HOLDERS && intervention->policy.value[KEY_HOLDERS] == HOLDERS_ALWAYS;
    intervention->said_waiting = false;
    intervention->wait.mark_ns = LOOK_MARK_NS;
    intervention->wait.marked = marked;
    intervention->wait.context = intervention;
    scratch_may_be_left(intervention, sizeof *intervention, intervention->holder);
}

static void compose(struct intervention *intervention, const char *event, const char *outcome, const char *verdict)
{
    intervention->event.event = event;
    intervention->event.outcome = outcome;
    intervention->event.verdict = verdict;
    struct text message = begin_message(intervention);
    message_add(&message, &intervention->event);
}

void intervention_word(struct intervention *intervention, const char *name)
{
    size_t before = strlen(name), length = intervention->word_length;
    char *word = intervention->word, *line = word + before;
    note_wait(intervention, intervention->wait.paused_ns);
    if (length)
        length = event_renew(&intervention->event, line, length, EVENT_SHORT_SIZE);
    if (!length) {
        memcpy(word, name, before);
        compose(intervention, "wait", "succeeded", "transient");
        length = format(intervention, &intervention->event, line, EVENT_SHORT_SIZE);
        line[length] = '\0';
    }
    intervention->word_length = length;
}

void intervention_say(struct intervention *intervention, const char *event, const char *outcome, const char *verdict)
{
    if (!event_is_wanted(intervention->policy.log))
        return;
    compose(intervention, event, outcome, verdict);
    send_line(intervention, &intervention->event);
}

void intervention_say_waited(struct intervention *intervention, const char *outcome, const char *verdict)
{
    intervention_note_wait(intervention);
    intervention_say(intervention, "wait", outcome, verdict);
}

void intervention_give_up(struct intervention *intervention, int error)
{
    struct event *event = &intervention->event;
    event->error = error == EINTR ? ETXTBSY : error;
    if (event->error == ETXTBSY)
        intervention_look(intervention, ON_GIVING_UP);
    intervention_say_waited(intervention, "gave-up", event->error != ETXTBSY ? "failed" : event->reason ? "refused" : "persistent");
}
