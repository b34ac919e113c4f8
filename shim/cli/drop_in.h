/*
 * The drop-in that loads the library into a service: etxtbsy.conf in UNIT.d. Its first line says that it is ours, with a sum of
 * the rest; a file in which anything else stands, or was changed, belongs to somebody else and is neither written nor removed.
 */
#ifndef CLI_DROP_IN_H
#define CLI_DROP_IN_H

#define DROP_IN_NAME "etxtbsy.conf"

enum drop_in_state {
    DROP_IN_NONE,
    DROP_IN_OURS,
    DROP_IN_FOREIGN, /* somebody else's, or edited since */
    DROP_IN_UNKNOWN, /* it couldn't be read: errno */
};

/* What the file of `unit` in that directory of units is. *text: its content, to be freed; NULL may be given, and may come back. */
enum drop_in_state drop_in_read(const char *directory, const char *unit, char **text);

/* The whole file, for a library by that path. To be freed. NULL: systemd can't be told such a path. */
char *drop_in_text(const char *library);

/*
 * Make the file, in one step, with the directories that it needs; take it away, with its directory where nothing else is in
 * that. The caller has seen what was there. Return -1 with errno.
 */
int drop_in_write(const char *directory, const char *unit, const char *text);
int drop_in_remove(const char *directory, const char *unit);

#endif
