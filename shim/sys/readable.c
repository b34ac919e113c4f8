#include "readable.h"

#include "call.h"

#define SET_SIZE 8L     /* bytes in the kernel's signal set */
#define PAGE_SIZE 4096L /* the smallest there is: larger ones are asked about more than once */
#define NO_SUCH_HOW (-1L)

/*
 * The kernel reads the set before it finds that there is nothing to be done with it, so the call changes nothing (EINVAL; measured
 * on 6.18). A set that is aligned lies in one page.
 */
static bool is_readable(uintptr_t address)
{
    uintptr_t set = address & -(uintptr_t)SET_SIZE;
    return set && (sys_call(SYS_rt_sigprocmask, NO_SUCH_HOW, set, 0L, SET_SIZE) == 0 || errno != EFAULT);
}

/* `page` is the last that was found good, or 0. */
static bool is_in_good_page(const void *address, uintptr_t *page)
{
    uintptr_t its = (uintptr_t)address & -(uintptr_t)PAGE_SIZE;
    if (its == *page && its)
        return true;
    *page = its;
    return is_readable((uintptr_t)address);
}

static bool is_good_text(const char *text, uintptr_t *page)
{
    do
        if (!is_in_good_page(text, page))
            return false;
    while (*text++);
    return true;
}

bool readable_text(const char *text)
{
    uintptr_t page = 0;
    int saved = errno;
    bool is = is_good_text(text, &page);
    errno = saved;
    return is;
}

bool readable_list(char *const *list)
{
    uintptr_t page = 0, texts = 0;
    int saved = errno;
    bool is = true, ended = !list;
    while (is && !ended) {
        /* A pointer may lie across two pages. */
        is = is_in_good_page(list, &page) && is_in_good_page((const char *)(list + 1) - 1, &page);
        ended = is && !*list;
        is = is && (ended || is_good_text(*list++, &texts));
    }
    errno = saved;
    return is;
}
