#include <string.h>
#include <syslog.h>

#include "../sys/call.h"
#include "../sys/clock.h"
#include "../sys/scratch.h"
#include "../sys/text.h"
#include "datagram.h"
#include "members.h"
#include "stamp.h"

#define HEADER_MAX 64

/*
 * "<14>Nov 22 15:48:32 etxtbsy[17]: ": the time is UTC, for the local time takes libc's lock and the time zone's file. The
 * loggers of today put their own there.
 */
static void add_header(struct text *text, const char *line)
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct stamp now = stamp_of(clock_ns(CLOCK_REALTIME));
    text_add(text, "<");
    text_number(text, (uint64_t)(LOG_USER | member_priority(line)));
    text_add(text, ">");
    text_add(text, months[now.month - 1]);
    text_add(text, now.day < 10 ? "  " : " ");
    text_number(text, now.day);
    text_add(text, " ");
    text_padded(text, now.hour, 2);
    text_add(text, ":");
    text_padded(text, now.minute, 2);
    text_add(text, ":");
    text_padded(text, now.second, 2);
    text_add(text, " etxtbsy[");
    text_number(text, (uint64_t)sys_getpid());
    text_add(text, "]: ");
}

void syslog_send(const char *line, size_t length)
{
    char *buffer = scratch_map(length + HEADER_MAX);
    if (!buffer)
        return;
    struct text text = text_over(buffer, length + HEADER_MAX);
    add_header(&text, line);
    text_bytes(&text, line, length && line[length - 1] == '\n' ? length - 1 : length);
    datagram_send(SYSLOG_SOCKET, buffer, text.length, false);
    scratch_unmap(buffer, length + HEADER_MAX);
}
