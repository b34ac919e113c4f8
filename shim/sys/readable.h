/*
 * Whether the kernel could read what a program hands over, for who has to read it before the kernel does: a program may pass any
 * address, and is to be told EFAULT of a bad one. Asked of the kernel, once for each page in a row; keeps errno. Safe anywhere.
 */
#ifndef SYS_READABLE_H
#define SYS_READABLE_H

#include <stdbool.h>

/* Up to its end; not a null pointer. */
bool readable_text(const char *text);

/* All of a list that ends with a null pointer, as argv and environ are. A null pointer is an empty one, as for execve(2). */
bool readable_list(char *const *list);

#endif
