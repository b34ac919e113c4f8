/*
 * The symbols of one loaded object, read from its own tables. Safe anywhere: takes no lock, allocates nothing, keeps errno.
 */
#ifndef SYS_SYMBOLS_H
#define SYS_SYMBOLS_H

#include <link.h>

/*
 * Where the object that is loaded at `base` defines `name`, in its default version; NULL where it doesn't. An indirect function
 * is resolved (by the object's own code, as ld.so does it).
 */
void *symbol_find(ElfW(Addr) base, const ElfW(Dyn) * dynamic, const char *name);

#endif
