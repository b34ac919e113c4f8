#include "event.h"

#include <string.h>

#include "../sys/call.h"
#include "../sys/clock.h"
#include "../sys/text.h"
#include "host.h"
#include "json.h"
#include "stamp.h"

static void add_timestamp(struct json *json, uint64_t now_ns)
{
    char stamp[STAMP_SIZE];
    json_string(json, "ts", stamp_text(stamp, now_ns));
}

/* The errnos that a conflict, a refusal or a failed commit is made of; any other is said by its number alone. */
static const struct {
    int error;
    char name[16], message[32];
} errors[] = {
    { ETXTBSY, "ETXTBSY", "Text file busy" },
    { EACCES, "EACCES", "Permission denied" },
    { EPERM, "EPERM", "Operation not permitted" },
    { ENOENT, "ENOENT", "No such file or directory" },
    { ENOSPC, "ENOSPC", "No space left on device" },
    { EDQUOT, "EDQUOT", "Disk quota exceeded" },
    { EROFS, "EROFS", "Read-only file system" },
    { EIO, "EIO", "Input/output error" },
    { EMFILE, "EMFILE", "Too many open files" },
    { ENFILE, "ENFILE", "Too many open files in system" },
    { ENOMEM, "ENOMEM", "Cannot allocate memory" },
    { EXDEV, "EXDEV", "Invalid cross-device link" },
    { EBUSY, "EBUSY", "Device or resource busy" },
    { EISDIR, "EISDIR", "Is a directory" },
    { ENOTDIR, "ENOTDIR", "Not a directory" },
    { ENAMETOOLONG, "ENAMETOOLONG", "File name too long" },
    { EFBIG, "EFBIG", "File too large" },
    { EINTR, "EINTR", "Interrupted system call" },
    { EOPNOTSUPP, "EOPNOTSUPP", "Operation not supported" },
    { EINVAL, "EINVAL", "Invalid argument" },
    { ENOSYS, "ENOSYS", "Function not implemented" },
    { ESTALE, "ESTALE", "Stale file handle" },
};

static void add_error(struct json *json, int error)
{
    char number[16];
    struct text text = TEXT(number);
    text_number(&text, (uint64_t)error);
    const char *name = number, *message = "Unknown error";
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error) {
            name = errors[i].name;
            message = errors[i].message;
        }
    json_number(json, "errno", (uint64_t)error);
    json_string(json, "error", error ? name : "none");
    json_string(json, "strerror", error ? message : "Success");
}

static void add_process(struct json *json, const struct event *event)
{
    json_number(json, "pid", (uint64_t)event->host->pid);
    json_number(json, "ppid", (uint64_t)event->host->parent);
    json_number(json, "tid", (uint64_t)event->host->thread);
    json_number(json, "uid", event->host->user);
    json_path(json, "comm", event->comm);
}

static const char *unless_empty(const char *string)
{
    return string[0] ? string : NULL;
}

static void add_host(struct json *json, const struct host *host)
{
    json_path(json, "host", host->name);
    json_string(json, "boot_id", unless_empty(host->boot_id));
    json_string(json, "invocation_id", unless_empty(host->invocation_id));
    json_string(json, "container_id", unless_empty(host->container_id));
    if (json_open_array(json, "ancestry")) {
        for (int i = 0; i < HOST_ANCESTORS && host->ancestors[i][0]; i++)
            json_path(json, NULL, host->ancestors[i]);
        json_close_array(json);
    }
    json_path(json, "unit", unless_empty(host->unit));
}

static void add_wait(struct json *json, const struct event *event)
{
    json_number(json, "attempts", event->attempts);
    json_thousandths(json, "waited_ms", event->waited_ns / 1000);
    if (event->attempts > 1 && json_open_object(json, "delays")) {
        json_number(json, "attempts", event->attempts);
        json_thousandths(json, "first_ms", event->first_delay_ns / 1000);
        json_thousandths(json, "last_ms", event->last_delay_ns / 1000);
        json_close_object(json);
    }
}

static void add_stage(struct json *json, const struct event *event)
{
    if (!event->new_inode)
        return;
    json_number(json, "bytes", event->bytes);
    json_number(json, "old_inode", event->old_inode);
    json_number(json, "new_inode", event->new_inode);
    json_number(json, "hard_links", event->hard_links);
    json_string(json, "sync", event->sync);
    json_boolean(json, "published_early", event->published_early);
}

size_t event_format(const struct event *event, char *line, size_t size)
{
    int saved = errno;
    struct json json = json_begin(line, size);
    if (size < EVENT_LINE_SIZE) { /* the same shares of less */
        json.string_max = size / 16;
        json.path_max = size * 3 / 32;
    }
    add_timestamp(&json, clock_ns(CLOCK_REALTIME));
    json_number(&json, "v", EVENT_VERSION);
    json_string(&json, "event", event->event);
    json_string(&json, "op", event->op);
    json_string(&json, "outcome", event->outcome);
    json_string(&json, "verdict", event->verdict);
    add_error(&json, event->error);
    add_wait(&json, event);
    json_string(&json, "action", event->action ? event->action : "none");
    json_string(&json, "reason", event->reason);
    if (event->held_fd >= 0)
        json_number(&json, "held_fd", (uint64_t)event->held_fd);
    add_stage(&json, event);
    add_process(&json, event);
    add_host(&json, event->host);
    /* What may be long comes last and is cut to its share, so that every line has every field; holders get what is left. */
    json_path(&json, "rule", event->rule ? event->rule : "built-in");
    json_path(&json, "path", event->path ? event->path : "");
    json_path(&json, "target", event->target ? event->target : "");
    json_path(&json, "exe", event->exe);
    json_path(&json, "stage", event->stage);
    json_string(&json, "message", event->message);
    json_path(&json, "generation", event->generation);
    holder_list_write(&json, event->holders);
    errno = saved;
    return json_end(&json);
}

size_t event_renew(const struct event *event, char *line, size_t length, size_t size)
{
    static const char before[] = "{\"ts\":\"", first[] = "\"attempts\":";
    int saved = errno;
    char stamp[STAMP_SIZE], numbers[256];
    stamp_text(stamp, clock_ns(CLOCK_REALTIME));
    errno = saved;
    struct json json = json_begin(numbers, sizeof numbers);
    add_wait(&json, event);

    /* What comes before the numbers are words of our own, none of which has these in it. */
    char *old = strstr(line, first), *end = old ? strchr(old, '}') : NULL;
    if (!end)
        return 0;
    size_t taken = (size_t)(end + 1 - old), needed = json.length - 1; /* without the bracket */
    if (length - taken + needed > size)
        return 0;
    memmove(old + needed, end + 1, length + 1 - (size_t)(end + 1 - line));
    memcpy(old, numbers + 1, needed);
    memcpy(line + sizeof before - 1, stamp, strlen(stamp));
    return length - taken + needed;
}
