#include "symbols.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "call.h"
#include "text.h"

#define VERSION_HIDDEN 0x8000 /* of several versions, not the one that a program is linked with today */

/* What an indirect function is told. */
#ifdef __aarch64__
#define HARDWARE getauxval(AT_HWCAP)
#else
#define HARDWARE 0
#endif

struct tables {
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Half) * versions;
    const uint32_t *gnu_hash; /* binutils' table: only what is defined, sorted by bucket */
    const uint32_t *hash;     /* the old one */
};

/* glibc has put addresses in place of offsets, but for the kernel's own object and on machines where the section can't be written.
 */
static const void *table(ElfW(Addr) base, ElfW(Addr) value)
{
    return (const void *)(value < base ? base + value : value);
}

AT_START static struct tables read_tables(ElfW(Addr) base, const ElfW(Dyn) * dynamic)
{
    struct tables tables = { 0 };
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = table(base, dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_SYMTAB)
            tables.symbols = at;
        else if (dynamic->d_tag == DT_STRTAB)
            tables.strings = at;
        else if (dynamic->d_tag == DT_VERSYM)
            tables.versions = at;
        else if (dynamic->d_tag == DT_GNU_HASH)
            tables.gnu_hash = at;
        else if (dynamic->d_tag == DT_HASH)
            tables.hash = at;
    }
    return tables;
}

AT_START static bool defines(const struct tables *tables, uint32_t index, const char *name)
{
    const ElfW(Sym) *symbol = tables->symbols + index;
    return symbol->st_shndx != SHN_UNDEF && symbol->st_value && text_is(tables->strings + symbol->st_name, name) &&
           !(tables->versions && tables->versions[index] & VERSION_HIDDEN);
}

AT_START static uint32_t gnu_hash_of(const char *name)
{
    uint32_t hash = 5381;
    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

AT_START static const ElfW(Sym) * find_hashed(const struct tables *tables, const char *name)
{
    const uint32_t *table = tables->gnu_hash;
    uint32_t buckets = table[0], first = table[1], bloom_words = table[2], hash = gnu_hash_of(name);
    const uint32_t *bucket = (const uint32_t *)((const ElfW(Addr) *)(table + 4) + bloom_words), *chain = bucket + buckets;
    uint32_t index = buckets ? bucket[hash % buckets] : 0;
    if (index < first)
        return NULL;
    for (;; index++) {
        uint32_t entry = chain[index - first]; /* its lowest bit ends the bucket */
        if ((entry | 1) == (hash | 1) && defines(tables, index, name))
            return tables->symbols + index;
        if (entry & 1)
            return NULL;
    }
}

/* A library without the newer table is rare enough to be read from end to end. */
static const ElfW(Sym) * find_listed(const struct tables *tables, const char *name)
{
    uint32_t count = tables->hash[1];
    for (uint32_t index = 0; index < count; index++)
        if (defines(tables, index, name))
            return tables->symbols + index;
    return NULL;
}

AT_START void *symbol_find(ElfW(Addr) base, const ElfW(Dyn) * dynamic, const char *name)
{
    struct tables tables = read_tables(base, dynamic);
    const ElfW(Sym) *symbol = NULL;
    if (!tables.symbols || !tables.strings)
        return NULL;
    if (tables.gnu_hash)
        symbol = find_hashed(&tables, name);
    else if (tables.hash)
        symbol = find_listed(&tables, name);
    if (!symbol)
        return NULL;
    ElfW(Addr) address = base + symbol->st_value;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
        return ((void *(*)(unsigned long))address)(HARDWARE);
    return (void *)address;
}
