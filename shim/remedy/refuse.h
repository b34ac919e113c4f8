/*
 * What programs are kept from so that the shim can see what they do. Safe anywhere.
 */
#ifndef REMEDY_REFUSE_H
#define REMEDY_REFUSE_H

#include <stdbool.h>

/*
 * Whether io_uring_setup is to answer ENOSYS: a program that opens and closes files through a ring makes no libc call for
 * them. Says so when it is.
 */
bool refuse_io_uring(void);

#endif
