/*
 * Where a stage and its target are now: a directory may have moved since it was made, and somebody may have taken the stage's
 * name away. For use within stage/; safe anywhere.
 */
#ifndef STAGE_REPORT_H
#define STAGE_REPORT_H

#include "stage.h"

/* Whether the stage is still where it was made; asked without a descriptor. */
bool report_has_path(const struct stage_known *);

/*
 * Whether the file behind a descriptor of the stage has no name any more, and the last that it had was a stage's, while the
 * target (of a new file: its directory) is still there: another process has aborted it, or somebody has removed it. What this
 * process wrote is lost then; in place it wouldn't be.
 */
bool report_is_removed(int fd, const struct stage_known *);

/* Cuts off what the kernel puts behind the path of a descriptor whose file has no name. Returns false when there is nothing. */
bool report_cut_deleted(char *path);

/* Fills the report. STAGE_READY: it is still a stage; STAGE_NONE: no longer; STAGE_LOST: that can't be found out. */
enum stage_end report_fill(const struct stage_release *, struct stage_report *);

#endif
