/*
 * The form that a line of the log has in the systemd journal: each field of its own, as `journalctl -o json` gives them.
 */
#ifndef CLI_JOURNAL_ENTRY_H
#define CLI_JOURNAL_ENTRY_H

#include <json.h>

/* Makes the line's object again from an entry that was one, and frees the entry; anything else is returned as it is. */
struct json_object *journal_entry_take(struct json_object *entry);

#endif
