#include "next.h"

#include <errno.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <stdbool.h>

#include "call.h"
#include "symbols.h"
#include "text.h"

/* Our own: so that its address is no entry of a table, for ld.so to fill in. */
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

struct search {
    const char *name;     /* NULL: only for ourselves */
    const char *own_path; /* set when we have come by ourselves */
    void *first, *behind; /* the first definition of all, and the first behind ours */
};

/* Objects come in the order in which ld.so looks for a symbol: the program, what is preloaded, and their libraries. */
AT_START static void look_at(struct search *search, const char *path, ElfW(Addr) base, const ElfW(Dyn) * dynamic)
{
    void *found = search->name ? symbol_find(base, dynamic, search->name) : NULL;
    if (!search->first)
        search->first = found;
    if (search->own_path && !search->behind)
        search->behind = found;
    if (dynamic == _DYNAMIC)
        search->own_path = path;
}

/*
 * Our own entry in the loader's list. ld.so leaves it for itself in the second word of the table of what it binds lazily (the
 * machines' psABI), and not there where it binds all at once (LD_BIND_NOW). The way of debuggers, from the program's headers, would
 * need getauxval, whose symbol version costs 350 instructions in every process that starts.
 */
AT_START static const struct link_map *own_object(void)
{
#if defined __x86_64__ || defined __i386__ || defined __aarch64__
    for (const ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_PLTGOT) {
            const struct link_map *own = ((const struct link_map *const *)entry->d_un.d_ptr)[1];
            return own && own->l_ld == _DYNAMIC ? own : NULL;
        }
#endif
    return NULL;
}

AT_START bool next_may_be_relative(void)
{
    const struct link_map *own = own_object();
    return !own || own->l_name[0] != '/';
}

AT_START static const struct link_map *loaded_objects(void)
{
    const struct link_map *object = own_object();
    while (object && object->l_prev)
        object = object->l_prev;
    return object;
}

/* Up to libc itself nothing of the list ever changes, whatever other threads load and unload. */
AT_START static void look_without_lock(struct search *search)
{
    static const char libc[] AT_START_STRING = LIBC_SO;
    for (const struct link_map *object = loaded_objects(); object; object = object->l_next) {
        look_at(search, object->l_name, object->l_addr, object->l_ld);
        if (text_is(text_base(object->l_name), libc))
            return;
    }
}

static int look_at_listed(struct dl_phdr_info *object, size_t size, void *search)
{
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
            look_at(search, object->dlpi_name, object->dlpi_addr,
                    (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr));
    return 0;
}

AT_START static struct search look_for(const char *name)
{
    struct search search = { .name = name };
    int saved = errno;
    look_without_lock(&search);
    if (!search.own_path) { /* loaded by hand, perhaps into a namespace of its own */
        search = (struct search){ .name = name };
        dl_iterate_phdr(look_at_listed, &search);
        if (!search.behind) /* after libc, so what stands before us is what the program calls */
            search.behind = search.first;
    }
    errno = saved;
    return search;
}

next_function next_symbol(const char *name)
{
    return (next_function)look_for(name).behind;
}

AT_START void *next_shared(const char *name)
{
    return look_for(name).first;
}

const char *next_own_path(void)
{
    return look_for(NULL).own_path;
}
