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

/* Whether it will be the same the next time. Others are the moment's: EMFILE, ENOMEM, EINTR. */
static bool is_lasting(int error)
{
    static const unsigned char lasting[] = { ENOENT, ENOTDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG, ENXIO, EINVAL, EFBIG, ENOSYS };
    return memchr(lasting, error, sizeof lasting) != NULL;
}

/*
 * Without POLICY_KNOWN where the file couldn't be read just now. Where there is none no call is made but an open, as the program is
 * about to make one itself: its seccomp filter may kill it for any other.
 */
static unsigned foresight_of_file(const char *path)
{
    if (!path)
        return POLICY_KNOWN;

    int fd = file_open(path);
    char *text = fd < 0 ? NULL : scratch_map(FILE_SIZE_MAX + 1);
    long length = text ? file_read(fd, text, FILE_SIZE_MAX + 1) : -1;
    sys_close_quietly(fd);
    unsigned found = length < 0 && !is_lasting(errno) ? 0 : POLICY_KNOWN;
    if (length > 0)
        found |= foresight_of_text(text, (size_t)length);
    scratch_unmap(text, FILE_SIZE_MAX + 1);
    return found;
}

unsigned policy_foresee(void)
{
    struct policy_sources sources = policy_sources();
    const char *disable = policy_variable(&sources, "DISABLE");
    if (disable && !strcmp(disable, "1"))
        return policy_foreseen = POLICY_KNOWN;

    int saved = errno;
    unsigned system = foresight_of_file(sources.system_file), user = foresight_of_file(sources.user_file);
    unsigned found = system | user;
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
    if (system & user & POLICY_KNOWN)
        policy_foreseen = found;
    errno = saved;
    return found;
}
