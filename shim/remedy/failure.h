/*
 * Writes that fail. A file of which the disk's end, a quota, a limit, a broken medium, one that has become read-only, or a want of
 * memory has kept a part from being written is never published: its stage is aborted at once, the target stays what it was, and the
 * last close tells the program.
 *
 * For use after a call has failed; safe anywhere. Keeps errno. What isn't a stage, and errors that say nothing about what is in
 * the file (EINTR, EAGAIN, EINVAL, EXDEV, …), are none of our business. `op` is the libc entry point that failed.
 */
#ifndef REMEDY_FAILURE_H
#define REMEDY_FAILURE_H

#include "../stage/stage.h"

/* Whether the error is one of those. */
bool failure_is(int error);

void failure_of_write(const char *op, int fd, int error);

/* The same for a close: the descriptor is gone, and the release begun. */
void failure_of_close(const char *op, struct stage_release *, int error);

/* A child that wrote was killed, and this process, which knows it, lets go: the bytes that are missing are a failure (EIO). */
void failure_of_child(const char *op, struct stage_release *);

#endif
