#include <string.h>

#include "../sys/call.h"
#include "../sys/scratch.h"
#include "file.h"
#include "keys.h"

unsigned policy_foreseen;

static unsigned foresight_of(struct span name, struct span value)
{
    if (span_is(value, policy_action_name(ACTION_ATOMIC)))
        return POLICY_ATOMIC;
    return span_is(name, policy_keys[KEY_RESPECT_LOCKS].name) && span_is(value, "on") ? POLICY_LOCKS : 0;
}

/* Which lines mention it, under whatever heading: whether they apply is for policy_decide to find out. */
static unsigned foresight_of_text(const char *text, size_t length)
{
    struct file_reader reader = file_reader(text, length);
    struct file_item item;
    enum file_line kind;
    unsigned found = 0;
    while ((kind = file_next(&reader, &item)) != LINE_END)
        if (kind == LINE_PAIR)
            found |= foresight_of(item.name, item.value);
    return found;
}

/*
 * Where there is no file no call is made but an open, as the program is about to make one itself: its seccomp filter may kill it
 * for any other.
 */
static unsigned foresight_of_file(const char *path)
{
    int fd = path ? file_open(path) : -1;
    if (fd < 0)
        return 0;

    char *text = scratch_map(FILE_SIZE_MAX + 1);
    long length = text ? file_read(fd, text, FILE_SIZE_MAX + 1) : -1;
    sys_close_quietly(fd);
    unsigned found = length < 0 ? 0 : foresight_of_text(text, (size_t)length);
    scratch_unmap(text, FILE_SIZE_MAX + 1);
    return found;
}

unsigned policy_foresee(void)
{
    int saved = errno;
    struct policy_sources sources = policy_sources();
    unsigned found = POLICY_KNOWN | foresight_of_file(sources.system_file) | foresight_of_file(sources.user_file);
    static const struct {
        char variable[16], value[8];
        unsigned foresight;
    } words[] = {
        { "WRITE", "atomic", POLICY_ATOMIC },
        { "TRUNCATE", "atomic", POLICY_ATOMIC },
        { "RESPECT_LOCKS", "on", POLICY_LOCKS },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *value = policy_variable(&sources, words[i].variable);
        if (value && !strcmp(value, words[i].value))
            found |= words[i].foresight;
    }
    const char *disable = policy_variable(&sources, "DISABLE");
    policy_foreseen = disable && !strcmp(disable, "1") ? POLICY_KNOWN : found;
    errno = saved;
    return policy_foreseen;
}
