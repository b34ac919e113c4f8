/*
 * Memory that lasts as long as the process, made when it is first needed: a process that meets no conflict has none of it, and
 * what the library itself writes to stays one page. Safe anywhere; never given back.
 */
#ifndef SYS_LASTING_H
#define SYS_LASTING_H

#include <stddef.h>

/* The process's own, of which a fork child gets a copy; or one that it shares with its fork children. */
enum lasting { LASTING_PRIVATE, LASTING_SHARED };

/*
 * The memory that `*place` leads to, zeroed, mapped at the first call. Threads, signal handlers and vfork children that meet here
 * get the same; call it for one place with the same size always. NULL where there is none to be had. Keeps errno.
 */
void *lasting_memory(void **place, size_t size, enum lasting);

#endif
