/*
 * systemd's services: their names, and the directories in which their files and drop-ins are. Asks the file system alone; what
 * the running service manager knows is in manager.h.
 */
#ifndef CLI_UNIT_H
#define CLI_UNIT_H

#include <stdbool.h>

#define UNIT_NAME_SIZE 256 /* systemd's limit, with the final zero */

/* Whose units: the system's, below a root directory that is "" for this machine's own, or the caller's own. */
struct unit_manager {
    const char *root;
    bool user;
};

/*
 * The name as systemd has it: "app" is app.service. False, and it has been said: it isn't the name of a service. What comes
 * back has no slash in it, nor anything else that a path or a terminal would take amiss.
 */
bool unit_name(const char *word, char name[UNIT_NAME_SIZE]);

/* Whether there is a file for it, or for its template: an administrator's, a package's or a generator's. */
bool unit_exists(const struct unit_manager *, const char *name);

/* The directory for what is to stay, or, `runtime`, to go with the next boot. To be freed. NULL, and it has been said: unknown. */
char *unit_directory(const struct unit_manager *, bool runtime);

#endif
