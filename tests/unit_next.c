/* What is found in loaded objects without the loader's help is what the loader finds. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../shim/sys/next.h"
#include "../shim/sys/process.h"
#include "../shim/sys/symbols.h"

static struct link_map *load(const char *path)
{
    struct link_map *map = NULL;
    void *handle = dlopen(path, RTLD_NOW);
    cr_assert(handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0, "%s", dlerror());
    return map;
}

/* Every name of a program's own libc: functions, indirect functions and variables, of one version and of several. */
Test(next, finds_in_libc_what_dlsym_finds)
{
    struct link_map *libc = load(LIBC_SO);
    FILE *names = popen(
        "objdump -T $(ldd /bin/sh | sed -n 's/.*libc.so.6 => \\([^ ]*\\).*/\\1/p') | awk '$3 ~ /^D[FO]$/ || $3 == \"iD\" || $4 ~ "
        "/^D[FO]$/ {print $NF}' | sort -u",
        "r");
    char name[200];
    unsigned found = 0, missing = 0;
    while (names && fscanf(names, "%199s", name) == 1) {
        void *by_loader = dlsym(libc, name), *by_us = symbol_find(libc->l_addr, libc->l_ld, name);
        Dl_info info;
        /* A name that has old versions only is no program's any more; and a variable may be another library's. */
        if (!by_loader || !dladdr(by_loader, &info) || info.dli_fbase != (void *)libc->l_addr) {
            missing++;
            continue;
        }
        cr_expect_eq(by_us, by_loader, "%s", name);
        found++;
    }
    cr_assert(names && pclose(names) == 0);
    if (!found)
        cr_skip_test("there is no objdump here");
    cr_expect_gt(found, 2000, "%u found, %u missing", found, missing);
}

Test(next, finds_in_a_library_with_the_old_hash_table)
{
    struct link_map *plugin = load(BUILD_DIR "/tests/plugin-sysv.so");
    cr_expect_eq(symbol_find(plugin->l_addr, plugin->l_ld, "plugin_write"), dlsym(plugin, "plugin_write"));
    cr_expect_null(symbol_find(plugin->l_addr, plugin->l_ld, "plugin_read"));
    cr_expect_null(symbol_find(plugin->l_addr, plugin->l_ld, "open"), "it needs that one, and doesn't define it");
}

Test(next, is_behind_the_caller)
{
    cr_expect_eq((void *)next_symbol("open"), dlsym(RTLD_NEXT, "open"));
    cr_expect_eq((void *)next_symbol("posix_spawn"), dlsym(RTLD_NEXT, "posix_spawn"), "of two versions the newer");
    cr_expect_null(next_symbol("no_such_function"));
}

Test(next, shares_variables_with_the_program)
{
    cr_expect_eq(next_shared("__environ"), (void *)&environ);
    setenv("NEXT_TEST", "1", 1);
    cr_expect_eq(process_environment(), environ);
    clearenv();
    cr_expect_null(process_environment());
}

Test(next, knows_where_the_library_is)
{
    Dl_info info;
    cr_assert(dladdr((void *)(uintptr_t)next_symbol, &info));
    const char *path = next_own_path();
    cr_assert_not_null(path);
    /* Here it is part of the program, which has no name in the loader's list. */
    cr_expect_str_eq(path, "");
}
