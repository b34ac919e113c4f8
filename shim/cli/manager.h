/*
 * What the running service manager knows and does, by systemctl. On a machine without systemd there is none, and nothing
 * depends on it.
 */
#ifndef CLI_MANAGER_H
#define CLI_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "unit.h"

/* Whether one runs for these units here, and systemctl can ask it. */
bool manager_runs(const struct unit_manager *);

/* Makes it read the units' files again. False: it didn't; systemctl has said why. */
bool manager_reload(const struct unit_manager *);

/* The unit's main process; 0: it isn't running, or has none; -1: that can't be known, as of a template. */
pid_t manager_main_pid(const struct unit_manager *, const char *unit);

/* What the unit sets LD_PRELOAD to, apart from an EnvironmentFile. Returns false when it doesn't. */
bool manager_preload(const struct unit_manager *, const char *unit, char *value, size_t size);

#endif
