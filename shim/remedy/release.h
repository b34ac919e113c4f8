/*
 * Letting go of descriptors: by close and its like, at exit, at exec. Where a stage is finished, and where it is said.
 *
 *     if (likely(!stage_known_count))
 *         return next.close(fd);
 *     struct stage_release release;
 *     stage_release_begin(&release, fd);
 *     return release_end(&release, "close", next.close(fd));
 *
 * Safe anywhere. Unless a stage can't be committed, errno and result are the real call's. `op` is the libc entry point.
 */
#ifndef REMEDY_RELEASE_H
#define REMEDY_RELEASE_H

#include "../stage/stage.h"

/*
 * After a descriptor is gone. Returns `result`, or -1 with errno when the stage could not take its target's name (it is kept
 * then, and the log names it).
 */
int release_end(struct stage_release *, const char *op, int result);

/*
 * The same for a descriptor that was dup'ed over: dup2 says nothing of how the close of its second argument went. What could
 * not be committed is in the log, and its bytes in the file that the log names.
 */
int release_over(struct stage_release *, const char *op, int result);

/*
 * After a descriptor of ours is gone that the program never had: a child writes, and was given one. That this process lets go while
 * others hold the stage is as it should be, and isn't said.
 */
void release_handed_on(struct stage_release *, const char *op);

/*
 * Before close_range closes the descriptors from `first` to `last`: lets go of the stages among them, by closing those. With flags,
 * or an order, by which the kernel closes none it does nothing.
 */
void release_range(const char *op, unsigned first, unsigned last, int flags);

/* Before the process ends, or execs. What is written later still reaches the files. */
void release_all(const char *op, enum stage_moment);

/*
 * Before a program starts: publishes the stages that it would inherit and can't adopt; all of them unless it `adopts` what
 * can be adopted.
 */
void release_to_stranger(const char *op, enum stage_survivor, bool adopts);

/* When others may have let go of stages that this process made. */
void release_pending(const char *op);

/* The same when one of them certainly has: others, who will exec at once, are waited for a moment. */
void release_awaited(const char *op);

#endif
