#include "event.h"

#include <linux/limits.h>
#include <sys/utsname.h>

#include "../sys/call.h"
#include "../sys/clock.h"
#include "../sys/process.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "json.h"

/* Year, month and day of a day number that counts from 1970-01-01, in the Gregorian calendar without end. */
static void civil_date(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    /* Years that begin in March put the leap day last, so that months have fixed starts (Hinnant, "chrono-compatible
     * low-level date algorithms"). gmtime_r isn't used: it takes libc's time zone lock. */
    uint64_t shifted = days + 719468, era = shifted / 146097, in_era = shifted % 146097;
    uint64_t years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * years + years / 4 - years / 100);
    uint64_t from_march = (5 * in_year + 2) / 153;
    *day = (unsigned)(in_year - (153 * from_march + 2) / 5 + 1);
    *month = (unsigned)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (unsigned)(years + era * 400 + (*month <= 2));
}

static void add_timestamp(struct json *json, uint64_t now_ns)
{
    uint64_t seconds = now_ns / CLOCK_SECOND;
    unsigned year, month, day;
    char stamp[32];
    struct text text = TEXT(stamp);
    civil_date(seconds / 86400, &year, &month, &day);
    const struct {
        unsigned number;
        int digits;
        const char *behind;
    } parts[] = {
        { year, 4, "-" },
        { month, 2, "-" },
        { day, 2, "T" },
        { (unsigned)(seconds / 3600 % 24), 2, ":" },
        { (unsigned)(seconds / 60 % 60), 2, ":" },
        { (unsigned)(seconds % 60), 2, "." },
        { (unsigned)(now_ns / CLOCK_MS % 1000), 3, "Z" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        text_padded(&text, parts[i].number, parts[i].digits);
        text_add(&text, parts[i].behind);
    }
    json_string(json, "ts", stamp);
}

/* The errnos that a conflict, a refusal or a failed commit is made of; any other is said by its number alone. */
static const struct {
    int error;
    const char *name, *message;
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

static void add_process(struct json *json)
{
    char comm[16];
    struct utsname host;
    json_number(json, "pid", (uint64_t)sys_call(SYS_getpid));
    json_number(json, "ppid", (uint64_t)sys_call(SYS_getppid));
    json_number(json, "tid", (uint64_t)sys_call(SYS_gettid));
    json_number(json, "uid", sys_geteuid());
    process_comm(comm);
    json_path(json, "comm", comm);
    json_path(json, "host", sys_call(SYS_uname, &host) == 0 ? host.nodename : "");
}

static void add_exe(struct json *json)
{
    char *exe = scratch_map(PATH_MAX);
    if (exe)
        process_exe(exe, PATH_MAX);
    json_path(json, "exe", exe ? exe : "");
    scratch_unmap(exe, PATH_MAX);
}

size_t event_format(const struct event *event, char *line, size_t size)
{
    int saved = errno;
    struct json json = json_begin(line, size);
    add_timestamp(&json, clock_ns(CLOCK_REALTIME));
    json_number(&json, "v", EVENT_VERSION);
    json_string(&json, "event", event->event);
    json_string(&json, "op", event->op);
    json_string(&json, "outcome", event->outcome);
    json_string(&json, "verdict", event->verdict);
    add_error(&json, event->error);
    json_number(&json, "attempts", event->attempts);
    json_thousandths(&json, "waited_ms", event->waited_ns / 1000);
    json_string(&json, "action", event->action ? event->action : "none");
    json_string(&json, "reason", event->reason);
    if (event->held_fd >= 0)
        json_number(&json, "held_fd", (uint64_t)event->held_fd);
    if (event->stage) {
        json_number(&json, "bytes", event->bytes);
        json_number(&json, "old_inode", event->old_inode);
        json_number(&json, "new_inode", event->new_inode);
    }
    add_process(&json);
    /* What may be long comes last and is cut to its share, so that every line has every field. */
    json_path(&json, "rule", event->rule ? event->rule : "built-in");
    json_path(&json, "path", event->path ? event->path : "");
    json_path(&json, "target", event->target ? event->target : "");
    add_exe(&json);
    json_path(&json, "stage", event->stage);
    json_string(&json, "message", event->message);
    json_path(&json, "generation", event->generation);
    errno = saved;
    return json_end(&json);
}
