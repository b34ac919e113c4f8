/*
 * stdio's streams that lead to a stage: libc writes them out by calls of its own, which no wrapper sees.
 */
#ifndef PRELOAD_STREAMS_H
#define PRELOAD_STREAMS_H

#include <stdio.h>

/*
 * Writes out what a stream still has for its stage, before its descriptor goes or the stage takes its target's name. Returns what
 * fflush does. The stage is aborted when that fails, and when something could not be written before.
 */
int stream_finish(const char *op, FILE *);

/* Before a stream's error is forgotten: aborts its stage when the error was that something could not be written. */
void stream_forgive(const char *op, FILE *);

/* All streams of stages: finishes them; or, behind a flush of all that has failed, aborts the stages of those that lost bytes. */
void streams_finish(const char *op);
void streams_failed(const char *op);

#endif
