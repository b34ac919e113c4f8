/*
 * One datagram to a local socket: the journal's, or the system logger's. Safe anywhere; raises no signal, waits at most 100 ms for
 * a receiver that is busy, keeps no descriptor.
 */
#ifndef EVENT_DATAGRAM_H
#define EVENT_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Returns whether it was taken. What the socket won't take in one piece is sent as a sealed memory file when `by_memfd`: the
 * journal's protocol has that.
 */
bool datagram_send(const char *path, const void *bytes, size_t length, bool by_memfd);

/*
 * The line for those two: as fields of the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), and behind an RFC 3164
 * header, as libc's syslog() has it.
 */
void journal_send(const char *line, size_t length);
void syslog_send(const char *line, size_t length);

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SYSLOG_SOCKET "/dev/log"

#endif
